"""The metric that selects the best epoch of a training."""

from __future__ import annotations

_HIGHER_IS_BETTER = frozenset({'acc', 'accuracy', 'auc', 'f1', 'iou', 'precision', 'recall'})
_LOWER_IS_BETTER = frozenset(
    {'crossentropy', 'error', 'loss', 'mae', 'mape', 'mse', 'msle', 'perplexity', 'rmse'}
)


def checked_mode(monitor: str, mode: str | None) -> str:
    """Returns whether a metric is better when it is higher ('max') or lower ('min').

    Args:
        monitor: The name of the metric, such as 'val_accuracy' or 'val_loss_4bit'.
        mode: 'max' or 'min' as the user says. With None the words of the name decide.

    Raises:
        ValueError: `mode` is another word, or it is None and the name does not tell.
    """
    if mode in ('max', 'min'):
        return mode
    if mode is not None:
        raise ValueError(
            f"mode: expected 'max', 'min' or None, got {mode!r}. Give 'max' if a higher value is "
            'better.'
        )
    words = set(monitor.lower().split('_'))
    is_better_higher, is_better_lower = words & _HIGHER_IS_BETTER, words & _LOWER_IS_BETTER
    if bool(is_better_higher) == bool(is_better_lower):
        raise ValueError(
            f"mode: expected 'max' or 'min' for the metric {monitor!r}, whose name does not tell "
            "whether a higher or a lower value is better, got None. Give mode='max' or mode='min'."
        )
    return 'max' if is_better_higher else 'min'
