"""The outputs of a TFLite file for arrays and datasets, by the names and order of the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.output_structure import returns_dictionary
from tf_n2uq.tflite.passes.signature import end_names
from tf_n2uq.tflite.running.datasets import batches_of, is_dataset
from tf_n2uq.tflite.running.interpreter import (
    dequantized,
    filled_up,
    make_interpreter,
    quantized,
)


def predict(content: bytes, inputs: Any, num_threads: int = 2) -> Any:
    """Runs a TFLite file.

    Args:
        content: The bytes of the file.
        inputs: Float arrays [n, …] like those that the model was trained on. One array for a file
            of one input; for several inputs, a list in the order of the model's inputs, or a
            dictionary with their names. Or a `tf.data.Dataset` of batches of these, or of tuples
            that begin with them, as for `fit`. Numbers are quantized here if the input of the file
            is int8 or uint8.
        num_threads: The number of threads that compute.

    Returns:
        A float32 array [n, …], dequantized if the output of the file is int8 or uint8. For several
        outputs, a list or dictionary of these arrays, as the model returns them.

    Raises:
        TypeError: If `content` is not bytes.
        ValueError: If `content` is not a TFLite file; or if `inputs` is empty, names other inputs
            than the file has, or has not their shapes.
    """
    runner = FileRunner(content, num_threads)
    if not is_dataset(inputs):
        return runner.nested(runner(runner.in_order(inputs)))
    parts = [runner(runner.in_order(batch[0])) for batch in batches_of(inputs)]
    if not parts:
        raise ValueError(
            'inputs: expected at least one batch, got an empty dataset. A generator is empty after '
            'its first use: make a new one.'
        )
    return runner.nested([np.concatenate(each) for each in zip(*parts, strict=True)])


class FileRunner:
    """Runs a file on whole batches if its graph allows it, and else on the file's own batch.

    Attributes:
        input_names: The names of the inputs, in the order of the model.
        output_names: The names of the outputs, in the order of the model.
    """

    def __init__(self, content: bytes, num_threads: int) -> None:
        self._content, self._num_threads = content, num_threads
        file = flatbuffer.read(content)
        self.input_names, self.output_names = end_names(file)
        self._returns_dictionary = returns_dictionary(file)
        self._interpreter = self._new_interpreter()
        self._fixed_batch = False
        self._inputs = self._interpreter.get_input_details()
        self._outputs = self._interpreter.get_output_details()
        self._batch = self._file_batch = int(self._inputs[0]['shape'][0])
        self._interpreter.allocate_tensors()

    def in_order(self, inputs: Any) -> list[np.ndarray]:
        """Returns what a user gives as inputs, in the order of the file.

        Args:
            inputs: As for `predict`, but no dataset.

        Raises:
            ValueError: As for `predict`.
        """
        arrays = [np.asarray(each) for each in self._listed(inputs)]
        for name, array, details in zip(self.input_names, arrays, self._inputs, strict=True):
            of = f' {name!r}' if len(arrays) > 1 else ''
            if array.ndim == 0 or not len(array):
                raise ValueError(
                    f'inputs: expected an array{of} [n, …] of at least one example, got the shape '
                    f'{array.shape}. Put a single one into an array with example[np.newaxis].'
                )
            expected = tuple(int(size) for size in details['shape'][1:])
            if array.shape[1:] != expected:
                raise ValueError(
                    f"inputs: expected the shape of the file's input{of} behind the batch axis, "
                    f'{expected}, got {array.shape[1:]}. Resize the images.'
                )
        if len({len(array) for array in arrays}) > 1:
            raise ValueError(
                'inputs: expected as many examples of each input, got '
                f'{", ".join(str(len(array)) for array in arrays)} of '
                f'{", ".join(self.input_names)}. Give as many of each.'
            )
        return arrays

    def _listed(self, inputs: Any) -> list[Any]:
        names = self.input_names
        if isinstance(inputs, Mapping):
            if set(inputs) != set(names):
                raise ValueError(
                    f"inputs: expected the names of the file's inputs, {', '.join(names)}, got "
                    f'{", ".join(map(str, inputs))}. Give an array for each of them.'
                )
            return [inputs[name] for name in names]
        if len(names) == 1:
            rank = len(self._inputs[0]['shape'])
            in_list = isinstance(inputs, (list, tuple)) and len(inputs) == 1
            return list(inputs) if in_list and np.ndim(inputs[0]) == rank else [inputs]
        if not isinstance(inputs, (list, tuple)) or len(inputs) != len(names):
            got = len(inputs) if isinstance(inputs, (list, tuple)) else type(inputs).__name__
            raise ValueError(
                f'inputs: expected {len(names)} arrays, for the inputs {", ".join(names)}, got '
                f'{got}. Give a list in this order, or a dictionary by these names.'
            )
        return list(inputs)

    def nested(self, outputs: list[np.ndarray]) -> Any:
        """Returns outputs in the structure in which the model returns them.

        Args:
            outputs: The outputs in the order of the file.
        """
        if self._returns_dictionary:
            return dict(zip(self.output_names, outputs, strict=True))
        return outputs if len(outputs) > 1 else outputs[0]

    def __call__(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
        """Returns the float outputs of inputs, both in the order of the file."""
        count = len(inputs[0])
        # The last batch of a dataset may be smaller. It is filled up, which is faster than a
        # preparation for another size.
        if count > self._batch and not self._fixed_batch:
            self._resize(count)
        parts = [
            self._run([each[start : start + self._batch] for each in inputs])
            for start in range(0, count, self._batch)
        ]
        return [np.concatenate(each) for each in zip(*parts, strict=True)]

    def _new_interpreter(self) -> Any:
        return make_interpreter(self._content, self._num_threads)

    def _resize(self, batch: int) -> None:
        try:
            for details in self._inputs:
                shape = [batch, *(int(size) for size in details['shape'][1:])]
                self._interpreter.resize_tensor_input(details['index'], shape)
            self._interpreter.allocate_tensors()
            shapes = [each['shape'] for each in self._interpreter.get_output_details()]
            resized = all(int(shape[0]) == batch for shape in shapes)
        # The interpreter raises these errors if a shape somewhere in the graph is a constant.
        except (RuntimeError, ValueError):
            resized = False
        self._batch = batch
        if not resized:
            self._fixed_batch, self._batch = True, self._file_batch
            self._interpreter = self._new_interpreter()
            self._interpreter.allocate_tensors()

    def _run(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
        for each, details in zip(inputs, self._inputs, strict=True):
            given = quantized(filled_up(each, self._batch), details)
            self._interpreter.set_tensor(details['index'], given)
        self._interpreter.invoke()
        return [
            dequantized(self._interpreter.get_tensor(each['index']), each)[: len(inputs[0])]
            for each in self._outputs
        ]
