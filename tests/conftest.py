"""Settings of the whole suite, and the references that several of its parts share.

The suite runs with float64 switched on, so that float64 data can be tested at all; float32 is tested by passing float32
arrays, which the library must then compute in float32.
"""

import gc
import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
import pytest

# Compilation is nearly all that the tests cost: have XLA do less of it, before it starts.  A user's own flags come first.
_FLAGS = "--xla_backend_optimization_level=0"
if importlib.metadata.version("jaxlib").startswith("0.10."):  # XLA stops at a flag that it does not know
    _FLAGS += " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
os.environ.setdefault("XLA_FLAGS", _FLAGS)
# What is compiled is millions of objects that stay: looking through them takes a while.
gc.set_threshold(50_000, 20, 50)

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")

GOLDEN = pathlib.Path(__file__).parent / "golden"
MAPS = pathlib.Path("/proc/self/maps")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The README's code comes first: the longest single test, which would otherwise keep one worker busy at the end."""
    items.sort(key=lambda item: item.path.name != "test_readme.py")


@pytest.fixture(autouse=True, scope="module")
def _few_programs() -> Iterator[None]:
    """Every compiled program holds memory maps, of which Linux allows a process 65,530: XLA crashes where they end."""
    yield
    if MAPS.exists() and MAPS.read_bytes().count(b"\n") > 30_000:
        jax.clear_caches()


@pytest.fixture(scope="session")
def on_eight_devices() -> Callable[..., None]:
    """Run a program, which ends with `print("same")`, in a process of its own that has eight devices."""

    def run(program: str, timeout: int = 300) -> None:
        flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
        environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == "same"

    return run


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> np.dtype:
    """Both floating dtypes, one after the other."""
    return np.dtype(request.param)


@pytest.fixture(scope="session")
def golden() -> list[dict[str, Any]]:
    """Reference kernels of neural-tangents 0.6.5, one record a configuration: its settings, x, y, nngp and ntk."""
    configurations = json.loads((GOLDEN / "nt_public.json").read_text())
    with np.load(GOLDEN / "nt_public.npz") as arrays:
        fields = ("x", "y", "nngp", "ntk")
        return [c | {name: arrays[f"{name}_{c['index']}"] for name in fields} for c in configurations]


@pytest.fixture(scope="session")
def monte_carlo() -> Callable[..., None]:
    """A two-sided check of an expectation: within 4.5 standard errors, which must be small enough to mean something."""

    def check(draws: Any, expected: Any, *, resolution: float, scale: Any = None) -> None:
        """`draws` [s, ...] of mean `expected` [...]; `resolution` bounds the standard error in units of `scale`."""
        draws, expected = np.asarray(draws, np.float64), np.asarray(expected, np.float64)
        assert draws.shape[1:] == expected.shape
        stderr = draws.std(axis=0, ddof=1) / np.sqrt(draws.shape[0])
        scale = np.abs(expected).max() if scale is None else scale
        assert (stderr > 0).all(), "the draws do not vary"
        assert (stderr < resolution * scale).all(), f"too coarse: {stderr / scale}"
        sigmas = (draws.mean(axis=0) - expected) / stderr
        assert (np.abs(sigmas) < 4.5).all(), f"off by {sigmas} standard errors"

    return check
