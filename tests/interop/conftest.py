"""neural-tangents brought back, and its dtype promotion: it was written for the standard one."""

import jax
import pytest

pytest.importorskip("frozendict", reason="neural-tangents is an optional extra")
import rfjax.interop.neural_tangents  # noqa: E402, F401


@pytest.fixture(autouse=True)
def standard_promotion():
    with jax.numpy_dtype_promotion("standard"):
        yield
