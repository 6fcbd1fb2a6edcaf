"""Kernels: `k(X)`, `k(X, Y)` and `k.diag(X)`; they add, multiply and scale."""

from rfjax.kernels.base import Constant, Kernel, Product, Restrict, Scaled, Sum
from rfjax.kernels.disk import write_gram
from rfjax.kernels.dot_product import ArcCosine, Exponential, Polynomial, angular, arc_cosine, exponential, polynomial
from rfjax.kernels.grid import Grid
from rfjax.kernels.infinite import InfiniteWidth
from rfjax.kernels.modifiers import Normalised
from rfjax.kernels.operator import GramOperator
from rfjax.kernels.pairs import CrossPairs, DiagonalPairs, Pairs
from rfjax.kernels.pivoted import PivotedCholesky, pivoted_cholesky
from rfjax.kernels.ring import Ring
from rfjax.kernels.stationary import RBF, Matern, RationalQuadratic, laplace, matern, rational_quadratic, rbf
from rfjax.kernels.tiles import Tiling, held_bytes, memory_bound

__all__ = [
    "RBF",
    "ArcCosine",
    "Constant",
    "CrossPairs",
    "DiagonalPairs",
    "Exponential",
    "GramOperator",
    "Grid",
    "InfiniteWidth",
    "Kernel",
    "Matern",
    "Normalised",
    "Pairs",
    "PivotedCholesky",
    "Polynomial",
    "Product",
    "RationalQuadratic",
    "Restrict",
    "Ring",
    "Scaled",
    "Sum",
    "Tiling",
    "angular",
    "arc_cosine",
    "exponential",
    "held_bytes",
    "laplace",
    "matern",
    "memory_bound",
    "pivoted_cholesky",
    "polynomial",
    "rational_quadratic",
    "rbf",
    "write_gram",
]
