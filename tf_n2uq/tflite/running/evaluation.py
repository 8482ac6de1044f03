"""How good a TFLite classifier is, and how well it agrees with the model that it was made of."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
import tqdm

from tf_n2uq.tflite.running.interpreter import dequantized, make_interpreter, quantized


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What `evaluate` measured.

    Attributes:
        examples: How many images were classified.
        accuracy: Share of them classified as labelled.
        reference_accuracy: Share of them that the reference classifies so; None without one.
        agreement: Share of them classified as by the reference; None without one.
        mean_difference: Mean absolute difference from the reference's outputs; None without one.
        max_difference: Largest absolute difference from the reference's outputs; None without one.
    """

    examples: int
    accuracy: float
    reference_accuracy: float | None = None
    agreement: float | None = None
    mean_difference: float | None = None
    max_difference: float | None = None


def evaluate(
    content: bytes,
    dataset: Iterable[Any],
    reference: Any = None,
    num_threads: int = 2,
    verbose: bool = False,
) -> Evaluation:
    """Classifies a dataset with a TFLite file.

    Args:
        content: The bytes of a file with one input, of images, and one output [batch, classes].
        dataset: Yields batches of float images [batch, …] and integer labels [batch] or [batch, 1];
            a `tf.data.Dataset` or any other iterable.
        reference: A Keras model to compare the outputs with, image by image.
        num_threads: Threads to compute with.
        verbose: Show a progress bar.

    Returns:
        Accuracy; with a reference also its accuracy, and the agreement of both.

    Raises:
        TypeError: `content` is not bytes, or labels are not integers.
        ValueError: `content` is not a TFLite file, or has not one input and one output of at least
            two classes; `dataset` is empty; images have not the shape of the file's input; labels
            do not fit the images; or the reference's outputs have another shape.
    """
    predictor = _Predictor(content, num_threads)
    correct = correct_reference = agreeing = examples = 0
    total, largest, values = 0.0, 0.0, 0
    for batch in tqdm.tqdm(dataset, desc='TFLite', unit='batch', disable=not verbose):
        images, labels = _images_and_labels(batch)
        if not len(images):
            continue
        outputs = predictor(images)
        classes = _classes(outputs)
        correct += int((classes == labels).sum())
        examples += len(images)
        if reference is not None:
            expected = np.asarray(reference.predict_on_batch(images), np.float32)
            if expected.shape != outputs.shape:
                raise ValueError(
                    f"`reference` must give outputs of the file's shape {outputs.shape}, got "
                    f'{expected.shape}.'
                )
            expected_classes = expected.argmax(axis=-1)
            correct_reference += int((expected_classes == labels).sum())
            agreeing += int((classes == expected_classes).sum())
            difference = np.abs(outputs - expected)
            total += float(difference.sum(dtype=np.float64))
            largest = max(largest, float(difference.max()))
            values += difference.size
    if not examples:
        raise ValueError(
            '`dataset` must yield at least one batch of images and labels; it is empty.'
        )
    if reference is None:
        return Evaluation(examples, correct / examples)
    return Evaluation(
        examples,
        accuracy=correct / examples,
        reference_accuracy=correct_reference / examples,
        agreement=agreeing / examples,
        mean_difference=total / values,
        max_difference=largest,
    )


def predict(content: bytes, images: np.ndarray, num_threads: int = 2) -> np.ndarray:
    """Runs a TFLite file.

    Args:
        content: The bytes of a file with one input and one output.
        images: Float array [n, …] as the model was trained on; quantized here if the file's input
            is int8 or uint8.
        num_threads: Threads to compute with.

    Returns:
        float32 array [n, …], dequantized if the file's output is int8 or uint8.

    Raises:
        TypeError: `content` is not bytes.
        ValueError: `content` is not a TFLite file with one input and one output, or `images` is
            empty or does not have the shape of its input.
    """
    images = np.asarray(images)
    if images.ndim == 0 or not len(images):
        raise ValueError(f'`images` must hold at least one image, got shape {images.shape}.')
    return _Predictor(content, num_threads)(images)


class _Predictor:
    """Runs a file: on whole batches where its graph allows, otherwise example by example."""

    def __init__(self, content: bytes, num_threads: int) -> None:
        self._content, self._num_threads = content, num_threads
        self._interpreter = self._new_interpreter()
        self._fixed_batch = False
        inputs, outputs = (
            self._interpreter.get_input_details(),
            self._interpreter.get_output_details(),
        )
        if len(inputs) != 1 or len(outputs) != 1:
            raise ValueError(
                '`content` must be a TFLite file with one input and one output; got '
                f'{len(inputs)} and {len(outputs)}.'
            )
        self._input, self._output = inputs[0], outputs[0]
        self._batch = int(self._input['shape'][0])
        self._file_batch = self._batch
        self._interpreter.allocate_tensors()

    def __call__(self, images: np.ndarray) -> np.ndarray:
        expected = tuple(int(size) for size in self._input['shape'][1:])
        if images.shape[1:] != expected:
            raise ValueError(
                f"Images must have the shape of the file's input, {expected}, after the batch "
                f'axis; got {images.shape[1:]}.'
            )
        # The last batch of a dataset may be smaller: it is filled up rather than prepared anew.
        if len(images) > self._batch and not self._fixed_batch:
            self._resize(len(images))
        return np.concatenate(
            [
                self._run(images[start : start + self._batch])
                for start in range(0, len(images), self._batch)
            ]
        )

    def _new_interpreter(self) -> Any:
        return make_interpreter(self._content, self._num_threads)

    def _resize(self, batch: int) -> None:
        shape = [batch, *(int(size) for size in self._input['shape'][1:])]
        try:
            self._interpreter.resize_tensor_input(self._input['index'], shape)
            self._interpreter.allocate_tensors()
            resized = int(self._interpreter.get_output_details()[0]['shape'][0]) == batch
        # A shape somewhere in the graph is a constant.
        except (RuntimeError, ValueError):
            resized = False
        self._batch = batch
        if not resized:
            self._fixed_batch, self._batch = True, self._file_batch
            self._interpreter = self._new_interpreter()
            self._interpreter.allocate_tensors()

    def _run(self, images: np.ndarray) -> np.ndarray:
        missing = self._batch - len(images)
        filled = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
        self._interpreter.set_tensor(self._input['index'], quantized(filled, self._input))
        self._interpreter.invoke()
        outputs = self._interpreter.get_tensor(self._output['index'])
        return dequantized(outputs, self._output)[: len(images)]


def _images_and_labels(batch: Any) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise ValueError(
            f'`dataset` must yield pairs (images, labels) of batches, got {type(batch).__name__}.'
        )
    images, labels = np.asarray(batch[0]), np.asarray(batch[1])
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(f'`dataset` must yield integer labels, got dtype {labels.dtype}.')
    if images.ndim < 2 or labels.shape not in ((len(images),), (len(images), 1)):
        raise ValueError(
            '`dataset` must yield batches: images [batch, …] with one integer label each, [batch] '
            f'or [batch, 1]; got shapes {images.shape} and {labels.shape}.'
        )
    return images, labels.reshape(-1)


def _classes(outputs: np.ndarray) -> np.ndarray:
    if outputs.ndim != 2 or outputs.shape[1] < 2:
        raise ValueError(
            'The output of a classifier must have the shape [batch, classes], with two classes or '
            f'more; the file gives {outputs.shape}.'
        )
    return outputs.argmax(axis=-1)
