"""`rfjax gram`: the Gram matrix of the points in a file, written to a file, however large."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Name = Literal["ntk", "nngp", "rbf", "laplace", "matern", "rational-quadratic", "polynomial", "arc-cosine", "angular"]
SETTINGS = (
    "depth", "activation", "w_std", "b_std", "length_scale", "nu", "alpha", "degree", "scale", "offset", "order",
)  # fmt: skip


@dataclass
class Gram:
    """Write the Gram matrix of the points in a file to an .npy file, tile by tile: it may be larger than memory.

    Points are the rows of an .npy, .npz or .csv file.  Interrupted or killed and started again, it goes on where it was.
    """

    x: Path
    """The points."""
    out: Path
    """The .npy file to write."""
    kernel: Name
    """Which kernel; each has its own settings, below."""
    y: Path | None = None
    """Other points: k(X, Y) instead of k(X)."""
    depth: int | None = None
    """ntk, nngp: hidden layers (1)."""
    activation: str | None = None
    """ntk, nngp: a name, with its arguments if it has any: relu, "leaky_relu(0.1)", tanh (relu)."""
    w_std: float | None = None
    """ntk, nngp: standard deviation of the weights (the square root of 2)."""
    b_std: float | None = None
    """ntk, nngp: standard deviation of the biases (0)."""
    length_scale: tuple[float, ...] | None = None
    """rbf, laplace, matern, rational-quadratic: one length, or one a column (1)."""
    nu: float | None = None
    """matern: smoothness, 0.5, 1.5, 2.5, ..."""
    alpha: float | None = None
    """rational-quadratic (1)."""
    degree: int | None = None
    """polynomial."""
    scale: float | None = None
    """polynomial (1)."""
    offset: float | None = None
    """polynomial (1)."""
    order: int | None = None
    """arc-cosine: the power of the rectifier, from 0."""
    normalised: bool = False
    """Divide by the square roots of k(x, x) and k(y, y)."""
    dtype: Literal["float32", "float64"] | None = None
    """Precision of the points and of the matrix (that of the file)."""
    tile: int = 2048
    """Rows and columns that are computed at once."""
    overwrite: bool = False
    """Replace an existing file."""

    def run(self) -> None:
        """Check everything, write the matrix, and say what was written."""
        import jax

        jax.config.update("jax_enable_x64", True)
        from rfjax.kernels import Normalised, write_gram

        kernel = self._kernel()
        X = _read("x", self.x, self.dtype)
        Y = None if self.y is None else _read("y", self.y, self.dtype)
        written = write_gram(
            Normalised(kernel) if self.normalised else kernel,
            X,
            Y,
            path=self.out,
            tile=self.tile,
            progress=True,
            overwrite=self.overwrite,
        )
        rows, columns = written.shape
        print(f"{self.out}: {rows} x {columns} {written.dtype}, {written.nbytes / 1e6:.3g} MB")

    def _kernel(self) -> Any:
        import rfjax as rf

        def network(reading: Callable[..., Any]) -> Callable[..., Any]:
            def make(depth: int = 1, activation: str = "relu", w_std: float = 2**0.5, b_std: float = 0.0) -> Any:
                from rfjax.commands.activation import parse

                return reading(rf.mlp(depth=depth, width=1, activation=parse(activation), w_std=w_std, b_std=b_std))

            return make

        networks = {"ntk": rf.ntk, "nngp": rf.nngp}
        name = self.kernel.replace("-", "_")
        make = network(networks[name]) if name in networks else getattr(rf, name)
        settings = {s: getattr(self, s) for s in SETTINGS if getattr(self, s) is not None}
        own = inspect.signature(make).parameters
        for setting in settings:
            if setting not in own:
                has = ", ".join(_option(s) for s in own) or "none"
                raise ValueError(f"{_option(setting)} is no setting of the kernel {self.kernel}, which has: {has}")
        for setting, parameter in own.items():
            if parameter.default is parameter.empty and setting not in settings:
                raise ValueError(f"the kernel {self.kernel} needs {_option(setting)}")
        if len(settings.get("length_scale", ())) == 1:
            (settings["length_scale"],) = settings["length_scale"]
        return make(**settings)


def _option(setting: str) -> str:
    return "--" + setting.replace("_", "-")


def _read(name: str, path: Path, dtype: str | None) -> Any:
    """The points in a file, as floats.  Raises ValueError for a file that is missing or holds something else."""
    import zipfile

    import numpy as np

    try:
        data = _load(name, path)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"cannot read numbers from {path}: {error}") from error
    if dtype is not None and data.dtype.kind in "fiub":
        return data if data.dtype == dtype else data.astype(dtype)
    if not np.issubdtype(data.dtype, np.floating):
        raise ValueError(f"{path} holds {data.dtype}, not floats: say --dtype float32 or --dtype float64")
    return data


def _load(name: str, path: Path) -> Any:
    import numpy as np

    from rfjax.datasets.encoding import is_number

    if path.suffix == ".npy":
        return np.load(path, mmap_mode="r")
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            known = [name, name.upper()] if len(arrays.files) > 1 else arrays.files
            for key in known:
                if key in arrays.files:
                    return arrays[key]
            raise ValueError(f"it holds {', '.join(arrays.files)}; wanted one array, or one named {name}")
    if path.suffix == ".csv":
        with path.open() as file:
            first = file.readline().strip().split(",")
        return np.loadtxt(path, delimiter=",", ndmin=2, skiprows=0 if all(map(is_number, first)) else 1)
    raise ValueError("points are read from .npy, .npz and .csv files")
