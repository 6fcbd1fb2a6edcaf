"""Training: `rf.train` of any init/apply, on samples, on a stream, or on the exact population risk."""

from rfjax.training.axes import Axes
from rfjax.training.history import History
from rfjax.training.metrics import Diagnostic
from rfjax.training.objectives import half_mean_square
from rfjax.training.run import Run
from rfjax.training.train import train

__all__ = ["Axes", "Diagnostic", "History", "Run", "half_mean_square", "train"]
