"""Integer TFLite files: conversion, inspection, evaluation."""

from tf_n2uq.tflite.convert import convert
from tf_n2uq.tflite.evaluation import Evaluation, evaluate, predict
from tf_n2uq.tflite.inspection import Inspection, inspect
from tf_n2uq.tflite.interpreter import make_interpreter

__all__ = [
    'Evaluation',
    'Inspection',
    'convert',
    'evaluate',
    'inspect',
    'make_interpreter',
    'predict',
]
