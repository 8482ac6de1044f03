"""Reads published PyTorch state dicts into the networks of `tf_n2uq.models`, and writes them."""

from tf_n2uq.checkpoints.pytorch import load_pytorch, read_pytorch, save_pytorch
from tf_n2uq.checkpoints.state_dict import LoadReport, load_state_dict, save_state_dict

__all__ = [
    'LoadReport',
    'load_pytorch',
    'load_state_dict',
    'read_pytorch',
    'save_pytorch',
    'save_state_dict',
]
