from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tf_n2uq import data

PER_CLASS = 14


@pytest.fixture(scope='module')
def image_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of grey images, each with its own brightness: 0, 6, 12 and so on."""
    root = tmp_path_factory.mktemp('images')
    brightness = iter(range(0, 256, 6))
    for split, per_class in (('train', PER_CLASS), ('val', 3)):
        for name in ('n02', 'n01'):
            (root / split / name).mkdir(parents=True)
            for i in range(per_class):
                image = Image.new('RGB', (40 + i, 50 - i), (next(brightness),) * 3)
                image.save(root / split / name / f'{name}_{i:02}.JPEG', quality=95)
    return root


def load(root: Path) -> data.EncodedImageData:
    return data.load_imagenet(root, source='folder')


def values(dataset: tf.data.Dataset) -> list[int]:
    """The brightness of every image, in order: what tells images apart."""
    return [round(float(i.mean())) for b, _ in dataset.as_numpy_iterator() for i in b]


def plain(split: data.EncodedSplit, **arguments) -> tf.data.Dataset:
    arguments = {'image_size': 8, 'resize_size': 10} | arguments
    return split.dataset(5, mean=(0.0,) * 3, std=(1 / 255,) * 3, **arguments)


def test_classes_are_the_sorted_folder_names(image_dir: Path):
    loaded = load(image_dir)
    assert (loaded.name, loaded.classes) == ('folder', 2)
    assert loaded.class_names == ('n01', 'n02')
    assert (loaded.train.examples, loaded.validation.examples) == (2 * PER_CLASS, 6)
    ((images, labels),) = load(image_dir).validation.dataset(6).as_numpy_iterator()
    assert (images.dtype, labels.dtype, images.shape) == (np.float32, np.int32, (6, 224, 224, 3))
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_images_are_normalised_as_is_usual_for_imagenet(image_dir: Path):
    split = load(image_dir).validation
    (usual, _), (own, _) = next(iter(split.dataset(1))), next(iter(plain(split)))
    expected = (own[0, 0, 0] / 255 - data.IMAGENET_MEAN) / data.IMAGENET_STD
    np.testing.assert_allclose(usual[0, 0, 0], expected, atol=1e-5)


def test_without_shuffling_the_order_is_that_of_the_files(image_dir: Path):
    found = values(plain(load(image_dir).train))
    expected = [6 * i for i in (*range(PER_CLASS, 2 * PER_CLASS), *range(PER_CLASS))]
    np.testing.assert_allclose(found, expected, atol=1)


def test_an_epoch_has_every_image_once_and_epochs_differ(image_dir: Path):
    dataset = plain(load(image_dir).train, shuffle=True)
    first, second = values(dataset), values(dataset)
    assert len(set(first)) == 2 * PER_CLASS
    assert first != second
    assert sorted(first) == sorted(second)


@pytest.mark.parametrize('augment', [False, True])
def test_equal_arguments_give_equal_batches_whatever_the_global_seed(image_dir: Path, augment):
    def batches(seed: int) -> list[np.ndarray]:
        dataset = plain(load(image_dir).train, shuffle=True, augment=augment, seed=seed)
        return [images for _ in range(2) for images, _ in dataset.as_numpy_iterator()]

    first = batches(3)
    tf.random.set_seed(0)
    np.testing.assert_array_equal(np.concatenate(first), np.concatenate(batches(3)))
    assert not np.array_equal(np.concatenate(first), np.concatenate(batches(4)))


def test_a_run_that_stopped_goes_on_with_the_next_epoch(image_dir: Path):
    split = load(image_dir).train
    arguments = {'shuffle': True, 'augment': True}
    whole = plain(split, repeat=True, **arguments).take(18)
    images = np.concatenate([i for i, _ in whole.as_numpy_iterator()])
    later = plain(split, first_epoch=2, **arguments)
    resumed = np.concatenate([i for i, _ in later.as_numpy_iterator()])
    np.testing.assert_array_equal(images[4 * PER_CLASS : 6 * PER_CLASS], resumed)
    single = plain(split, **arguments)
    epochs = [i for _ in range(3) for i, _ in single.as_numpy_iterator()]
    np.testing.assert_array_equal(images[: 6 * PER_CLASS], np.concatenate(epochs))


@pytest.mark.parametrize('count', [2, 3])
def test_shards_take_turns_in_the_order_of_the_whole(image_dir: Path, count: int):
    split = load(image_dir).train
    arguments = {'shuffle': True, 'augment': True, 'seed': 9}
    whole = [i for b, _ in plain(split, **arguments).as_numpy_iterator() for i in b]
    for index in range(count):
        part = plain(split, shard=(index, count), **arguments)
        found = [i for b, _ in part.as_numpy_iterator() for i in b]
        np.testing.assert_array_equal(found, whole[index::count])


@pytest.fixture
def damaged_dir(image_dir: Path, tmp_path: Path) -> Path:
    root = tmp_path / 'damaged'
    shutil.copytree(image_dir, root)
    content = (root / 'train/n01/n01_03.JPEG').read_bytes()
    (root / 'train/n01/n01_03.JPEG').write_bytes(content[: len(content) // 2])
    (root / 'train/n01/n01_04.JPEG').write_bytes(b'')
    (root / 'train/n02/n02_13.JPEG').write_bytes(b'<html>not found</html>')
    return root


def test_broken_images_are_skipped_counted_and_named(damaged_dir: Path):
    split = load(damaged_dir).train
    dataset = plain(split, shuffle=True)
    assert len(values(dataset)) == 2 * PER_CLASS - 3
    assert split.broken.count == 3
    expected = ['train/n01/n01_03.JPEG', 'train/n01/n01_04.JPEG', 'train/n02/n02_13.JPEG']
    assert split.broken.names == tuple(str(damaged_dir / name) for name in expected)
    values(dataset)
    assert split.broken.count == 6
    split.broken.reset()
    assert (split.broken.count, split.broken.names) == (0, ())


def test_a_broken_image_is_logged_once_with_its_name(damaged_dir: Path, caplog):
    dataset = plain(load(damaged_dir).train)
    with caplog.at_level('WARNING', logger='absl'):
        values(dataset)
        values(dataset)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 3
    assert sum('n01_04.JPEG could not be read or decoded' in message for message in messages) == 1


def test_a_split_of_nothing_but_broken_images_ends(damaged_dir: Path):
    for path in damaged_dir.glob('val/*/*'):
        path.write_bytes(b'broken')
    split = load(damaged_dir).validation
    assert values(plain(split)) == []
    assert split.broken.count == 6


def test_repeating_nothing_but_broken_images_is_an_error(damaged_dir: Path):
    for path in damaged_dir.glob('train/*/*'):
        path.write_bytes(b'broken')
    dataset = plain(load(damaged_dir).train, shuffle=True, repeat=True)
    words = rf"all {2 * PER_CLASS} images of split 'train' in .*damaged.* are unreadable, first: "
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        next(iter(dataset))


def test_a_file_that_vanished_counts_as_broken(damaged_dir: Path):
    split = load(damaged_dir).validation
    (damaged_dir / 'val/n01/n01_01.JPEG').unlink()
    assert len(values(plain(split))) == 5
    assert split.broken.names == (str(damaged_dir / 'val/n01/n01_01.JPEG'),)


def test_png_and_cmyk_files_under_jpeg_names_are_used(damaged_dir: Path):
    Image.new('CMYK', (30, 30), (0, 255, 255, 0)).save(damaged_dir / 'val/n01/x.JPEG', 'JPEG')
    Image.new('RGB', (30, 30), (255, 0, 0)).save(damaged_dir / 'val/n01/y.JPEG', 'PNG')
    split = load(damaged_dir).validation
    ((images, _),) = plain(split).take(1).as_numpy_iterator()
    for image in images[3:5]:
        np.testing.assert_allclose(image, np.broadcast_to([255.0, 0, 0], (8, 8, 3)), atol=2)
    assert len(values(plain(split, augment=True))) == 8
    assert split.broken.count == 0


def remove(name: str) -> Callable[[Path], None]:
    return lambda root: shutil.rmtree(root / name)


def empty_class(root: Path) -> None:
    (root / 'train' / 'n03').mkdir()


def no_classes(root: Path) -> None:
    shutil.rmtree(root / 'train')
    (root / 'train').mkdir()


def foreign_class(root: Path) -> None:
    (root / 'val' / 'n01').rename(root / 'val' / 'n09')


@pytest.mark.parametrize(
    ('damage', 'error', 'message'),
    [
        (remove('train'), FileNotFoundError, r'data_dir: expected .*train/CLASS.*got .*Give'),
        (remove('val'), FileNotFoundError, r'data_dir: expected .*val or validation/CLASS.*Give'),
        (no_classes, ValueError, r'data_dir: expected one folder per class.*got none.*Unpack'),
        (empty_class, ValueError, r'data_dir: expected images.*n03.*got none.*remove'),
        (foreign_class, ValueError, r"data_dir: expected the same classes.*got 'n09'.*Sort"),
    ],
)
def test_a_wrong_folder_is_named(damaged_dir: Path, damage, error, message):
    damage(damaged_dir)
    with pytest.raises(error, match=message):
        load(damaged_dir)
