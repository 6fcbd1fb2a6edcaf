"""neural-tangents brought back, and its dtype promotion: it was written for the standard one."""

import jax
import pytest

import rfjax.interop.neural_tangents  # noqa: F401


@pytest.fixture(autouse=True)
def standard_promotion():
    with jax.numpy_dtype_promotion("standard"):
        yield
