"""Image datasets as deterministic `tf.data` pipelines."""

from tf_n2uq.data.broken import BrokenImages
from tf_n2uq.data.catalog import load
from tf_n2uq.data.encoded import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    EncodedImageData,
    EncodedSplit,
)
from tf_n2uq.data.imagenet import load_imagenet
from tf_n2uq.data.splits import ArraySplit, ImageData, Split

__all__ = [
    'IMAGENET_MEAN',
    'IMAGENET_STD',
    'ArraySplit',
    'BrokenImages',
    'EncodedImageData',
    'EncodedSplit',
    'ImageData',
    'Split',
    'load',
    'load_imagenet',
]
