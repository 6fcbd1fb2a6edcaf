"""Solvers of (k(X) + ridge·I)α = y: by name in `rf.ridge_regression(..., solver="cg")`, or with settings of their own."""

from rfjax.regression.solvers.base import Solution, Solver, Stats
from rfjax.regression.solvers.cholesky import Cholesky
from rfjax.regression.solvers.conjugate_gradients import ConjugateGradients
from rfjax.regression.solvers.eigenpro import EigenPro
from rfjax.regression.solvers.nystrom import Nystrom

__all__ = ["Cholesky", "ConjugateGradients", "EigenPro", "Nystrom", "Solution", "Solver", "Stats"]
