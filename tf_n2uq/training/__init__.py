"""Trains quantized models: distillation, optimizers, run folders, TensorBoard, many devices."""

from tf_n2uq.training import distribution
from tf_n2uq.training.adaptive_training import AdaptiveTraining
from tf_n2uq.training.best_checkpoint import BestCheckpoint
from tf_n2uq.training.distillation import Distillation
from tf_n2uq.training.metrics_log import MetricsLog, read_metrics
from tf_n2uq.training.occupancy import level_occupancy
from tf_n2uq.training.optimizer import (
    THRESHOLDS_AND_SCALES_AT_A_TENTH,
    LearningRateGroups,
    N2UQAdam,
)
from tf_n2uq.training.progress import Progress, input_speed
from tf_n2uq.training.quantizer_summary import QuantizerSummary, tensorboard_callbacks
from tf_n2uq.training.run import epochs_done, fit
from tf_n2uq.training.run_directory import RunDirectory, describe_environment, run_summary
from tf_n2uq.training.schedule import cosine_decay, linear_decay, step_decay
from tf_n2uq.training.sgd import L2SGD
from tf_n2uq.training.variable_groups import VariableGroup

__all__ = [
    'L2SGD',
    'THRESHOLDS_AND_SCALES_AT_A_TENTH',
    'AdaptiveTraining',
    'BestCheckpoint',
    'Distillation',
    'LearningRateGroups',
    'MetricsLog',
    'N2UQAdam',
    'Progress',
    'QuantizerSummary',
    'RunDirectory',
    'VariableGroup',
    'cosine_decay',
    'describe_environment',
    'distribution',
    'epochs_done',
    'fit',
    'input_speed',
    'level_occupancy',
    'linear_decay',
    'read_metrics',
    'run_summary',
    'step_decay',
    'tensorboard_callbacks',
]
