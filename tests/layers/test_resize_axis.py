import numpy as np
import pytest
import tf_keras as keras

from tf_n2uq.layers.resize_axis import WEIGHT_PARTS, ResizeAxis


def rows():
    """Rows 0, 0.5 (nearly) and 1 of two."""
    return ResizeAxis(1, sources=[0, 0, 1], parts=[0, 63, 0])


def test_the_weights_of_each_result_add_up_to_one():
    matrix = rows().matrix(2)
    np.testing.assert_array_equal(matrix, [[127, 64, 0], [0, 63, 127]])
    np.testing.assert_array_equal(matrix.sum(axis=0), WEIGHT_PARTS)


def test_rows_are_mixed_of_the_two_nearest():
    x = np.random.default_rng(0).normal(size=(2, 2, 5, 3)).astype(np.float32)
    y = rows()(x).numpy()
    assert y.shape == (2, 3, 5, 3)
    np.testing.assert_allclose(y[:, [0, 2]], x, rtol=1e-6)
    np.testing.assert_allclose(y[:, 1], (64 * x[:, 0] + 63 * x[:, 1]) / 127, atol=1e-6)


def test_columns_are_resized_as_rows_of_the_transposed_image_are():
    x = np.random.default_rng(0).normal(size=(2, 5, 2, 3)).astype(np.float32)
    columns = ResizeAxis(2, sources=[0, 0, 1], parts=[0, 63, 0])
    expected = np.swapaxes(rows()(np.swapaxes(x, 1, 2)), 1, 2)
    np.testing.assert_allclose(columns(x), expected, atol=1e-6)


def test_its_symbolic_output_has_the_new_size():
    assert rows()(keras.Input((2, 5, 3))).shape.as_list() == [None, 3, 5, 3]


@pytest.mark.parametrize('ending', ['keras', 'h5'])
def test_it_is_saved_without_a_scope(tmp_path, ending):
    model = keras.Sequential([keras.Input((2, 4, 3)), rows()])
    model.save(tmp_path / f'model.{ending}')
    loaded = keras.models.load_model(tmp_path / f'model.{ending}')
    x = np.random.default_rng(0).normal(size=(1, 2, 4, 3)).astype(np.float32)
    np.testing.assert_array_equal(loaded(x), model(x))


@pytest.mark.parametrize(('axis', 'parts'), [(3, [0, 0]), (0, [0, 0]), (1, [0])])
def test_wrong_arguments_are_named(axis, parts):
    with pytest.raises(ValueError, match='axis, sources, parts: expected axis 1 or 2 and as many'):
        ResizeAxis(axis, [0, 1], parts)
