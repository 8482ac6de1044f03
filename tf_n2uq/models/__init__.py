"""Networks to start from."""

from tf_n2uq.models.builder import build

__all__ = ['build']
