import dataclasses

from tf_n2uq.tflite.reports.inspection_report import (
    Inspection,
    LayerReport,
    TensorReport,
    Undelegated,
)
from tf_n2uq.tflite.running.interpreter import Delegation


def layer(name, **changes):
    report = LayerReport(
        operator='CONV_2D',
        name=name,
        kernel_type='INT4',
        kernel_bits=4,
        kernel_shape=(8, 3, 3, 4),
        kernel_bytes=144,
        kernel_deflated_bytes=100,
        scales='per channel',
        comparators=3,
        parameters=296,
        multiply_adds=1152,
        operators=5,
        on_xnnpack=True,
    )
    return dataclasses.replace(report, **changes)


REPORT = Inspection(
    file_bytes=4096,
    deflated_bytes=1024,
    layers=(
        layer('model/quant_stem/BiasAdd;model/quant_stem/Conv2D'),
        layer(
            'quant_head/Reshape;other',
            operator='FULLY_CONNECTED',
            kernel_type='INT8',
            kernel_shape=(10, 8),
            kernel_bytes=80,
            kernel_deflated_bytes=70,
            comparators=0,
            parameters=90,
            multiply_adds=80,
            operators=1,
            on_xnnpack=False,
        ),
    ),
    constant_bytes={'INT4': 144, 'INT8': 80},
    operators={'CONV_2D': 1, 'SOFTMAX': 1},
    delegation=Delegation(partitions=1, inside=(0,), operators=2),
    undelegated=(Undelegated('SOFTMAX', 1, 'XNNPACK has no SOFTMAX of int8'),),
    violations=(),
    inputs=(TensorReport('image', 'INT8', (1, 8, 8, 3), 0.0078125, -128),),
    outputs=(TensorReport('logits', 'FLOAT32', (1, 10), None, None),),
)


def test_totals_are_sums_over_layers():
    assert REPORT.kernel_bytes == 224
    assert REPORT.kernel_deflated_bytes == 170
    assert REPORT.kernel_values == 8 * 3 * 3 * 4 + 80
    assert REPORT.bits_per_weight == 8 * 224 / 368
    assert REPORT.parameters == 386
    assert REPORT.multiply_adds == 1232
    assert REPORT.comparators == 3
    assert REPORT.xnnpack_partitions == 1


def test_a_file_without_kernels_has_no_bits_per_weight():
    empty = dataclasses.replace(REPORT, layers=())
    assert empty.bits_per_weight == 0.0
    assert str(empty).startswith('layer')


def test_the_table_has_a_row_per_layer_and_a_total():
    _, _, stem, head, total = str(REPORT).split('\n\n')[0].splitlines()
    assert stem.split() == [
        'model/quant_stem',
        'conv',
        '8×3×3×4',
        'INT4',
        '144',
        '100',
        '1,152',
        '3',
        '5',
        'yes',
    ]
    assert head.split() == ['head', 'dense', '10×8', 'INT8', '80', '70', '80', '-', '1', 'no']
    assert total.split() == ['total', '224', '170', '1,232', '3', '2', '1']


def test_the_summary_tells_what_xnnpack_leaves_and_why():
    text = str(REPORT)
    assert '4,096 bytes, in a zip 1,024; kernels 224 bytes (4.87 bits per weight)' in text
    assert '386 parameters' in ' '.join(text.split())
    assert 'INT4 144, INT8 80 (bytes)' in text
    assert '1 partition, 1 of 2 operators' in text
    assert 'not SOFTMAX 1: XNNPACK has no SOFTMAX of int8' in text
    assert 'image: INT8 [1, 8, 8, 3], scale 0.0078125, zero -128' in text
    assert 'logits: FLOAT32 [1, 10]' in text
    assert max(map(len, text.splitlines())) <= 100


def test_only_the_first_violations_are_listed():
    assert REPORT.integer_only
    floats = tuple(f'tensor {number}: FLOAT32' for number in range(9))
    report = dataclasses.replace(REPORT, violations=floats)
    assert not report.integer_only
    listed = [line for line in str(report).splitlines() if 'FLOAT32' in line and 'tensor' in line]
    assert len(listed) == 5


def test_long_names_keep_their_end():
    long = dataclasses.replace(REPORT, layers=(layer('block/' * 30 + 'end/Conv2D'),))
    assert max(map(len, str(long).splitlines())) <= 100
    assert 'end  ' in str(long)
