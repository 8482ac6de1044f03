"""Settings of several outputs."""

import pytest

from tf_n2uq.training.losses.per_output import per_output

NAMES = ['label', 'box']


@pytest.mark.parametrize(
    ('setting', 'expected'),
    [
        (None, [None, None]),
        ('mse', ['mse', 'mse']),
        (['a', 'b'], ['a', 'b']),
        (('a', None), ['a', None]),
        ({'box': 'b', 'label': 'a'}, ['a', 'b']),
        ({'box': 'b'}, [None, 'b']),
        ({}, [None, None]),
    ],
)
def test_a_setting_is_for_all_in_order_or_by_name(setting, expected):
    assert per_output(setting, NAMES, 'loss') == expected


def test_names_and_lengths_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match='loss: expected names of outputs, label, box, got boxes'):
        per_output({'boxes': 'mse'}, NAMES, 'loss')
    with pytest.raises(ValueError, match='loss: expected 2 entries, .* label, box, got 1'):
        per_output(['mse'], NAMES, 'loss')
