import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.layers import DotProductAttention

rng = np.random.default_rng(0)


def normal(*shape):
    return rng.normal(size=shape).astype(np.float32)


def attended(query, key, value, seen=None):
    """Attention of one head, in NumPy: `[places, depth]` each."""
    scores = query @ key.T / np.sqrt(query.shape[-1])
    if seen is not None:
        scores = np.where(seen, scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ value


def test_each_head_attends_by_itself():
    query, key, value = normal(2, 4, 6), normal(2, 5, 6), normal(2, 5, 4)
    got = DotProductAttention(2)([query, key, value]).numpy()
    assert got.shape == (2, 4, 4)
    for example in range(2):
        for head in range(2):
            in_, out = slice(3 * head, 3 * head + 3), slice(2 * head, 2 * head + 2)
            parts = query[example, :, in_], key[example, :, in_], value[example, :, out]
            np.testing.assert_allclose(got[example, :, out], attended(*parts), 1e-5, 1e-6)


def test_a_mask_and_causality_hide_sources():
    query = normal(1, 4, 3)
    mask = np.array([[[1, 1, 0, 1]] * 4])
    got = DotProductAttention(1, causal=True)([query, query, query, mask]).numpy()
    seen = np.tril(np.ones((4, 4))) * mask[0] > 0
    np.testing.assert_allclose(got[0], attended(query[0], query[0], query[0], seen), 1e-5, 1e-6)


def test_masks_of_keras_hide_sources():
    query = tf.constant(normal(1, 4, 3))
    mask = tf.constant([[True, True, False, True]])
    layer = DotProductAttention(1)
    got = layer([query] * 3, mask=[None, mask, mask]).numpy()
    seen, numbers = np.tile(mask.numpy(), (4, 1)), query[0].numpy()
    np.testing.assert_allclose(got[0], attended(numbers, numbers, numbers, seen), 1e-5, 1e-6)
    assert layer.compute_mask([query] * 3, [mask, None, None]) is mask


@pytest.mark.parametrize(('axes', 'apart'), [((2,), 1), ((1,), 2), (None, None)])
def test_images_attend_over_the_given_axes(axes, apart):
    image = normal(2, 3, 4, 6)
    got = DotProductAttention(2, attention_axes=axes)([image] * 3).numpy()
    assert got.shape == image.shape
    if apart is None:
        expected = DotProductAttention(2)([image.reshape(2, 12, 6)] * 3).numpy()
        np.testing.assert_allclose(got.reshape(2, 12, 6), expected, 1e-5, 1e-6)
        return
    for place in range(image.shape[apart]):
        line = np.take(image, place, apart)
        expected = DotProductAttention(2)([line] * 3).numpy()
        np.testing.assert_allclose(np.take(got, place, apart), expected, 1e-5, 1e-6)


def test_dropout_works_in_training_alone():
    query = normal(2, 8, 4)
    layer = DotProductAttention(2, dropout=0.5)
    plain, dropped = (layer([query] * 3, training=training) for training in (False, True))
    np.testing.assert_allclose(plain, DotProductAttention(2)([query] * 3), 1e-5, 1e-6)
    assert not np.allclose(plain, dropped)


def test_the_config_makes_an_equal_layer():
    layer = DotProductAttention(2, dropout=0.25, attention_axes=(1,), causal=True, name='own')
    copy = keras.layers.deserialize(keras.layers.serialize(layer))
    assert copy.get_config() == layer.get_config()
    assert layer.compute_output_shape([(None, 5, 6), (None, 5, 6), (None, 5, 8)]) == (None, 5, 8)


@pytest.mark.parametrize('heads', [0, True, 1.5])
def test_other_numbers_of_heads_are_refused(heads):
    with pytest.raises(ValueError, match='num_heads: expected a whole number'):
        DotProductAttention(heads)


@pytest.mark.parametrize('shapes', [[6, 6, 5], [6, 4, 6], [5, 5, 5]])
def test_channels_that_the_heads_cannot_divide_are_refused(shapes):
    with pytest.raises(ValueError, match='whose channels 2 heads can divide'):
        DotProductAttention(2)([normal(1, 3, size) for size in shapes])


@pytest.mark.parametrize('axes', [(), (0, 1), (1, 1), 'ab', (1.0,), 2])
def test_other_axes_are_refused(axes):
    with pytest.raises(ValueError, match='attention_axes: expected different axes'):
        DotProductAttention(2, attention_axes=axes)
