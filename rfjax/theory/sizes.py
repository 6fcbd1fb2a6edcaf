"""Numbers of samples, features and ridges as users give them: a scalar or an array, checked and brought to one shape."""

import numpy as np
from jaxtyping import ArrayLike, Float


def numbers(name: str, value: ArrayLike, *, least: float) -> Float[np.ndarray, "..."]:
    """A number or an array of them as float64; raises TypeError or ValueError unless all are finite and >= least."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must be real numbers, got {value!r}")
    bad = array[~(np.isfinite(array) & (array >= least))]
    if bad.size:
        raise ValueError(f"{name} must be finite and at least {least:g}, got {bad.flat[0]}")
    return array.astype(np.float64)


def broadcast(**arrays: Float[np.ndarray, "..."]) -> tuple[Float[np.ndarray, "..."], ...]:
    """The arrays at their common shape; the error names them and their shapes."""
    try:
        return tuple(np.broadcast_arrays(*arrays.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())
        raise ValueError(f"{', '.join(arrays)} must broadcast to one shape, got {shapes}") from None
