import numpy as np
import pytest

from tests.tflite.graphs import ALL_INT8, convert, operators, run
from tf_n2uq.tflite.network.lookup import Lookup
from tf_n2uq.tflite.network.ranges import Range

SOURCE, RESULT = Range(0.013, -128), Range(0.21, -17)
TABLES = {
    'falling': np.clip(np.rint(2000.0 / (ALL_INT8.astype(float) + 140)) - 100, -128, 127),
    'random': np.random.default_rng(0).integers(-128, 128, 256),
    'jumps': np.where(np.arange(256) % 2, 127, -128),
    'constant': np.full(256, 5),
    'identity': ALL_INT8,
}


@pytest.mark.parametrize('reference_kernels', [False, True])
@pytest.mark.parametrize('name', TABLES)
def test_every_int8_value_gets_its_entry(name, reference_kernels):
    lookup = Lookup.of(TABLES[name], SOURCE, RESULT)

    def function(x):
        x = SOURCE.quantize(x)
        return RESULT.quantize(lookup.apply(x))

    content = convert(function, [1, 16, 16, 1])
    assert operators(content) == ['DEPTHWISE_CONV_2D', 'CONV_2D']
    got = run(content, ALL_INT8.reshape(1, 16, 16, 1), reference_kernels)
    np.testing.assert_array_equal(got.ravel(), TABLES[name])
