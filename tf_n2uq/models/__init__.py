"""Networks to start from, by their names."""

from tf_n2uq.models.named_networks import build

__all__ = ['build']
