"""Datasets of encoded images: their arguments, shapes, values, and places among replicas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tf_n2uq import data

SIZES = {'image_size': 8, 'resize_size': 9}
PLAIN = {'mean': (0.0,) * 3, 'std': (1 / 255,) * 3} | SIZES


@pytest.mark.parametrize(
    ('arguments', 'error', 'message'),
    [
        ({'batch_size': 0}, ValueError, 'batch_size: expected at least 1, got 0. Give'),
        ({'batch_size': 2.0}, TypeError, 'batch_size: expected an integer, got 2.0'),
        ({'image_size': -1}, ValueError, 'image_size: expected at least 1, got -1'),
        ({'resize_size': 7}, ValueError, 'resize_size: expected at least image_size=8.*got 7'),
        ({'seed': -1}, ValueError, 'seed: expected an integer in 0..4294967295, got -1'),
        ({'first_epoch': -1}, ValueError, 'first_epoch: expected at least 0, got -1'),
        ({'shard': (2, 2)}, ValueError, r'shard: expected .* in 0..count−1, got \(2, 2\). Give'),
        ({'shard': 1}, TypeError, r'shard: expected \(index, count\), got 1'),
        ({'shard': (1,)}, ValueError, r'shard: expected \(index, count\), got \(1,\)'),
        ({'mean': (0.5,)}, ValueError, r'mean: expected three numbers.*got \(0.5,\)'),
        ({'std': (1, 0, 1)}, ValueError, r'std: expected three numbers above zero'),
        ({'min_area': 0}, ValueError, r'min_area: expected a fraction above 0.*got 0'),
    ],
)
def test_a_wrong_argument_of_a_dataset_is_named(image_dir: Path, arguments, error, message):
    split = data.load_imagenet(image_dir).train
    with pytest.raises(error, match=message):
        split.dataset(**{'batch_size': 2} | SIZES | arguments)


def test_static_shapes_are_known_and_the_number_of_batches_is_not(image_dir: Path):
    split = data.load_imagenet(image_dir).train
    for augment in (False, True):
        dataset = split.dataset(4, augment=augment, drop_remainder=True, **SIZES)
        images, labels = dataset.element_spec
        assert images.shape.as_list() == [4, 8, 8, 3]
        assert labels.shape.as_list() == [4]
        assert dataset.cardinality() == tf.data.UNKNOWN_CARDINALITY
        assert len(list(dataset)) == 1


def test_augmentation_mirrors_half_of_the_images_and_sizes_may_differ(image_dir: Path):
    ramp = np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[np.newaxis], 64, axis=0)
    for path in (image_dir / 'train' / 'n01').iterdir():
        Image.fromarray(ramp).save(path, 'JPEG')
    split = data.load_imagenet(image_dir).train
    dataset = split.dataset(60, augment=True, repeat=True, image_size=300, resize_size=8)
    ((images, _),) = dataset.take(1).as_numpy_iterator()
    mirrored = np.mean(images[:, 0, 0, 0] > images[:, 0, -1, 0])
    assert 0.25 < mirrored < 0.75


@pytest.mark.parametrize('augment', [False, True])
def test_without_normalization_values_are_whole_levels_of_8_bits(image_dir: Path, augment: bool):
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    for path in (image_dir / 'train' / 'n01').iterdir():
        Image.fromarray(noise).save(path, 'JPEG')
    split = data.load_imagenet(image_dir).train
    options = {'augment': augment, **SIZES}
    (images, _), *_ = split.dataset(6, normalize=False, **options).as_numpy_iterator()
    levels = 255 * images.astype(np.float64)
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-4)
    assert 0 <= levels.min() < levels.max() <= 255
    plain = split.dataset(6, mean=(0.0,) * 3, std=(1.0,) * 3, **options)
    (between, _), *_ = plain.as_numpy_iterator()
    np.testing.assert_allclose(images, between, atol=0.5001 / 255)
    assert np.abs(images - between).max() > 0.1 / 255


def test_a_strategy_divides_batches_among_its_replicas(image_dir: Path):
    strategy = tf.distribute.MirroredStrategy(['CPU:0'])
    split = data.load_imagenet(image_dir).train
    whole = strategy.experimental_distribute_dataset(split.dataset(3, **PLAIN))
    found = [round(float(image.numpy().mean()) / 30) for images, _ in whole for image in images]
    assert found == list(range(6))

    def own_shard(context: tf.distribute.InputContext) -> tf.data.Dataset:
        shard = (context.input_pipeline_id, context.num_input_pipelines)
        return split.dataset(context.get_per_replica_batch_size(3), shard=shard, **PLAIN)

    sharded = strategy.distribute_datasets_from_function(own_shard)
    assert sum(len(labels) for _, labels in sharded) == 6


def test_tf_data_divides_a_whole_dataset_and_leaves_a_shard_alone(image_dir: Path):
    split = data.load_imagenet(image_dir).train
    policies = tf.data.experimental.AutoShardPolicy
    for shard, policy in (((0, 1), policies.DATA), ((1, 2), policies.OFF)):
        options = split.dataset(2, shard=shard, **SIZES).options()
        assert options.experimental_distribute.auto_shard_policy == policy
        assert options.deterministic


def test_the_place_in_a_dataset_can_be_saved(image_dir: Path, tmp_path: Path):
    split = data.load_imagenet(image_dir).train
    iterator = iter(split.dataset(2, **PLAIN))
    next(iterator)
    path = tf.train.Checkpoint(iterator=iterator).write(str(tmp_path / 'place'))
    expected = next(iterator)[0].numpy()
    again = iter(split.dataset(2, **PLAIN))
    tf.train.Checkpoint(iterator=again).read(path)
    np.testing.assert_array_equal(next(again)[0], expected)
