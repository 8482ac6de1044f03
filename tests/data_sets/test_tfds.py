from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tf_n2uq import data

SPLITS = {
    'plain': ('train', 'test'),
    'deep': ('train', 'test'),
    'validated': ('train', 'validation', 'test'),
    'varied': ('train', 'validation'),
    'unlabeled': ('train', 'test'),
    'trainless': ('test',),
}
EXAMPLES = {'train': 40, 'validation': 6, 'test': 8}


class TinyImages(tfds.core.GeneratorBasedBuilder):
    """Random images whose top-left pixel is their position."""

    VERSION = tfds.core.Version('1.0.0')
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name) for name in SPLITS]  # noqa: RUF012

    def _info(self) -> Any:
        config = self.builder_config.name
        features = {
            'image': tfds.features.Image(
                shape=(None, None, 3) if config == 'varied' else (8, 6, 3),
                dtype=np.uint16 if config == 'deep' else np.uint8,
            )
        }
        if config != 'unlabeled':
            features['label'] = tfds.features.ClassLabel(num_classes=4)
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features),
            # 'plain' leaves it open which features are meant: they are found by their types.
            supervised_keys=('image', 'label') if config in ('varied', 'deep') else None,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {split: self._examples(split) for split in SPLITS[self.builder_config.name]}

    def _generate_examples(self) -> None:
        raise NotImplementedError

    def _examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        config = self.builder_config.name
        for i in range(EXAMPLES[split]):
            shape = (8 + i % 3, 6, 3) if config == 'varied' else (8, 6, 3)
            image = np.full(
                shape, 65535 if config == 'deep' else 100, self.info.features['image'].np_dtype
            )
            if config != 'varied':
                image[0, 0] = i
            yield i, {'image': image} | ({} if config == 'unlabeled' else {'label': i % 4})


@pytest.fixture(scope='module')
def tfds_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """TensorFlow Datasets' folder; a dataset is prepared when it is first loaded."""
    return tmp_path_factory.mktemp('tfds')


def positions(split: data.Split, **arguments: Any) -> list[int]:
    dataset = split.dataset(16, **arguments)
    return [round(i[0, 0, 0] * 255) for b, _ in dataset.as_numpy_iterator() for i in b]


def test_a_dataset_without_validation_lends_the_last_tenth_of_training(tfds_dir: Path):
    loaded = data.load('tfds:tiny_images/plain', data_dir=tfds_dir)
    assert (loaded.name, loaded.classes) == ('tfds:tiny_images/plain', 4)
    assert loaded.image_shape == (8, 6, 3)
    sizes = [split.examples for split in (loaded.train, loaded.validation, loaded.test)]
    assert sizes == [36, 4, 8]
    everything = positions(loaded.train) + positions(loaded.validation)
    assert sorted(everything) == list(range(40))
    assert sorted(positions(loaded.test)) == list(range(8))


def test_images_are_floats_and_labels_stay_with_them(tfds_dir: Path):
    loaded = data.load('tfds:tiny_images/plain', data_dir=tfds_dir)
    images, labels = loaded.train.arrays()
    assert (images.dtype, labels.dtype) == (np.float32, np.int32)
    np.testing.assert_allclose(images[:, 1:], 100 / 255, rtol=1e-6)
    np.testing.assert_array_equal(np.round(images[:, 0, 0, 0] * 255) % 4, labels)


def test_order_follows_the_seed_and_epochs_differ(tfds_dir: Path):
    train = data.load('tfds:tiny_images/plain', data_dir=tfds_dir).train
    assert positions(train) == positions(train)
    assert positions(train, shuffle=True, seed=1) == positions(train, shuffle=True, seed=1)
    assert positions(train, shuffle=True, seed=1) != positions(train, shuffle=True, seed=2)
    dataset = train.dataset(40, shuffle=True)
    (first, _), (second, _) = next(iter(dataset)), next(iter(dataset))
    assert not np.array_equal(first, second)


def test_length_is_known_and_batches_are_augmented(tfds_dir: Path):
    train = data.load('tfds:tiny_images/plain', data_dir=tfds_dir).train
    dataset = train.dataset(16, shuffle=True, augment='shift')
    assert dataset.cardinality() == 3
    assert dataset.element_spec[0].shape.as_list() == [None, 8, 6, 3]
    assert any(np.any(images == 0.0) for images, _ in dataset.as_numpy_iterator())


def test_splits_of_the_dataset_are_used_where_it_has_three(tfds_dir: Path):
    loaded = data.load('tfds:tiny_images/validated', data_dir=tfds_dir)
    sizes = [split.examples for split in (loaded.train, loaded.validation, loaded.test)]
    assert sizes == [40, 6, 8]


def test_sixteen_bit_images_reach_one(tfds_dir: Path):
    images, _ = data.load('tfds:tiny_images/deep', data_dir=tfds_dir).train.arrays()
    assert images.max() == 1.0


def test_images_of_several_sizes_need_one_size(tfds_dir: Path):
    with pytest.raises(ValueError, match=r'image_size: expected \(height, width\).*tiny_images'):
        data.load('tfds:tiny_images/varied', data_dir=tfds_dir)
    loaded = data.load('tfds:tiny_images/varied', data_dir=tfds_dir, image_size=(4, 5))
    assert loaded.image_shape == (4, 5, 3)
    images, _ = loaded.train.arrays()
    assert images.shape == (36, 4, 5, 3)
    np.testing.assert_allclose(images, 100 / 255, rtol=1e-6)
    assert loaded.test.examples == 6  # its validation split: there is no test split


@pytest.mark.parametrize('size', [8, (4,), (4, 0), (4.0, 4)])
def test_a_wrong_image_size_is_named(tfds_dir: Path, size):
    with pytest.raises(ValueError, match='image_size: expected two positive integers'):
        data.load('tfds:tiny_images/varied', data_dir=tfds_dir, image_size=size)


def test_a_dataset_without_labels_is_refused(tfds_dir: Path):
    with pytest.raises(ValueError, match=r'one class label.*tiny_images/unlabeled'):
        data.load('tfds:tiny_images/unlabeled', data_dir=tfds_dir)


def test_a_dataset_without_training_split_is_refused(tfds_dir: Path):
    with pytest.raises(ValueError, match=r"'train' and 'test'.*got .*\['test'\]"):
        data.load('tfds:tiny_images/trainless', data_dir=tfds_dir)


def test_an_unknown_name_is_named(tfds_dir: Path):
    with pytest.raises(ValueError, match=r"name: .*data_dir.*'no_such_images'"):
        data.load('tfds:no_such_images', data_dir=tfds_dir)
