"""Diagnostics along training: is the network lazy, or does it learn features?

drift = rf.diagnostics.KernelDrift(net, X)
run = rf.train(net, task, ..., metrics={"drift": drift})    recorded in the compiled loop, for every run
drift.of(run)                                               of a finished run
drift(params, start)                                        of any parameters beside those at the start
"""

from rfjax.diagnostics.features import FeatureRank
from rfjax.diagnostics.kernels import KernelDrift, TargetAlignment
from rfjax.diagnostics.linearization import LinearizationGap
from rfjax.diagnostics.parameters import Distance
from rfjax.diagnostics.teacher import TeacherAlignment
from rfjax.training import Diagnostic

__all__ = [
    "Diagnostic",
    "Distance",
    "FeatureRank",
    "KernelDrift",
    "LinearizationGap",
    "TargetAlignment",
    "TeacherAlignment",
]
