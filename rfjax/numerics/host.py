"""The floats of what is worked out once, on the host."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax


@contextmanager
def in_float64() -> Iterator[None]:
    """Inside, JAX computes known values in float64, in compiled functions too, whatever it is set to.

    For constants and spectra, which are float64 on the host; the setting itself, which is the user's, stays as it is.
    """
    with jax.ensure_compile_time_eval(), jax.enable_x64(True):
        yield
