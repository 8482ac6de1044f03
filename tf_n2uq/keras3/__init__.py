"""Models of Keras 3, as models of tf_keras."""

from tf_n2uq.keras3.conversion import from_keras3
from tf_n2uq.keras3.returned_weights import to_keras3_weights

__all__ = ['from_keras3', 'to_keras3_weights']
