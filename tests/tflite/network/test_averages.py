import numpy as np
import pytest
import tf_keras as keras

from tests.tflite.integer_calls import integer_call, numbers, run_form
from tf_n2uq.tflite.network.averages import AverageForm
from tf_n2uq.tflite.network.form import AsInKeras
from tf_n2uq.tflite.network.kernel_forms import average_image, average_series

IMAGE, SERIES = (1, 6, 9, 4), (1, 12, 4)


@pytest.mark.parametrize(
    ('layer', 'average', 'shape'),
    [
        (keras.layers.AveragePooling2D((2, 3), strides=2), average_image, IMAGE),
        (keras.layers.AveragePooling2D(3, strides=2), average_image, IMAGE),
        (keras.layers.AveragePooling2D(3, padding='same'), average_image, IMAGE),
        (keras.layers.AveragePooling1D(3), average_series, SERIES),
        (keras.layers.AveragePooling1D(4, strides=3), average_series, SERIES),
    ],
)
def test_full_windows_are_averaged_by_a_kernel_of_equal_integers(layer, average, shape):
    call, x = integer_call(layer, shape), numbers(shape)
    form = AverageForm(average, otherwise=AsInKeras())
    (kernel,) = form.kernels(call).values()
    assert np.unique(kernel.integers).tolist() == [127]
    np.testing.assert_allclose(run_form(form, call, x), layer(x), atol=1e-5)


def test_windows_over_the_border_are_left_to_the_other_form():
    layer = keras.layers.AveragePooling2D(2, padding='same')
    call, x = integer_call(layer, (1, 5, 6, 4)), numbers((1, 5, 6, 4))
    form = AverageForm(average_image, otherwise=AsInKeras())
    assert form.kernels(call) == {}
    np.testing.assert_array_equal(run_form(form, call, x), layer(x))
