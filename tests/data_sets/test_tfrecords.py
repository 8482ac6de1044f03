from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tf_n2uq import data

FILES, PER_FILE = 4, 6
EXAMPLES = FILES * PER_FILE


def jpeg(brightness: int) -> bytes:
    buffer = io.BytesIO()
    Image.new('RGB', (20, 16), (brightness,) * 3).save(buffer, 'JPEG', quality=95)
    return buffer.getvalue()


def record(
    content: bytes,
    label: int,
    image_name: str = 'image/encoded',
    label_name: str = 'image/class/label',
) -> bytes:
    features = {
        image_name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[content])),
        label_name: tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def write(path: Path, records: list[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for content in records:
            writer.write(content)


@pytest.fixture
def records_dir(tmp_path: Path) -> Path:
    """Images of brightness 0, 10, 20 and so on; labels 1, 2, 3 in turns, as in the conversion."""
    for file in range(FILES):
        numbers = range(file * PER_FILE, (file + 1) * PER_FILE)
        path = tmp_path / f'train-{file:05}-of-{FILES:05}'
        write(path, [record(jpeg(10 * i), 1 + i % 3) for i in numbers])
    write(tmp_path / 'validation-00000-of-00001', [record(jpeg(10 * i), 1) for i in range(5)])
    return tmp_path


def load(root: Path, **arguments) -> data.EncodedImageData:
    return data.load_imagenet(root, **{'source': 'tfrecords', 'classes': 3} | arguments)


def examples(split: data.EncodedSplit, **arguments) -> list[tuple[int, int]]:
    """Each image's number and label, in order."""
    dataset = split.dataset(
        5, image_size=8, resize_size=8, mean=(0.0,) * 3, std=(1 / 255,) * 3, **arguments
    )
    return [
        (round(float(image.mean()) / 10), int(label))
        for images, labels in dataset.as_numpy_iterator()
        for image, label in zip(images, labels, strict=True)
    ]


WHOLE = [(i, i % 3) for i in range(EXAMPLES)]


def test_records_are_read_in_order_with_labels_from_zero(records_dir: Path):
    loaded = load(records_dir)
    assert (loaded.name, loaded.classes, loaded.class_names) == ('tfrecords', 3, None)
    assert (loaded.train.examples, loaded.validation.examples) == (EXAMPLES, 5)
    assert examples(loaded.train) == WHOLE
    assert examples(loaded.validation) == [(i, 0) for i in range(5)]


def test_a_background_class_is_kept_on_demand(records_dir: Path):
    train = load(records_dir, label_offset=0, classes=4).train
    assert examples(train) == [(i, 1 + i % 3) for i in range(EXAMPLES)]


def test_shuffled_epochs_have_everything_and_follow_seed_and_epoch(records_dir: Path):
    train = load(records_dir).train
    first = examples(train, shuffle=True, seed=1)
    assert sorted(first) == WHOLE != first
    assert first == examples(train, shuffle=True, seed=1)
    assert first != examples(train, shuffle=True, seed=2)
    assert first != examples(train, shuffle=True, seed=1, first_epoch=1)


def test_crops_differ_between_epochs_and_not_between_runs(records_dir: Path):
    picture = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, 'JPEG')
    for split in ('train-00000-of-00004', 'validation-00000-of-00001'):
        write(records_dir / split, [record(buffer.getvalue(), 1)] * 2)

    def crops(**arguments) -> np.ndarray:
        dataset = load(records_dir).train.dataset(2, augment=True, image_size=8, **arguments)
        return next(iter(dataset))[0].numpy()

    np.testing.assert_array_equal(crops(), crops())
    assert not np.array_equal(crops(), crops(first_epoch=1))
    assert not np.array_equal(crops()[0], crops()[1])


@pytest.mark.parametrize('shuffle', [False, True])
@pytest.mark.parametrize('count', [2, 3, 7])
def test_shards_are_disjoint_and_together_everything(records_dir: Path, count: int, shuffle: bool):
    # Seven workers on four files share the records out instead.
    train = load(records_dir).train
    parts = [examples(train, shuffle=shuffle, shard=(i, count)) for i in range(count)]
    assert all(parts)
    assert sorted(itertools.chain(*parts)) == WHOLE


def test_broken_records_are_skipped_and_named_by_file_and_position(records_dir: Path):
    path = records_dir / 'train-00001-of-00004'
    write(path, [record(jpeg(60), 1), record(b'broken', 2), b'no example', record(jpeg(90), 1)])
    train = load(records_dir).train
    assert train.examples == EXAMPLES - 2
    assert len(examples(train, shuffle=True)) == EXAMPLES - 4
    assert train.broken.names == (f'{path}#1', f'{path}#2')


def test_folders_and_short_names_of_files_are_found(tmp_path: Path):
    write(tmp_path / 'train' / 'train-00000-of-00001', [record(jpeg(0), 1)])
    write(tmp_path / 'val-00000-of-00001', [record(jpeg(10), 1)])
    loaded = data.load_imagenet(tmp_path)
    assert (loaded.name, loaded.classes) == ('tfrecords', 1000)
    assert examples(loaded.train) == [(0, 0)]
    assert examples(loaded.validation) == [(1, 0)]


def test_a_label_out_of_range_stops_the_epoch_and_says_so(records_dir: Path):
    write(records_dir / 'train-00003-of-00004', [record(jpeg(0), 4)])
    message = r'label_offset, classes: expected labels that are 0..2.*Got:'
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        examples(load(records_dir).train)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ([record(b'', 0)], r'label_offset: expected labels 1..3 .*classes=3, got 0.*Give'),
        ([record(b'', 4)], r'label_offset: expected labels 1..3 .*classes=3, got 4.*Give'),
        (
            [record(b'', 1, image_name='jpeg')],
            r'image/encoded.*got .*image/class/label.*jpeg.*Convert',
        ),
        ([record(b'', 1, label_name='class')], r'image/class/label.*got .*class.*Convert'),
        ([b'no example'], r'data_dir: expected tf.train.Example.*got.*Convert'),
        ([], r'data_dir: expected at least one record.*got none.*Convert'),
    ],
)
def test_a_wrong_first_record_is_seen_at_once(records_dir: Path, content, message):
    write(records_dir / 'train-00000-of-00004', content)
    with pytest.raises(ValueError, match=message):
        load(records_dir)


def test_a_damaged_first_file_is_named(records_dir: Path):
    (records_dir / 'train-00000-of-00004').write_bytes(b'this is not a file of records at all')
    with pytest.raises(ValueError, match=r'data_dir: expected TFRecords.*train-00000.*got.*again'):
        load(records_dir)


def test_a_file_that_ends_within_a_record_is_not_counted(records_dir: Path):
    path = records_dir / 'train-00002-of-00004'
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match=r'train-00002.*expected complete records.*Convert'):
        load(records_dir).train.examples  # noqa: B018


@pytest.mark.parametrize('split', ['train', 'validation'])
def test_missing_files_are_named(records_dir: Path, split: str):
    for path in records_dir.glob(f'{split}-*'):
        path.unlink()
    with pytest.raises(FileNotFoundError, match=rf'data_dir: expected .*{split}-\*.*none.*Give'):
        load(records_dir)


def test_numbers_of_another_kind_are_refused(records_dir: Path):
    with pytest.raises(TypeError, match="label_offset: expected an integer, got '1'"):
        load(records_dir, label_offset='1')
    with pytest.raises(ValueError, match=r'classes: expected at least 1, got 0'):
        load(records_dir, classes=0)
