"""Distillation: a quantized student learns what its float teacher answers."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_layers import rename
from tf_n2uq._compat.keras_training import LossesContainer
from tf_n2uq.training import argument_checks
from tf_n2uq.training.losses.label_losses import default_metrics, label_loss
from tf_n2uq.training.losses.outputs_of_student import (
    check_labels,
    like_outputs,
    weights_like_outputs,
)
from tf_n2uq.training.losses.per_output import per_output
from tf_n2uq.training.losses.teacher_losses import teacher_losses
from tf_n2uq.training.student_trainer import (
    StudentTrainer,
    Untracked,
    check_student_and_teacher,
)
from tf_n2uq.training.width_scores import TotalLoss


class Distillation(StudentTrainer):
    """Trains a student to answer like a teacher.

    The loss of each output follows from its head, which is the last layer that computes it:

    | head | loss |
    |---|---|
    | softmax, or a vector of logits at the only output | soft cross-entropy |
    | sigmoid | binary cross-entropy |
    | linear, of one unit | mean squared error |

    Other heads may be scores of classes or other numbers: several linear units beside other
    outputs, in maps, or in the shape of the input. They need a `loss`. The soft cross-entropy of
    one example compares class probabilities, softened by the temperature T:

        loss = -T² · Σ_c softmax(teacher / T)_c · log softmax(student / T)_c

    Labels have no part in the loss, unless there is a `labels_loss`. Without it they only feed the
    metrics, and may be missing. The teacher runs in inference mode, is not trained, and is not part
    of the trainer's variables or checkpoints.

        trainer = Distillation(student, teacher)
        trainer.compile(optimizer=N2UQAdam(linear_decay(2.5e-3, steps)))
        trainer.fit(train, validation_data=validation, epochs=epochs)
        trainer.student.save('student.keras')

        # A detector with two outputs, whose boxes also learn from labels.
        Distillation(
            student, teacher, loss={'box': 'mse'}, loss_weights={'box': 0.1},
            labels_loss={'box': 'huber'}, labels_weight=0.5,
        )

    Source: Liu et al., "Nonuniform-to-Uniform Quantization", CVPR 2022, section 4.1 (soft labels of
    the float network only); Hinton et al., "Distilling the Knowledge in a Neural Network", 2015,
    equation 1, section 2 (labels beside soft labels) and section 2.1 (temperature and its square).

    Attributes:
        student: The model that is trained and that the user keeps.

    Args:
        student: A built tf_keras model with any number of inputs and outputs.
        teacher: A built tf_keras model that takes the same inputs and has outputs of the same
            shapes, in the same structure.
        from_logits: Whether both models end in logits (True) or in probabilities (False). With
            None the last layer of each model decides: a softmax or a sigmoid gives probabilities.
            With True or False, an only output of one unit is a probability, and one of several
            units are classes.
        temperature: T, finite and above zero. It acts on cross-entropies and divergences.
        loss: The loss of the teacher's and the student's output: a name, a Keras loss, a function
            `loss(teacher_output, student_output)`, or a list or dictionary of these for several
            outputs, with the names of the outputs. The names 'soft_cross_entropy',
            'binary_crossentropy' and 'kl_divergence' take logits as well as probabilities, whatever
            each model gives, and have a temperature. Any other name is that of a Keras loss, such
            as 'mse'. With None, and for outputs that a dictionary does not name, the head decides.
        loss_weights: The weight of each output in the loss: a list or dictionary of numbers from
            zero. None counts all alike.
        labels_loss: A loss of labels and the student's output that is added: a name, a Keras loss,
            or a list or dictionary of these. A cross-entropy that is given by name takes logits or
            probabilities, whichever the student gives. Outputs without one learn from the teacher
            alone.
        labels_weight: The share of the labels in the loss of an output that has a `labels_loss`,
            0..1: `loss = (1 - labels_weight) · teacher's + labels_weight · labels'`. Keras' example
            of distillation calls this share alpha.
        **kwargs: Arguments of `tf_keras.Model`, such as `name`.

    Raises:
        TypeError: A model is not a tf_keras model, `from_logits` is not a bool or None, or
            a number is not a number.
        ValueError: A model is not built; the models share variables; their inputs or outputs do
            not fit; the student has nothing to train; a number is out of range; nothing tells
            which loss an output has; or a loss does not suit its output.
    """

    def __init__(
        self,
        student: keras.Model,
        teacher: keras.Model,
        from_logits: bool | None = None,
        temperature: float = 1.0,
        *,
        loss: Any = None,
        loss_weights: Any = None,
        labels_loss: Any = None,
        labels_weight: float = 0.5,
        **kwargs: Any,
    ) -> None:
        check_student_and_teacher(student, teacher)
        argument_checks.bool_or_none(from_logits, 'from_logits')
        temperature = argument_checks.number_above_zero(temperature, 'temperature')
        share = argument_checks.share(labels_weight, 'labels_weight')
        super().__init__(student, **kwargs)
        self._teacher = Untracked(teacher)
        heads = teacher_losses(student, teacher, loss, from_logits, temperature)
        names = [head.name for head in heads]
        weights = [
            1.0 if weight is None else argument_checks.number_from_zero(weight, 'loss_weights')
            for weight in per_output(loss_weights, names, 'loss_weights')
        ]
        of_labels = [
            None if each is None else label_loss(each, head)
            for each, head in zip(per_output(labels_loss, names, 'labels_loss'), heads, strict=True)
        ]
        shares = [0.0 if each is None else share for each in of_labels]
        self._heads = Untracked(heads)
        self._of_labels = Untracked(of_labels)
        pairs = list(zip(weights, shares, strict=True))
        self._teacher_weights = [weight * (1.0 - part) for weight, part in pairs]
        self._labels_weights = [weight * part for weight, part in pairs]
        self._labels: Untracked = Untracked((None, None))

    def compile(self, optimizer: Any = 'rmsprop', metrics: Any = 'auto', **kwargs: Any) -> None:
        """Configures training.

        Args:
            optimizer: A tf_keras optimizer or its name.
            metrics: Metrics of labels and the student's outputs: one or several, or a list or
                dictionary of these for several outputs, as for `tf_keras.Model.compile`. 'auto'
                takes the accuracy of classes and probabilities, and the mean absolute error of
                numbers. Metrics are not computed without labels.
            **kwargs: Further arguments of `tf_keras.Model.compile`, such as `jit_compile`.

        Raises:
            ValueError: `loss` or `loss_weights` is given, which are arguments of `Distillation`.
        """
        for name in ('loss', 'loss_weights'):
            if kwargs.get(name) is not None:
                raise ValueError(
                    f'{name}: expected None, because a distillation has its loss from the start, '
                    f'got {kwargs[name]!r}. Pass it to Distillation({name}=…), or to '
                    'Distillation(labels_loss=…) if it is a loss of labels.'
                )
        if isinstance(metrics, str) and metrics == 'auto':
            metrics = like_outputs(self.student, default_metrics(self._heads.held))
        elif isinstance(metrics, tuple):
            metrics = list(metrics)
        losses = [head.loss for head in self._heads.held]
        super().compile(
            optimizer=optimizer,
            loss=like_outputs(self.student, losses),
            loss_weights=like_outputs(self.student, self._teacher_weights),
            metrics=metrics,
            **kwargs,
        )
        self._labels = Untracked(self._labels_part())

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The loss, its parts if there are several, and the metrics of labels."""
        found = super().metrics
        labels, total = self._labels.held
        if labels is None or not labels.built:
            return found
        rename(found[0], 'teacher_loss')
        return [total, found[0], *labels.metrics, *found[1:]]

    def train_step(self, data: Any) -> dict[str, Any]:
        """Trains on one batch and returns loss and metrics so far.

        Args:
            data: `(inputs, labels)`, `(inputs, labels, sample_weight)` or `inputs`.

        Raises:
            ValueError: There is a `labels_loss`, but no labels for it.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        target = self._teacher.held(x, training=False)
        with tf.GradientTape() as tape:
            prediction = self(x, training=True)
            loss = self._distillation_loss(target, prediction, y, sample_weight)
        self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
        return self._results(x, y, prediction, sample_weight)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Measures one batch in inference mode and returns loss and metrics so far.

        Args:
            data: As for `train_step`.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        target = self._teacher.held(x, training=False)
        prediction = self(x, training=False)
        self._distillation_loss(target, prediction, y, sample_weight)
        return self._results(x, y, prediction, sample_weight)

    def _labels_part(self) -> tuple[LossesContainer | None, TotalLoss | None]:
        """Returns the loss of labels, and the sum of both losses; None if no labels are learned."""
        if not any(each is not None for each in self._of_labels.held):
            return None, None
        container = LossesContainer(
            like_outputs(self.student, self._of_labels.held),
            like_outputs(self.student, self._labels_weights),
            output_names=self.output_names,
            total_loss_mean=keras.metrics.Mean('labels_loss'),
        )
        return container, TotalLoss([self.compiled_loss, container])

    def _distillation_loss(
        self, target: Any, prediction: Any, labels: Any, sample_weight: Any
    ) -> tf.Tensor:
        weights = weights_like_outputs(prediction, sample_weight)
        # Keras' own container: it averages over replicas and adds the student's regularization.
        loss = self.compiled_loss(target, prediction, weights, regularization_losses=self.losses)
        labels_part, _ = self._labels.held
        if labels_part is None:
            return loss
        pairs = zip(self._heads.held, self._of_labels.held, strict=True)
        check_labels(labels, [head.name for head, each in pairs if each is not None])
        if not labels_part.built:
            labels_part.build(prediction)
            for metric in labels_part.metrics[1:]:
                rename(metric, f'{metric.name.removesuffix("_loss")}_labels_loss')
        return loss + labels_part(labels, prediction, weights)

    def _results(self, x: Any, y: Any, prediction: Any, sample_weight: Any) -> dict[str, Any]:
        if y is None:
            return self.get_metrics_result()
        return self.compute_metrics(x, y, prediction, sample_weight)
