"""The accuracy of a TFLite classifier, and its agreement with the Keras model behind it."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
import tqdm

from tf_n2uq.tflite.running.interpreter import (
    dequantized,
    filled_up,
    make_interpreter,
    quantized,
)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate`.

    All attributes but the first two are None if `evaluate` got no reference.

    Attributes:
        examples: The number of images.
        accuracy: The share of the images that the file classifies as labelled, 0..1.
        reference_accuracy: The share of the images that the reference classifies as labelled.
        agreement: The share of the images that the file and the reference classify alike.
        mean_difference: The mean absolute difference between the outputs of both.
        max_difference: The largest absolute difference between the outputs of both.
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
        dataset: A `tf.data.Dataset` or any other iterable of batches. Each batch is a pair of float
            images [batch, …] and integer labels [batch] or [batch, 1].
        reference: A Keras model whose outputs are compared with those of the file, or None.
        num_threads: The number of threads that compute.
        verbose: Whether to show a progress bar.

    Returns:
        The accuracy of the file. With a reference, also the accuracy of the reference and the
        agreement of both.

    Raises:
        TypeError: If `content` is not bytes, or labels are not integers.
        ValueError: If `content` is not a TFLite file, or has not one input and one output of at
            least two classes; if `dataset` is empty, or its images have another shape than the
            file's input, or its labels do not fit its images; or if the outputs of the reference
            have another shape.
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
                    f"reference: expected a model with outputs of the file's shape "
                    f'{outputs.shape}, got {expected.shape}. Give the model that the file was made '
                    'of.'
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
            'dataset: expected at least one batch of images and labels, got none. A generator is '
            'empty after its first use: make a new one.'
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
    """Runs a TFLite file on images.

    Args:
        content: The bytes of a file with one input and one output.
        images: Float array [n, …] of images like those that the model was trained on. They are
            quantized here if the input of the file is int8 or uint8.
        num_threads: The number of threads that compute.

    Returns:
        float32 array [n, …], dequantized if the output of the file is int8 or uint8.

    Raises:
        TypeError: If `content` is not bytes.
        ValueError: If `content` is not a TFLite file with one input and one output, or if `images`
            is empty or has not the shape of the file's input.
    """
    images = np.asarray(images)
    if images.ndim == 0 or not len(images):
        raise ValueError(
            f'images: expected an array [n, …] of at least one image, got the shape {images.shape}.'
            ' Put a single image into an array with images[np.newaxis].'
        )
    return _Predictor(content, num_threads)(images)


class _Predictor:
    """Runs a file on whole batches if its graph allows it, and else on the file's own batch."""

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
                'content: expected a TFLite file with one input and one output, got '
                f'{len(inputs)} and {len(outputs)}. Run other files with '
                'tf_n2uq.tflite.make_interpreter.'
            )
        self._input, self._output = inputs[0], outputs[0]
        self._batch = int(self._input['shape'][0])
        self._file_batch = self._batch
        self._interpreter.allocate_tensors()

    def __call__(self, images: np.ndarray) -> np.ndarray:
        expected = tuple(int(size) for size in self._input['shape'][1:])
        if images.shape[1:] != expected:
            raise ValueError(
                f"images: expected the shape of the file's input behind the batch axis, {expected},"
                f' got {images.shape[1:]}. Resize the images.'
            )
        # The last batch of a dataset may be smaller. It is filled up, which is faster than a
        # preparation for another size.
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
        # The interpreter raises these errors if a shape somewhere in the graph is a constant.
        except (RuntimeError, ValueError):
            resized = False
        self._batch = batch
        if not resized:
            self._fixed_batch, self._batch = True, self._file_batch
            self._interpreter = self._new_interpreter()
            self._interpreter.allocate_tensors()

    def _run(self, images: np.ndarray) -> np.ndarray:
        given = quantized(filled_up(images, self._batch), self._input)
        self._interpreter.set_tensor(self._input['index'], given)
        self._interpreter.invoke()
        outputs = self._interpreter.get_tensor(self._output['index'])
        return dequantized(outputs, self._output)[: len(images)]


def _images_and_labels(batch: Any) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise ValueError(
            'dataset: expected pairs (images, labels) of batches, got '
            f'{type(batch).__name__}. Batch a tf.data.Dataset of such pairs.'
        )
    images, labels = np.asarray(batch[0]), np.asarray(batch[1])
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(
            f'dataset: expected integer labels, got dtype {labels.dtype}. Turn one-hot labels into '
            'class numbers with argmax.'
        )
    if images.ndim < 2 or labels.shape not in ((len(images),), (len(images), 1)):
        raise ValueError(
            'dataset: expected batches of images [batch, …] with one integer label each, [batch] '
            f'or [batch, 1], got the shapes {images.shape} and {labels.shape}. Batch the dataset.'
        )
    return images, labels.reshape(-1)


def _classes(outputs: np.ndarray) -> np.ndarray:
    if outputs.ndim != 2 or outputs.shape[1] < 2:
        raise ValueError(
            'content: expected the file of a classifier, whose output is [batch, classes] of at '
            f'least two classes, got the output shape {outputs.shape}. Use tf_n2uq.tflite.predict '
            'for other files.'
        )
    return outputs.argmax(axis=-1)
