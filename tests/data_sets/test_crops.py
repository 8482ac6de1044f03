import numpy as np
import pytest
import tensorflow as tf

from tf_n2uq.data import crops


def boxes(size: tuple[int, int], count: int, min_area: float = 0.08) -> np.ndarray:
    keys = tf.range(count, dtype=tf.int64)
    randoms = crops.uniform(tf.constant(5, tf.int64), keys, crops.RANDOMS)
    drawn = crops.draw(randoms, min_area)
    return tf.map_fn(
        lambda one: crops.box(one, tf.constant(size)), drawn, fn_output_signature=tf.int32
    ).numpy()


def test_random_numbers_are_uniform_and_depend_on_seed_and_key_alone():
    keys = tf.constant([3, 1, 4, 1], tf.int64)
    found = crops.uniform(tf.constant(7, tf.int64), keys, 500).numpy()
    assert found.shape == (4, 500)
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() < 1
    np.testing.assert_array_equal(found[1], found[3])
    alone = crops.uniform(tf.constant(7, tf.int64), keys[2:3], 500).numpy()
    np.testing.assert_array_equal(alone[0], found[2])
    other = crops.uniform(tf.constant(8, tf.int64), keys, 500).numpy()
    assert np.mean(found == other) < 0.01
    for quantile in (0.1, 0.5, 0.9):
        assert abs(np.quantile(found[:3], quantile) - quantile) < 0.04


def test_half_of_the_crops_are_mirrored():
    keys = tf.range(2000, dtype=tf.int64)
    randoms = crops.uniform(tf.constant(1, tf.int64), keys, crops.RANDOMS)
    assert 0.46 < np.mean(crops.draw(randoms, 0.08).mirrored) < 0.54


def test_random_boxes_lie_inside_and_cover_scales_and_ratios():
    found = boxes((375, 500), 1500)
    top, left, height, width = found.T
    assert min(top.min(), left.min()) >= 0
    assert np.all(top + height <= 375)
    assert np.all(left + width <= 500)
    area, ratio = height * width / (375 * 500), width / height
    assert 0.07 < area.min() < 0.1
    assert area.max() > 0.85
    assert 0.73 < ratio.min() < 0.77
    assert 1.3 < ratio.max() < 1.37


@pytest.mark.nightly
def test_random_boxes_have_the_distribution_of_the_published_loop():
    random = np.random.default_rng(0)

    def published() -> tuple[float, float]:
        for _ in range(10):
            area = 375 * 500 * random.uniform(0.08, 1.0)
            ratio = np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3)))
            width, height = round(np.sqrt(area * ratio)), round(np.sqrt(area / ratio))
            if 0 < width <= 500 and 0 < height <= 375:
                return width * height / 187500, random.integers(0, 375 - height + 1)
        return 1.0, 0.0

    expected = np.array([published() for _ in range(6000)])
    found = boxes((375, 500), 3000)
    areas, tops = found[:, 2] * found[:, 3] / 187500, found[:, 0]
    for quantile in (0.1, 0.3, 0.5, 0.7, 0.9):
        assert abs(np.quantile(areas, quantile) - np.quantile(expected[:, 0], quantile)) < 0.03
        assert abs(np.quantile(tops, quantile) - np.quantile(expected[:, 1], quantile)) < 9


@pytest.mark.parametrize(
    ('size', 'expected'),
    [((1000, 3), [498, 0, 4, 3]), ((3, 1000), [0, 498, 3, 4])],
)
def test_an_extreme_shape_falls_back_to_its_middle(size, expected):
    found = boxes(size, 20, min_area=0.9)
    assert found.tolist() == [expected] * 20


def test_a_square_taken_whole_is_whole():
    # Every attempt but ratio 1 fails when the whole area is asked for.
    assert boxes((64, 64), 5, min_area=1.0)[:, 2:].min() >= 63
