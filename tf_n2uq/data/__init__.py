"""Image datasets as deterministic `tf.data` pipelines."""

from tf_n2uq.data.catalog import load
from tf_n2uq.data.splits import ArraySplit, ImageData, Split

__all__ = ['ArraySplit', 'ImageData', 'Split', 'load']
