"""Distillation: a quantized student learns the probabilities of its float teacher."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.training import arguments

# float16 cannot tell smaller probabilities from zero, whose logarithm is not finite.
_SMALLEST_PROBABILITY = 1e-7
_NOT_A_MODEL_TO_SAVE = (
    'A Distillation is not saved as a model, since its teacher is not part of it. Call '
    '`trainer.student.save(...)`, or `trainer.save_weights(...)` for the student and the optimizer.'
)


class Distillation(keras.Model):
    """Trains `student` to predict the class probabilities of `teacher`.

    The loss of one example is the cross-entropy of the student's probabilities against the
    teacher's, both softened by the temperature T:

        loss = -T² · Σ_c softmax(teacher / T)_c · log softmax(student / T)_c

    Labels are not part of it: they only feed the metrics, and may be missing. The teacher runs in
    inference mode, is not trained, and is not part of the trainer's variables or checkpoints.

        trainer = Distillation(student, teacher)
        trainer.compile(optimizer=N2UQAdam(linear_decay(2.5e-3, steps)))
        trainer.fit(train, validation_data=validation, epochs=epochs)
        trainer.student.save('student.keras')

    Source: Liu et al., "Nonuniform-to-Uniform Quantization", CVPR 2022, section 4.1 (soft labels of
    the float network only); Hinton et al., "Distilling the Knowledge in a Neural Network", 2015,
    equation 1 and section 2.1 (temperature and its square).

    Attributes:
        student: The model that is trained and that the user keeps.

    Args:
        student: Built tf_keras model with one output of shape [batch, ..., classes].
        teacher: Built tf_keras model that takes the same inputs and has the same output shape.
        from_logits: Whether both models end in logits (True) or in probabilities (False). None
            looks at the last layer of each: probabilities where it is a softmax.
        temperature: T, finite and above zero.
        **kwargs: What `tf_keras.Model` takes, such as `name`.

    Raises:
        TypeError: A model is not a tf_keras model, `from_logits` is not a bool or None, or
            `temperature` is not a number.
        ValueError: A model is not built; the models share variables; their inputs or outputs do
            not fit; the student has nothing to train; `temperature` is out of range; or
            `from_logits` is None and the last layer of a model cannot be found.
    """

    def __init__(
        self,
        student: keras.Model,
        teacher: keras.Model,
        from_logits: bool | None = None,
        temperature: float = 1.0,
        **kwargs: Any,
    ) -> None:
        _check_models(student, teacher)
        if from_logits is not None and not isinstance(from_logits, bool):
            raise TypeError(f'`from_logits` must be True, False or None, got {from_logits!r}.')
        temperature = arguments.number_above_zero(temperature, '`temperature`')
        super().__init__(**kwargs)
        self._loss = _SoftCrossEntropy(temperature)
        self.student = student
        # Inside an object that neither Keras nor tf.train.Checkpoint looks into.
        self._untracked = _Untracked(teacher)
        self._student_gives_logits = _gives_logits(student, from_logits, 'student')
        self._teacher_gives_logits = _gives_logits(teacher, from_logits, 'teacher')
        self.built = True

    def compile(
        self, optimizer: Any = 'rmsprop', metrics: Any = ('accuracy',), **kwargs: Any
    ) -> None:
        """Configures training.

        Args:
            optimizer: A tf_keras optimizer or its name.
            metrics: Metrics of the student's output against the labels; without labels they are
                not computed.
            **kwargs: What `tf_keras.Model.compile` takes besides, such as `jit_compile`.

        Raises:
            ValueError: `loss` or `loss_weights` is given: the loss is the distillation loss.
        """
        for name in ('loss', 'loss_weights'):
            if kwargs.get(name) is not None:
                raise ValueError(
                    f'`{name}` cannot be set: Distillation trains on the soft cross-entropy '
                    f'against the teacher. Got {name}={kwargs[name]!r}.'
                )
        metrics = metrics if isinstance(metrics, Mapping) or metrics is None else list(metrics)
        super().compile(optimizer=optimizer, loss=self._loss, metrics=metrics, **kwargs)

    def call(self, inputs: Any, training: bool | None = None) -> tf.Tensor:
        """Returns what the student returns."""
        return self.student(inputs, training=training)

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step on `(images, labels)`, `(images, labels, sample_weight)` or `images`."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        target = self._teacher_logits(x)
        with tf.GradientTape() as tape:
            prediction = self(x, training=True)
            loss = self._distillation_loss(target, prediction, sample_weight)
        self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
        return self._results(x, y, prediction, sample_weight)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Loss and metrics of one batch, the student in inference mode."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        prediction = self(x, training=False)
        self._distillation_loss(self._teacher_logits(x), prediction, sample_weight)
        return self._results(x, y, prediction, sample_weight)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Refused: the model to save is `trainer.student`.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(_NOT_A_MODEL_TO_SAVE)

    def get_config(self) -> dict[str, Any]:
        """Refused, see `save`.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(_NOT_A_MODEL_TO_SAVE)

    def _teacher_logits(self, x: Any) -> tf.Tensor:
        teacher = self._untracked.model
        return _logits(teacher(x, training=False), self._teacher_gives_logits)

    def _distillation_loss(
        self, target: tf.Tensor, prediction: tf.Tensor, sample_weight: Any
    ) -> tf.Tensor:
        # Keras' own container: it averages over replicas and adds the student's regularization.
        return self.compiled_loss(
            target,
            _logits(prediction, self._student_gives_logits),
            sample_weight,
            regularization_losses=self.losses,
        )

    def _results(self, x: Any, y: Any, prediction: tf.Tensor, sample_weight: Any) -> dict[str, Any]:
        if y is None:
            return self.get_metrics_result()
        return self.compute_metrics(x, y, prediction, sample_weight)


class _Untracked:
    def __init__(self, model: keras.Model) -> None:
        self.model = model


class _SoftCrossEntropy(keras.losses.Loss):
    """Cross-entropy of logits against the softmax of other logits, both [batch, ..., classes]."""

    def __init__(self, temperature: float) -> None:
        super().__init__(name='soft_cross_entropy')
        self._temperature = temperature

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        probabilities = tf.nn.softmax(y_true / self._temperature)
        log_probabilities = tf.nn.log_softmax(y_pred / self._temperature)
        cross_entropy = -tf.reduce_sum(probabilities * log_probabilities, axis=-1)
        return self._temperature**2 * cross_entropy


def _logits(outputs: tf.Tensor, gives_logits: bool) -> tf.Tensor:
    """Float32 logits. The logarithm of probabilities is as good: softmax gives them back."""
    outputs = tf.cast(outputs, tf.float32)
    if gives_logits:
        return outputs
    return tf.math.log(tf.maximum(outputs, _SMALLEST_PROBABILITY))


def _gives_logits(model: keras.Model, from_logits: bool | None, name: str) -> bool:
    if from_logits is not None:
        return from_logits
    return not _is_softmax(_last_layer(model, name))


def _last_layer(model: keras.Model, name: str) -> keras.layers.Layer:
    """The layer that computes the model's output; what only passes it on is not it."""
    history = getattr(model.outputs[0], '_keras_history', None) if model.outputs else None
    while history is not None:
        layer = history.layer
        if isinstance(layer, keras.Model):
            return _last_layer(layer, name)
        inputs = layer.inbound_nodes[history.node_index].keras_inputs
        if not _passes_on(layer) or len(inputs) != 1:
            return layer
        history = inputs[0]._keras_history
    raise ValueError(
        f'`from_logits` is None, but the last layer of `{name}` ({model.name!r}) cannot be found: '
        f'it is a {type(model).__name__}, not a Functional or Sequential model. Pass '
        'from_logits=True if both models end in logits, False if in probabilities.'
    )


def _passes_on(layer: keras.layers.Layer) -> bool:
    if isinstance(layer, keras.layers.Activation):
        return layer.activation is keras.activations.linear
    if isinstance(layer, (keras.layers.Dropout, keras.layers.Reshape, keras.layers.Flatten)):
        return True
    # Layers that quantize a tensor, this package's and TFMOT's, hold a quantizer and no layer.
    return hasattr(layer, 'quantizer') and not hasattr(layer, 'layer')


def _is_softmax(layer: keras.layers.Layer) -> bool:
    layer = getattr(layer, 'layer', layer)
    if isinstance(layer, keras.layers.Softmax):
        return True
    activation = getattr(layer, 'activation', None)
    # TFMOT puts an object around a wrapped layer's activation.
    activation = getattr(activation, 'activation', activation)
    return activation is keras.activations.softmax


def _check_models(student: Any, teacher: Any) -> None:
    _check_model(student, 'student')
    _check_model(teacher, 'teacher')
    if student is teacher:
        raise ValueError(
            '`student` and `teacher` are the same model; the teacher has to be another one, such '
            'as the float model that was quantized.'
        )
    shared = {id(variable) for variable in student.weights} & {id(v) for v in teacher.weights}
    if shared:
        raise ValueError(
            f'`student` and `teacher` share {len(shared)} variables, so training one would change '
            'the other. Give a teacher with variables of its own '
            '(`tf_keras.models.clone_model` and `set_weights`).'
        )
    if not student.trainable_variables:
        raise ValueError(
            f'`student` ({student.name!r}) has no trainable variables; set `trainable = True`.'
        )
    _check_shapes(student, teacher, 'input_shape', 'inputs')
    _check_shapes(student, teacher, 'output_shape', 'outputs')


def _check_model(model: Any, name: str) -> None:
    if not isinstance(model, keras.Model):
        raise TypeError(
            f'`{name}` must be a tf_keras model, got {type(model).__module__}.'
            f'{type(model).__name__}. A Keras 3 model has to be built again with `import tf_keras '
            'as keras`.'
        )
    if not model.built:
        raise ValueError(
            f'`{name}` ({model.name!r}) is not built. Call `{name}.build(input_shape)` or call it '
            'on a batch first.'
        )


def _check_shapes(student: keras.Model, teacher: keras.Model, attribute: str, what: str) -> None:
    shapes = []
    for name, model in (('student', student), ('teacher', teacher)):
        shape = _known_shape(model, attribute)
        if isinstance(shape, (list, dict)) and what == 'outputs':
            raise ValueError(
                f'`{name}` ({model.name!r}) must have one output, got the shapes {shape}.'
            )
        shapes.append(shape)
    if None in shapes or any(isinstance(shape, (list, dict)) for shape in shapes):
        return
    if not tf.TensorShape(shapes[0]).is_compatible_with(shapes[1]):
        raise ValueError(
            f'`student` and `teacher` must have the same shape of {what}, got {shapes[0]} and '
            f'{shapes[1]}.'
        )


def _known_shape(model: keras.Model, attribute: str) -> Any:
    try:
        return getattr(model, attribute)
    except (AttributeError, RuntimeError):  # a subclassed model that was only called
        return None
