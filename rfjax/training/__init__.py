"""Training: `rf.train` of any init/apply, on samples, on a stream, or on the exact population risk."""

from rfjax.training.objectives import half_mean_square
from rfjax.training.run import History, Run
from rfjax.training.train import train

__all__ = ["History", "Run", "half_mean_square", "train"]
