import dataclasses

import pytest

from tf_n2uq.tflite.reports.comparison_report import (
    ComparedOutput,
    Comparison,
    Differences,
    FirstDifference,
    OutputComparison,
    QuantizerComparison,
)

SAME = Differences(0, 0, None)
FIRST = FirstDifference(image=3, position=(1, 0, 2), keras_level=2, file_level=1)


def quantizer(name, xnnpack=SAME, reference=SAME):
    return QuantizerComparison(name, 'thresholds', 4, 200, xnnpack, reference)


REPORT = Comparison(
    images=16,
    quantizers=(
        quantizer('first'),
        quantizer('middle', Differences(2, 1, FIRST), Differences(50, 3, FIRST)),
        quantizer('last', Differences(20, 2, FIRST)),
    ),
    outputs=(
        ComparedOutput(
            'label',
            0.125,
            xnnpack=OutputComparison(0.9375, 0.25, 1.5),
            reference=OutputComparison(1.0, 0.0, 0.0),
        ),
    ),
    not_compared=('moved_range',),
)


def test_shares_are_of_all_values():
    first, middle, _ = REPORT.quantizers
    assert (first.xnnpack_share, first.reference_share) == (0.0, 0.0)
    assert (middle.xnnpack_share, middle.reference_share) == (0.01, 0.25)


def test_the_first_difference_is_that_of_the_order_of_execution():
    assert REPORT.first_xnnpack is REPORT.quantizers[1]
    alike = dataclasses.replace(REPORT, quantizers=(quantizer('first'),))
    assert alike.first_xnnpack is None


def test_the_table_begins_with_the_quantizer_that_differs_most():
    head, _, *rows = str(REPORT).split('\n\n')[0].splitlines()
    assert head.split()[:3] == ['quantizer', 'kind', 'order']
    assert [row.split()[0] for row in rows] == ['last', 'middle', 'first']
    assert rows[1].split() == [
        'middle',
        'thresholds',
        '2',
        '4',
        '200',
        '1.000%',
        '1',
        '25.000%',
        '3',
    ]


def test_the_summary_names_where_and_by_how_much():
    assert max(map(len, str(REPORT).splitlines())) <= 100
    text = ' '.join(str(REPORT).split())
    assert '16 images' in text
    assert 'first difference: middle, 2 of 3 in order of execution' in text
    assert 'image 3 at [1, 0, 2]: Keras 2, file 1' in text
    assert '93.75% agree; difference in steps of the output: mean 0.2500, largest 1.50' in text
    assert 'a step is worth 0.125' in text
    assert 'not compared moved_range' in text


def test_without_a_difference_there_is_none():
    alike = dataclasses.replace(REPORT, quantizers=(quantizer('first'),), not_compared=())
    assert str(alike).count('first difference: none') == 2
    assert 'not compared' not in str(alike)


def test_each_of_several_outputs_has_its_name_and_its_own_steps():
    box = ComparedOutput(
        'box', None, OutputComparison(None, 0.5, 2.0), OutputComparison(None, 0, 0)
    )
    several = dataclasses.replace(REPORT, outputs=(*REPORT.outputs, box))
    text = ' '.join(str(several).split())
    assert 'output: label: 93.75% agree' in text
    assert 'output: box: difference in steps of the output: mean 0.5000, largest 2.00' in text
    assert 'label: a step is worth 0.125' in text
    assert 'box: computed in float' in text
    with pytest.raises(ValueError, match='expected one output, got label, box'):
        several.xnnpack  # noqa: B018
    assert REPORT.xnnpack.agreement == 0.9375
    assert REPORT.output_scale == 0.125
