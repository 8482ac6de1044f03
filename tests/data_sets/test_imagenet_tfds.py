"""ImageNet as TensorFlow Datasets prepares it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tf_n2uq.data.imagenet_tfds import load_imagenet_tfds

PLAIN = {'mean': (0.0,) * 3, 'std': (1 / 255,) * 3, 'image_size': 8, 'resize_size': 9}


class TinyImagenet(tfds.core.GeneratorBasedBuilder):
    """Images of brightness 0, 10, 20 and so on; labels 0, 1, 2 in turns."""

    VERSION = tfds.core.Version('1.0.0')
    BUILDER_CONFIGS = [  # noqa: RUF012
        tfds.core.BuilderConfig(name=name) for name in ('good', 'testing', 'nameless')
    ]

    def _info(self) -> Any:
        image = 'photo' if self.builder_config.name == 'nameless' else 'image'
        features = {
            image: tfds.features.Image(shape=(None, None, 3), encoding_format='jpeg'),
            'label': tfds.features.ClassLabel(names=['cat', 'dog', 'eel']),
        }
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        last = 'test' if self.builder_config.name == 'testing' else 'validation'
        return {'train': self._examples(20), last: self._examples(4)}

    def _generate_examples(self) -> None:
        raise NotImplementedError

    def _examples(self, count: int) -> Iterator[tuple[int, dict[str, Any]]]:
        image, _ = sorted(self.info.features, key=lambda name: name == 'label')
        for i in range(count):
            yield i, {image: np.full((12, 14 + i, 3), 10 * i, np.uint8), 'label': i % 3}


@pytest.fixture(scope='module')
def tfds_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('tfds')
    for config in ('good', 'testing', 'nameless'):
        tfds.builder(f'tiny_imagenet/{config}', data_dir=root).download_and_prepare()
    return root


def numbers(dataset: tf.data.Dataset) -> list[tuple[int, int]]:
    return [
        (round(float(image.mean()) / 10), int(label))
        for images, labels in dataset.as_numpy_iterator()
        for image, label in zip(images, labels, strict=True)
    ]


def test_tensorflow_datasets_is_read_from_encoded_images(tfds_dir: Path):
    loaded = load_imagenet_tfds(tfds_dir, 'tiny_imagenet/good')
    assert (loaded.name, loaded.classes) == ('tfds', 3)
    assert loaded.class_names == ('cat', 'dog', 'eel')
    assert (loaded.train.examples, loaded.validation.examples) == (20, 4)
    first = numbers(loaded.train.dataset(8, shuffle=True, **PLAIN))
    assert sorted(first) == [(i, i % 3) for i in range(20)]
    assert first == numbers(loaded.train.dataset(8, shuffle=True, **PLAIN))
    parts = [numbers(loaded.train.dataset(8, shard=(i, 2), **PLAIN)) for i in range(2)]
    assert sorted(parts[0] + parts[1]) == [(i, i % 3) for i in range(20)]


@pytest.mark.parametrize(
    ('name', 'error', 'message'),
    [
        ('no_such_images', ValueError, "name: expected .*got 'no_such_images'. Give"),
        ('mnist', FileNotFoundError, r'data_dir: expected .*mnist.*no such folder.*tfds build'),
        ('tiny_imagenet/testing', ValueError, r"'train' and 'validation', got .*test.*Give"),
        ('tiny_imagenet/nameless', ValueError, r"'image' and 'label', got .*photo.*Give"),
    ],
)
def test_a_wrong_dataset_of_tensorflow_datasets_is_named(tfds_dir, name, error, message):
    with pytest.raises(error, match=message):
        load_imagenet_tfds(tfds_dir, name)
