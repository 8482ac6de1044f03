"""Training: distillation, optimizer, schedules, run folders, TensorBoard, many devices."""

from tf_n2uq.training import distribution
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
from tf_n2uq.training.run import epochs_done, fit
from tf_n2uq.training.run_directory import RunDirectory, describe_environment, run_summary
from tf_n2uq.training.schedule import linear_decay
from tf_n2uq.training.summary import QuantizerSummary, tensorboard_callbacks

__all__ = [
    'THRESHOLDS_AND_SCALES_AT_A_TENTH',
    'BestCheckpoint',
    'Distillation',
    'LearningRateGroups',
    'MetricsLog',
    'N2UQAdam',
    'Progress',
    'QuantizerSummary',
    'RunDirectory',
    'describe_environment',
    'distribution',
    'epochs_done',
    'fit',
    'input_speed',
    'level_occupancy',
    'linear_decay',
    'read_metrics',
    'run_summary',
    'tensorboard_callbacks',
]
