"""Training: distillation, learning-rate groups, schedules, run folders and TensorBoard."""

from tf_n2uq.training.best_checkpoint import BestCheckpoint
from tf_n2uq.training.distillation import Distillation
from tf_n2uq.training.metrics_log import MetricsLog, read_metrics
from tf_n2uq.training.occupancy import level_occupancy
from tf_n2uq.training.optimizer import (
    THRESHOLDS_AND_SCALES_AT_A_TENTH,
    LearningRateGroups,
    N2UQAdam,
)
from tf_n2uq.training.run import fit
from tf_n2uq.training.schedule import linear_decay
from tf_n2uq.training.summary import QuantizerSummary, tensorboard_callbacks

__all__ = [
    'THRESHOLDS_AND_SCALES_AT_A_TENTH',
    'BestCheckpoint',
    'Distillation',
    'LearningRateGroups',
    'MetricsLog',
    'N2UQAdam',
    'QuantizerSummary',
    'fit',
    'level_occupancy',
    'linear_decay',
    'read_metrics',
    'tensorboard_callbacks',
]
