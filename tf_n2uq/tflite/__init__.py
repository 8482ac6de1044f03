"""Integer TFLite files: conversion, inspection, comparison, evaluation, latency."""

from tf_n2uq.tflite.convert import convert
from tf_n2uq.tflite.reports.comparison import compare
from tf_n2uq.tflite.reports.comparison_report import Comparison
from tf_n2uq.tflite.reports.inspection import Inspection, inspect
from tf_n2uq.tflite.running.evaluation import Evaluation, evaluate
from tf_n2uq.tflite.running.interpreter import make_interpreter
from tf_n2uq.tflite.running.latency import Latency, benchmark
from tf_n2uq.tflite.running.micro import micro_arena
from tf_n2uq.tflite.running.prediction import predict

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
