"""Whether a metric is better when it is higher or lower."""

import pytest

from tf_n2uq.training.monitored_metric import checked_mode


@pytest.mark.parametrize(
    ('monitor', 'mode'),
    [
        ('accuracy', 'max'),
        ('val_accuracy_4bit', 'max'),
        ('val_top5_accuracy', 'max'),
        ('val_auc', 'max'),
        ('loss', 'min'),
        ('val_loss_2bit', 'min'),
        ('val_mean_absolute_error', 'min'),
        ('val_mse', 'min'),
    ],
)
def test_the_words_of_a_name_decide(monitor, mode):
    assert checked_mode(monitor, None) == mode


@pytest.mark.parametrize('monitor', ['val_gap', 'images_per_second', 'closs', 'accuracy_loss'])
def test_a_name_that_does_not_tell_is_refused_without_a_mode(monitor):
    with pytest.raises(ValueError, match=f"mode: expected 'max' or 'min' for .*'{monitor}'"):
        checked_mode(monitor, None)
    assert checked_mode(monitor, 'min') == 'min'


def test_the_users_word_counts_and_another_word_is_refused():
    assert checked_mode('loss', 'max') == 'max'
    with pytest.raises(ValueError, match="mode: expected 'max', 'min' or None, got 'auto'"):
        checked_mode('loss', 'auto')
