import pytest
import tf_keras as keras

import tf_n2uq
from tests.networks import float_network, quantize


def _lines(model):
    lines: list[str] = []
    tf_n2uq.summary(model, print_fn=lines.append)
    assert max(map(len, lines)) <= 100
    return lines


def _row(lines, name):
    (line,) = (line for line in lines if line.split(' ')[0] == name)
    return line.split()[1:]


@pytest.fixture(scope='module')
def model():
    return quantize(float_network('residual'), bits=2)


def test_layers_are_listed_with_bits_sizes_and_work(model):
    lines = _lines(model)
    assert _row(lines, 'behind_sum') == [
        *('Conv2D', '3×3×8×8', '2', '2'),
        *('584', str(576 * 2 // 8 + 8 * 4), f'{6 * 6 * 576:,}'),
    ]
    dense = next(line for line in lines if ' Dense ' in line).split()
    assert dense[1:] == ['Dense', '8×4', '8', '8', '36', str(32 + 16), '32']
    assert [line.split()[3] for line in lines[2:7]] == ['8', '2', '2', '2', '8']


def test_totals_are_of_all_variables(model):
    text = '\n'.join(_lines(model))
    kernels = 216 + 3 * 576 + 32
    stored = 216 + 3 * 576 * 2 // 8 + 32
    others = model.count_params() - kernels
    assert f'kernels        {kernels:,} values, {stored:,} bytes' in text
    assert f'{8 * stored / kernels:.2f} bits per weight' in text
    assert f'others         {others:,} values, {4 * others:,} bytes' in text
    assert f'total          {stored + 4 * others:,} bytes' in text
    assert f'{4 * model.count_params():,} in float' in text
    low = 64 * 576 * 2 + 36 * 576
    assert f'8×8 {64 * 216 + 32:,}, 2×2 {low:,}' in text


def test_depthwise_and_separable_layers_count_each_kernel():
    lines = _lines(float_network('separable'))
    (separable,) = (line for line in lines if ' 3×3×12×2 ' in line or ' 3×3×12×2' in line)
    cells = separable.split()
    assert cells[1:6] == ['SeparableConv2D', '3×3×12×2', '1×1×24×8', '32', '32']
    assert cells[-1] == f'{2 * 2 * (9 * 12 * 2 + 24 * 8):,}'
    quantized = _lines(quantize(float_network('separable'), bits=4))
    (depthwise,) = (line for line in quantized if ' 3×3×12×2 ' in line)
    assert depthwise.split()[1:5] == ['DepthwiseConv2D', '3×3×12×2', '4', '4']


def test_layers_in_float_are_shown_as_such():
    lines = _lines(quantize(float_network('residual'), bits=2, layers={'behind_sum': None}))
    assert _row(lines, 'behind_sum')[2] == '32'


def test_work_on_images_of_unknown_size_is_left_open():
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, name='conv')(image)
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))
    assert _row(_lines(model), 'conv')[-1] == '-'


def test_a_model_without_kernels_has_a_summary():
    model = keras.Sequential([keras.layers.ReLU(input_shape=(4,))])
    assert 'by bits of kernel and input: none' in '\n'.join(_lines(model))


def test_it_prints_by_default(model, capsys):
    tf_n2uq.summary(model)
    assert capsys.readouterr().out.startswith('layer')


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match='model: expected a tf_keras model'):
        tf_n2uq.summary('model.keras')
