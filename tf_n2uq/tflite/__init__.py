"""Integer TFLite files: conversion, inspection, evaluation."""

from tf_n2uq.tflite.convert import convert

__all__ = ['convert']
