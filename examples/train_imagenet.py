"""Trains N2UQ's and AdaBits' networks, from float weights to an integer TFLite file.

    python examples/train_imagenet.py                                # try it: digits, no data
    python examples/train_imagenet.py --config=resnet18_w2a2 --data_dir=/data/imagenet \
        --teacher_weights=resnet101.pth --init_weights=resnet18.pth

`configs/` has one file for each row of N2UQ's published tables, and AdaBits' recipes;
docs/training.md tells more.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import tensorflow as tf
import tf_keras as keras
from absl import app, flags, logging
from train_checks import BEST, check_export, check_teacher, configure, tflite_files
from train_config import IMAGENET, TrainConfig, check_resumed
from train_data import TrainData
from train_models import Networks, check_weights, copy_weights, load_weights
from train_recipe import Recipe, metrics

import tf_n2uq
from tf_n2uq.tflite.loading import load_model
from tf_n2uq.training import distribution, files

FLAGS = flags.FLAGS
flags.DEFINE_string(
    'config',
    None,
    'YAML file, or name of one in configs/; by default that of the run, else quickstart.',
)
flags.DEFINE_string('data_dir', None, 'Folder of the data, where it needs one.')
flags.DEFINE_multi_string('set', [], 'key=value: a value instead of that of --config; repeatable.')
flags.DEFINE_string('out', None, 'Folder of the run; by default runs/ and the name of the config.')
flags.DEFINE_bool('resume', False, 'Go on with the run in --out, if there is one.')
flags.DEFINE_bool(
    'evaluate', False, 'Do not train: measure the best model of --out, or --init_weights.'
)
flags.DEFINE_bool(
    'export', False, 'Do not train: export the best model of --out, or --init_weights.'
)
flags.DEFINE_string('teacher_weights', None, 'Weights of the teacher: .pth, .pth.tar, .keras, .h5.')
flags.DEFINE_string(
    'init_weights', None, 'Weights to start from, float or quantized: .pth, .pth.tar, .keras, .h5.'
)
flags.DEFINE_enum('strategy', 'none', distribution.STRATEGIES, 'How many devices and machines.')

_METRICS = 'metrics.jsonl'
_SUMMARY = 'summary.md'


class Session:
    """The work of one call of this program, on one of its workers."""

    def __init__(
        self, config: TrainConfig, name: str, strategy: tf.distribute.Strategy, out: Path
    ) -> None:
        self.config = config
        self.name = name
        self.strategy = strategy
        self.out = out
        self.is_chief = distribution.is_chief(strategy)
        self.data = TrainData(config, FLAGS.data_dir, strategy)
        self.networks = Networks(config, self.data.input_shape, self.data.classes, strategy)
        self.recipe = Recipe(config, self.data.steps_per_epoch)

    def say(self, text: str) -> None:
        """Prints a text on one of the workers only."""
        if self.is_chief:
            print(text, flush=True)

    def train(self) -> None:
        """Trains the student on its teacher or labels, and exports the best epoch."""
        run_directory = tf_n2uq.training.RunDirectory(self.out, FLAGS.resume, '--out')
        check_resumed(self.config, run_directory.recorded_config())
        # A wrong file ends the program here: after `begin` the folder counts as a run.
        teacher, student, calibrated = self.read_weights()
        self.begin(run_directory)
        self.say(f'Input alone: {self.data.speed():.0f} images per second.')
        if teacher is not None and FLAGS.teacher_weights is None:
            self.train_teacher(teacher)
        self.start(student, teacher, calibrated)
        rows = self.learn(student, teacher)
        try:
            if self.is_chief:
                copy_weights(load_model(self.out / BEST, '--out'), student, '--out')
                # Before the export, which may fail: the training is worth a page by itself.
                self.summarize(rows, {})
                self.export(student, rows)
        finally:
            # A worker that ended before would look to the chief as if it had crashed.
            distribution.barrier(self.strategy)

    def read_weights(self) -> tuple[keras.Model | None, keras.Model, bool]:
        """Builds teacher and student, and fills them from the files of the flags.

        Returns:
            The teacher, None for labels; the student; and whether the student's quantizers got
            values.
        """
        teacher = self.networks.teacher() if self.config.target == 'teacher' else None
        if teacher is not None and FLAGS.teacher_weights is not None:
            load_weights(teacher, FLAGS.teacher_weights, '--teacher_weights')
        student, calibrated = self.networks.student(), False
        # A training that goes on has weights of its own.
        if FLAGS.init_weights is not None and not tf_n2uq.training.epochs_done(self.out):
            calibrated = self.networks.load_student(student, FLAGS.init_weights, '--init_weights')
        return teacher, student, calibrated

    def begin(self, run_directory: tf_n2uq.training.RunDirectory) -> None:
        """Lets the chief record in the run folder what is run."""
        # All workers have looked before the first of them writes.
        distribution.barrier(self.strategy)
        if self.is_chief:
            environment = tf_n2uq.training.describe_environment(Path(__file__).parent)
            run_directory.begin(self.config.to_yaml(), environment)

    def train_teacher(self, teacher: keras.Model) -> None:
        """Trains the teacher on labels."""
        folder = self.out / 'teacher'
        trained = self.networks.teacher_to_train(teacher, trains=True)
        epochs = self.config.teacher_epochs
        with self.strategy.scope(), distribution.precision(self.config.precision):
            self.recipe.teacher(trained)
        self.say(f'\n=== teacher {self.config.teacher}: {epochs} epochs')
        self.fit(trained, epochs, folder, 'val_accuracy', [])
        copy_weights(load_model(folder / BEST, '--out'), teacher, '--out')

    def start(self, student: keras.Model, teacher: keras.Model | None, calibrated: bool) -> None:
        """Gives the student its start values; a resumed training replaces them."""
        if done := tf_n2uq.training.epochs_done(self.out):
            self.say(f'Going on after epoch {done}, with the weights of the run.')
            return
        is_teachers = teacher is not None and self.config.model == self.config.teacher
        if FLAGS.init_weights is None and is_teachers:
            self.networks.start_from_float(student, teacher, '--teacher_weights')
        elif FLAGS.init_weights is None:
            self.say('No --init_weights: the student starts from random weights.')
        if not calibrated:
            self.calibrate(student)

    def calibrate(self, student: keras.Model) -> None:
        """Sets the quantizers' start values from data, the same on every worker."""
        self.say(f'Calibrating on {self.config.calibration_images} images.')
        tf_n2uq.calibrate(student, self.data.calibration(), verbose=int(self.is_chief))

    def learn(self, student: keras.Model, teacher: keras.Model | None) -> list[dict[str, Any]]:
        """Trains a copy of the student; returns the metrics of all epochs."""
        epochs = self.config.epochs
        student = self.networks.student_to_train(student)
        if teacher is not None:
            teacher = self.networks.teacher_to_train(teacher, trains=False)
        with self.strategy.scope(), distribution.precision(self.config.precision):
            trainer = self.recipe.student(student, teacher)
        self.say(
            f'\n=== {self.config.model}, {self.config.bits_in_words}: {epochs} epochs of '
            f'{self.data.steps_per_epoch} steps, {self.strategy.num_replicas_in_sync} replica(s)'
        )
        own = Path(distribution.folder_of_worker(self.strategy, str(self.out)))
        (sample,) = (images for images, _ in self.data.validation_images(32).take(1))
        callbacks = self.recipe.callbacks(own / 'tensorboard', sample)
        assert self.config.monitor is not None
        return self.fit(trainer, epochs, self.out, self.config.monitor, callbacks)

    def fit(
        self,
        model: keras.Model,
        epochs: int,
        folder: Path,
        monitor: str,
        callbacks: list[keras.callbacks.Callback],
    ) -> list[dict[str, Any]]:
        """Trains in a run folder, and goes on where an earlier call ended."""
        rows = tf_n2uq.training.fit(
            model,
            self.data.train(tf_n2uq.training.epochs_done(folder)),
            self.data.validation(),
            epochs=epochs,
            run_dir=folder,
            resume=FLAGS.resume and (folder / _METRICS).exists(),
            monitor=monitor,
            best=BEST,
            callbacks=[
                tf_n2uq.training.Progress(self.config.batch_size, self.is_chief),
                *callbacks,
            ],
            steps_per_epoch=self.data.steps_per_epoch,
            validation_steps=self.data.validation_steps,
            verbose=0,
        )
        # The other workers read the chief's best model next.
        distribution.barrier(self.strategy)
        return rows

    def model_to_measure(self) -> keras.Model:
        """Returns the student with --init_weights, or with the best weights of --out."""
        student = self.networks.student()
        if FLAGS.init_weights is None:
            copy_weights(load_model(self.out / BEST, '--out'), student, '--out')
        elif not self.networks.load_student(student, FLAGS.init_weights, '--init_weights'):
            self.calibrate(student)
        return student

    def evaluate(self, student: keras.Model) -> None:
        """Prints top-1 and top-5 on the validation images, at each bit-width."""
        model = self.networks.student_to_train(student)
        with self.strategy.scope():
            if self.config.is_adaptive:
                model = self.recipe.adaptive(model)
            else:
                model.compile(metrics=metrics())
        results = model.evaluate(
            self.data.validation(),
            steps=self.data.validation_steps,
            verbose=0,
            return_dict=True,
        )
        for bits in tflite_files(self.config):
            ending, words = ('', '') if bits is None else (f'_{bits}bit', f'{bits} bits: ')
            top1, top5 = results[f'accuracy{ending}'], results[f'top5_accuracy{ending}']
            self.say(f'{words}top-1 {top1:.2%}, top-5 {top5:.2%}')

    def export(self, student: keras.Model, rows: list[dict[str, Any]]) -> None:
        """Writes the .tflite files and the summary.

        Raises:
            ValueError: The network cannot become an integer file.
        """
        facts: dict[str, Any] = {}
        for bits, name in tflite_files(self.config).items():
            facts |= self.export_one(student, bits, name)
        print(f'\n{self.summarize(rows, facts)}')
        print(f'Written to {self.out}{os.sep}')

    def export_one(self, student: keras.Model, bits: int | None, name: str) -> dict[str, Any]:
        """Writes one .tflite file and prints what is in it.

        Args:
            student: The network.
            bits: A bit-width of the network; None if the network is not adaptive.
            name: The name of the file in --out.

        Returns:
            The lines about the file in the summary.

        Raises:
            ValueError: The network cannot become an integer file.
        """
        if bits is not None:
            student = tf_n2uq.extract(student, bits)
        try:
            content = tf_n2uq.tflite.convert(
                student, representative_dataset=self.data.calibration()
            )
        except ValueError as error:
            raise ValueError(
                f'--export: {name} was not written, because this network cannot become an '
                f'integer file: {error}\nWhat was trained is in {self.out}{os.sep}'
            ) from error
        files.replace_bytes(str(self.out / name), content)
        images = self.data.validation_images(self.config.tflite_images)
        result = tf_n2uq.tflite.evaluate(content, images, reference=student)
        print(f'\n{tf_n2uq.tflite.inspect(content)}')
        words = '' if bits is None else f', {bits} bits'
        return {
            f'validation images run on the file{words}': result.examples,
            f'top-1 of the file{words}': result.accuracy,
            f'same class as Keras{words}': result.agreement,
            f'bytes of the file{words}': len(content),
        }

    def summarize(self, rows: list[dict[str, Any]], facts: dict[str, Any]) -> str:
        """Writes the summary and returns it."""
        facts = {
            'network': f'{self.config.model}, {self.config.bits_in_words}, {self.config.method}',
            'teacher': self.config.teacher or 'none, labels',
            'replicas': self.strategy.num_replicas_in_sync,
            'broken images skipped': ', '.join(self.data.broken_images()) or 'none',
            **facts,
        }
        assert self.config.monitor is not None
        summary = tf_n2uq.training.run_summary(self.name, facts, rows, self.config.monitor)
        files.replace_text(str(self.out / _SUMMARY), summary)
        return summary


def prepare() -> Session:
    """Checks everything that can be checked before the work begins.

    Raises:
        ImportError: A package is not installed.
        OSError: A file is not there or cannot be written.
        ValueError: A flag or the configuration is wrong.
    """
    name, config, out = configure()
    for flag in ('teacher_weights', 'init_weights'):
        if FLAGS[flag].value is not None:
            check_weights(FLAGS[flag].value, f'--{flag}')
    only_measures = FLAGS.evaluate or FLAGS.export
    if only_measures:
        check_export(config, out)
    strategy = distribution.make_strategy(FLAGS.strategy)
    keras.utils.set_random_seed(config.seed)
    session = Session(config, name, strategy, out)
    if not only_measures:
        check_teacher(config)
    return session


def run(session: Session) -> None:
    """Trains, measures or exports, as the flags say."""
    if session.config.dataset != IMAGENET:
        session.say(
            f'{session.name}: trains on {session.config.dataset}, not on ImageNet. For the '
            'published networks: --config, see configs/.'
        )
    if not (FLAGS.evaluate or FLAGS.export):
        session.train()
        return
    student = session.model_to_measure()
    if FLAGS.evaluate:
        session.evaluate(student)
    if FLAGS.export and session.is_chief:
        log = session.out / _METRICS
        session.export(student, tf_n2uq.training.read_metrics(log) if log.exists() else [])
    distribution.barrier(session.strategy)


def main(argv: list[str]) -> None:
    """Runs the program."""
    if len(argv) > 1:
        raise app.UsageError(f'unknown arguments: {" ".join(argv[1:])}')
    try:
        run(prepare())
    except (ImportError, OSError, ValueError) as error:
        logging.debug('Where it went wrong:', exc_info=True)  # shown by --verbosity=1
        raise SystemExit(f'train_imagenet: {error}') from error


if __name__ == '__main__':
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
    logging.set_verbosity(logging.WARNING)
    app.run(main)
