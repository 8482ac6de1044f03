"""From a float network to a 2-bit integer TFLite file, on real images.

Trains a small ResNet in float, quantizes it with N2UQ, calibrates, distils the float network into
the quantized one, exports it and evaluates the file on the held-out test images, beside TFMOT's
own 8-bit quantization of the same network. `make demo` runs this on scikit-learn's digits.
"""

from __future__ import annotations

import dataclasses
import json
import os
import zlib
from pathlib import Path

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from absl import app, flags, logging
from threshold_plot import plot_thresholds

import tf_n2uq
from tf_n2uq.data import ImageData
from tf_n2uq.training import files

FLAGS = flags.FLAGS
flags.DEFINE_string(
    'dataset', 'digits', 'digits, fashion_mnist, mnist, idx, or tfds:NAME for a TFDS data set.'
)
flags.DEFINE_string('data_dir', None, 'Folder of the data set, where it needs one.')
flags.DEFINE_integer('bits', 2, 'Bit-width of kernels and inputs of the quantized layers.', 2, 8)
flags.DEFINE_string('model', None, 'Network; by default resnet8 for digits, else resnet20.')
flags.DEFINE_float('width', None, 'Factor on its filters; by default 1 for digits, else 0.5.')
flags.DEFINE_integer(
    'epochs', None, 'Epochs at low bits; by default 60 for digits, else 12.', lower_bound=1
)
flags.DEFINE_integer(
    'float_epochs', None, 'Epochs in float; by default 40 for digits, else 5.', lower_bound=1
)
flags.DEFINE_integer('int8_epochs', 2, "Epochs of TFMOT's 8-bit training.", lower_bound=1)
flags.DEFINE_integer('batch_size', None, 'By default 32 for digits, else 128.', lower_bound=1)
flags.DEFINE_float('learning_rate', 2.5e-3, 'Start of the linear decay, float and low bits.')
flags.DEFINE_integer('seed', 0, 'Seed of splits, weights and order.')
flags.DEFINE_string('out', 'runs/demo', 'Folder for models, report, pictures and logs.')
flags.DEFINE_bool('resume', False, 'Go on from the last checkpoint in --out, if there is one.')


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of a data set, where flags do not replace them."""

    model: str
    width: float
    epochs: int
    float_epochs: int
    batch_size: int
    augment: str | None


_DIGITS = Settings('resnet8', 1.0, epochs=60, float_epochs=40, batch_size=32, augment='shift')
_LARGER = Settings('resnet20', 0.5, epochs=12, float_epochs=5, batch_size=128, augment=None)


@dataclasses.dataclass(frozen=True)
class Result:
    """One row of the table, in which `tflite` compares the file with the Keras model."""

    name: str
    tflite: tf_n2uq.tflite.Evaluation
    content: bytes


def settings_from_flags() -> Settings:
    """Returns the settings of the data set, replaced by the flags that were given."""
    defaults = _DIGITS if FLAGS.dataset == 'digits' else _LARGER
    names = ('model', 'width', 'epochs', 'float_epochs', 'batch_size')
    given = {name: FLAGS[name].value for name in names if FLAGS[name].value is not None}
    return dataclasses.replace(defaults, **given)


class Quickstart:
    """The steps in order; each writes its results into the results folder."""

    def __init__(self, data: ImageData, settings: Settings, out: Path) -> None:
        self.data = data
        self.settings = settings
        self.out = out
        self.train = data.train.dataset(
            settings.batch_size, shuffle=True, seed=FLAGS.seed, augment=settings.augment
        )
        self.validation = data.validation.dataset(settings.batch_size)
        self.test = data.test.dataset(settings.batch_size)
        self.steps_per_epoch = -(-data.train.examples // settings.batch_size)

    def fit(self, model: keras.Model, name: str, epochs: int, monitor: str) -> None:
        """Trains `model` in the folder `name`; `model` then holds its best epoch."""
        run_dir = self.out / name
        resume = FLAGS.resume and (run_dir / 'metrics.jsonl').exists()
        print(f'\n=== {name}: {epochs} epochs', flush=True)
        tf_n2uq.training.fit(
            model,
            self.train,
            self.validation,
            epochs=epochs,
            run_dir=run_dir,
            resume=resume,
            monitor=monitor,
            best='best.weights.h5',
            callbacks=self.tensorboard(model, run_dir),
            verbose=2 if FLAGS.dataset == 'digits' else 1,
        )
        distils = isinstance(model, tf_n2uq.training.Distillation)
        (model.student if distils else model).load_weights(run_dir / 'best.weights.h5')

    def tensorboard(self, model: keras.Model, run_dir: Path) -> list[keras.callbacks.Callback]:
        """Returns callbacks for TensorBoard: loss, accuracy, and the quantizers of a student."""
        if not isinstance(model, tf_n2uq.training.Distillation):
            return [keras.callbacks.TensorBoard(run_dir / 'tensorboard')]
        images, _ = next(iter(self.validation))
        return tf_n2uq.training.tensorboard_callbacks(run_dir / 'tensorboard', images)

    def fit_labels(self, model: keras.Model, name: str, epochs: int, factor: float = 1.0) -> None:
        """Trains a model on labels, at `factor` times the learning rate."""
        rate = tf_n2uq.training.linear_decay(
            factor * FLAGS.learning_rate, epochs * self.steps_per_epoch
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(rate), loss=loss, metrics=['accuracy'])
        self.fit(model, name, epochs, monitor='val_accuracy')

    def train_float(self) -> keras.Model:
        """Trains the float network."""
        model = tf_n2uq.models.build(
            self.settings.model,
            input_shape=self.data.image_shape,
            classes=self.data.classes,
            width=self.settings.width,
        )
        self.fit_labels(model, 'float', self.settings.float_epochs)
        return model

    def train_int8(self, float_model: keras.Model) -> keras.Model:
        """Quantizes with TFMOT's default 8-bit scheme and fine-tunes."""
        model = tfmot.quantization.keras.quantize_model(float_model)
        self.fit_labels(model, 'int8', FLAGS.int8_epochs, factor=0.1)
        return model

    def train_n2uq(self, float_model: keras.Model) -> keras.Model:
        """Quantizes with N2UQ, calibrates, and distils the float network into it."""
        annotated = tfmot.quantization.keras.quantize_annotate_model(float_model)
        scheme = tf_n2uq.N2UQScheme(bits=FLAGS.bits)
        model = tfmot.quantization.keras.quantize_apply(annotated, scheme=scheme)
        tf_n2uq.calibrate(model, self.data.train.dataset(self.settings.batch_size).take(32))
        trainer = tf_n2uq.training.Distillation(model, float_model)
        # N2UQAdam: thresholds and scales learn at a tenth of the rate.
        rate = tf_n2uq.training.linear_decay(
            FLAGS.learning_rate, self.settings.epochs * self.steps_per_epoch
        )
        trainer.compile(tf_n2uq.training.N2UQAdam(rate))
        # The distance of the student from its teacher tells more than a few hundred labels.
        self.fit(trainer, 'n2uq', self.settings.epochs, monitor='val_loss')
        return model

    def result(self, name: str, stem: str, model: keras.Model, content: bytes) -> Result:
        """Saves a model and its file and evaluates both on the test images."""
        # TFMOT's own layers do not come back from a .keras file.
        form = '.h5' if stem == 'int8' else '.keras'
        files.replace_file(str(self.out / f'{stem}{form}'), model.save, suffix=form)
        files.replace_bytes(str(self.out / f'{stem}.tflite'), content)
        evaluation = tf_n2uq.tflite.evaluate(content, self.test, reference=model)
        return Result(name, evaluation, content)


def float_to_tflite(model: keras.Model) -> bytes:
    """Converts a float model without quantization."""
    return tf.lite.TFLiteConverter.from_keras_model(model).convert()


def int8_to_tflite(model: keras.Model) -> bytes:
    """Converts a TFMOT-quantized model as TFMOT's guide says."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return converter.convert()


def print_table(results: list[Result]) -> None:
    """Prints a table of the results."""
    print(f'\n{"":<12}{"Keras":>9}{"TFLite":>9}{"agreement":>11}{"file size":>13}{"in a zip":>11}')
    for row in results:
        print(
            f'{row.name:<12}{row.tflite.reference_accuracy:>8.2%} {row.tflite.accuracy:>8.2%} '
            f'{row.tflite.agreement:>10.2%} {len(row.content):>12,} '
            f'{len(zlib.compress(row.content, 9)):>10,}'
        )
    print(f'accuracy and agreement on {results[0].tflite.examples} test images, bytes\n')


def report(data: ImageData, results: dict[str, Result]) -> dict[str, object]:
    """Returns the figures of the run."""
    return {
        'dataset': data.name,
        'bits': FLAGS.bits,
        'test_examples': data.test.examples,
        'float_accuracy': results['float'].tflite.reference_accuracy,
        'int8_accuracy': results['int8'].tflite.reference_accuracy,
        'qat_accuracy': results['n2uq'].tflite.reference_accuracy,
        'tflite_accuracy': results['n2uq'].tflite.accuracy,
        'agreement': results['n2uq'].tflite.agreement,
        'float_tflite_bytes': len(results['float'].content),
        'int8_tflite_bytes': len(results['int8'].content),
        'n2uq_tflite_bytes': len(results['n2uq'].content),
        'int8_kernel_bytes': tf_n2uq.tflite.inspect(results['int8'].content).kernel_bytes,
        'n2uq_kernel_bytes': tf_n2uq.tflite.inspect(results['n2uq'].content).kernel_bytes,
    }


def prepare() -> Quickstart:
    """Checks the results folder and loads the data.

    Raises:
        ImportError: The data set needs a package that is not installed.
        OSError: The folder cannot be written, or files of the data set are missing.
        ValueError: The folder holds a run already, or the data set is not known or is broken.
    """
    out = Path(files.writable_folder(FLAGS.out, '--out'))
    if (out / 'float').exists() and not FLAGS.resume:
        raise ValueError(
            f'--out: expected a folder without a run, got {str(out)!r}. Pass --resume to go on '
            'with that run, or give another folder.'
        )
    keras.utils.set_random_seed(FLAGS.seed)
    data = tf_n2uq.data.load(FLAGS.dataset, data_dir=FLAGS.data_dir, seed=FLAGS.seed)
    return Quickstart(data, settings_from_flags(), out)


def main(argv: list[str]) -> None:
    """Runs all steps."""
    if len(argv) > 1:
        raise app.UsageError(f'unknown arguments: {" ".join(argv[1:])}')
    try:
        steps = prepare()
    except (ImportError, OSError, ValueError) as error:
        raise SystemExit(f'quickstart: {error}') from error
    data, out = steps.data, steps.out
    float_model = steps.train_float()
    int8_model = steps.train_int8(float_model)
    n2uq_model = steps.train_n2uq(float_model)
    results = {
        'float': steps.result('float', 'float', float_model, float_to_tflite(float_model)),
        'int8': steps.result('8-bit TFMOT', 'int8', int8_model, int8_to_tflite(int8_model)),
        'n2uq': steps.result(
            f'{FLAGS.bits}-bit N2UQ', 'n2uq', n2uq_model, tf_n2uq.tflite.convert(n2uq_model)
        ),
    }
    print(tf_n2uq.tflite.inspect(results['n2uq'].content))
    images, _ = next(iter(steps.validation))
    plot_thresholds(n2uq_model, images, out / 'thresholds.png')
    figures = json.dumps(report(data, results), indent=2)
    files.replace_text(str(out / 'report.json'), figures + '\n')
    print_table(list(results.values()))
    print(f'Written to {out}{os.sep}: report.json, thresholds.png, models and TensorBoard logs.')


if __name__ == '__main__':
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
    logging.set_verbosity(logging.WARNING)
    app.run(main)
