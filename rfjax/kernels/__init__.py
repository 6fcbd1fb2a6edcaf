"""Kernels: `k(X)`, `k(X, Y)` and `k.diag(X)`; they add, multiply and scale."""

from rfjax.kernels.base import Constant, Kernel, Product, Scaled, Sum
from rfjax.kernels.classical import RBF, Polynomial, polynomial, rbf
from rfjax.kernels.infinite import InfiniteWidth
from rfjax.kernels.pairs import CrossPairs, DiagonalPairs, Pairs

__all__ = [
    "RBF",
    "Constant",
    "CrossPairs",
    "DiagonalPairs",
    "InfiniteWidth",
    "Kernel",
    "Pairs",
    "Polynomial",
    "Product",
    "Scaled",
    "Sum",
    "polynomial",
    "rbf",
]
