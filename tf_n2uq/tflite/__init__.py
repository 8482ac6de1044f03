"""Integer TFLite files: conversion, inspection, comparison, evaluation, latency."""

from tf_n2uq.tflite.comparison import compare
from tf_n2uq.tflite.comparison_report import Comparison
from tf_n2uq.tflite.convert import convert
from tf_n2uq.tflite.evaluation import Evaluation, evaluate, predict
from tf_n2uq.tflite.inspection import Inspection, inspect
from tf_n2uq.tflite.interpreter import make_interpreter
from tf_n2uq.tflite.latency import Latency, benchmark
from tf_n2uq.tflite.micro import micro_arena

__all__ = [
    'Comparison',
    'Evaluation',
    'Inspection',
    'Latency',
    'benchmark',
    'compare',
    'convert',
    'evaluate',
    'inspect',
    'make_interpreter',
    'micro_arena',
    'predict',
]
