"""One entry point: the best feature map that is known for a kernel."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from rfjax import checks
from rfjax.features.base import FeatureKernel, FeatureMap
from rfjax.features.combined import Concatenated, OnColumns
from rfjax.features.fourier import fourier
from rfjax.features.gegenbauer import gegenbauer
from rfjax.features.inner_product import positive
from rfjax.features.nystrom import Nystrom, nystrom
from rfjax.features.powers import NoSeriesError
from rfjax.features.tensor_sketch import CountSketch, ProductFeatures
from rfjax.kernels import RBF, Exponential, Kernel, Matern, Product, RationalQuadratic, Restrict, Scaled, Sum
from rfjax.kernels.base import as_operand

KNOWN = (
    "rbf, laplace, matern, rational_quadratic (Fourier features); NNGPs and NTKs of Dense, Activation, Residual, Parallel, "
    "Repeat and LayerNorm layers, arc_cosine, angular, polynomial (Gegenbauer features); exponential (positive features); "
    "and sums, products, scalings and columns of these"
)
_QUASI_RANDOM = 12  # columns up to which a scrambled Sobol sequence errs less than orthogonal frequencies
_STRUCTURED = 256  # columns from which Hadamard transforms are the faster
_PIVOTED = 2048  # columns up to which centres are pivots: beyond, choosing them costs more than the features
_MIDDLE = 4096  # columns of each factor of a product before they are sketched, at most


def approximate(
    kernel: Kernel,
    features: int,
    *,
    key: PRNGKeyArray,
    in_dim: int | None = None,
    X: Float[Array, "n d"] | None = None,
    stored: bool = True,
) -> FeatureMap:
    """The best feature map known for `kernel`: `phi(X)` is [n, p], p at most `features`, and φ(x)·φ(y) ≈ k(x, y).

    | kernel | map |
    |---|---|
    | rbf, laplace, matern, rational_quadratic | Fourier: scrambled Sobol to 12 columns, orthogonal, structured from 256 |
    | NNGP, NTK, arc_cosine, polynomial, their sums and products | Gegenbauer: low degrees in full, neurons for the rest |
    | the same, given data X of at least p rows | Nyström as below, unless p holds all degrees in full |
    | exponential | positive, orthogonal |
    | k1 + k2, c·k, k.on(columns) | side by side; scaled; on those columns |
    | k1·k2 | a TensorSketch of both |
    | the kernel of a feature map | that map |
    | any other, given data X | Nyström: randomly pivoted rows to p = 2048, uniform ones beyond |

    Give `in_dim`, the number d of columns, or the data X [n, d].  Nyström features (`rf.features.nystrom`) serve every
    kernel and see where the data lie: a fit on them is mostly nearer to the kernel's own than on any other p columns, and
    they cost p² a row where the others cost p·d.  For the empirical NTK of a real network there is `rf.tangent_features`.

    All but Nyström are unbiased up to what `rf.features.gegenbauer` and Sobol's scrambling state; `rf.approximation_error`
    measures.  With `stored` False frequencies and neurons are drawn anew from the key in every call (orthogonal where they
    would be Sobol's).  Eager: some parts are made on the host.

    **Raises** TypeError for a kernel with no known map and no X to draw from; ValueError or TypeError for bad settings, and
    for `stored` False with exponential kernels, sketched products and Nyström features, whose weights are kept.
    """
    kernel, features = as_operand(kernel), checks.count("features", features)
    key = checks.prng_key("key", key)
    if X is not None:
        X = checks.points("X", X, columns=in_dim)
        in_dim = X.shape[1]
    elif in_dim is None:
        raise ValueError("in_dim, the number of input columns, or X, the data, is needed to make features")
    return _made(kernel, features, key, checks.count("in_dim", in_dim), X, stored)


def _made(kernel: Kernel, features: int, key: PRNGKeyArray, d: int, X: Any, stored: bool) -> FeatureMap:
    if isinstance(kernel, FeatureKernel):
        return kernel.features
    if isinstance(kernel, RBF | Matern | RationalQuadratic):
        draw = "sobol" if d <= _QUASI_RANDOM and stored else "structured" if d >= _STRUCTURED else "orthogonal"
        form = "phase" if features % 2 else "sincos"
        return fourier(kernel, d, features, key=key, draw=draw, form=form, stored=stored)
    if isinstance(kernel, Exponential) and features > 1:
        _stored_only(kernel, stored)
        return positive(kernel, d, features - features % 2, key=key)
    if isinstance(kernel, Restrict):
        if max(kernel.columns) >= d:
            raise ValueError(f"columns must be below in_dim = {d}, got {list(kernel.columns)}")
        part = None if X is None else X[:, np.array(kernel.columns)]
        return OnColumns(
            kernel, _made(kernel.kernel, features, key, len(kernel.columns), part, stored), kernel.columns, d
        )
    try:
        phi = gegenbauer(kernel, d, features, key=key, stored=stored)
    except NoSeriesError as error:
        reason = error
    else:
        in_full = phi.directions is None
        seen = X is not None and stored and X.shape[0] >= features
        return _seen(kernel, X, features, key) if seen and not in_full else phi
    if isinstance(kernel, Scaled):
        return Concatenated(kernel, (_made(kernel.kernel, features, key, d, X, stored),), (kernel.factor,))
    if isinstance(kernel, Sum):
        return _sum(kernel, features, key, d, X, stored)
    _stored_only(kernel, stored)
    if isinstance(kernel, Product):
        one, other, first, second = jax.random.split(key, 4)
        middle = min(features, _MIDDLE)
        maps = _made(kernel.left, middle, one, d, X, stored), _made(kernel.right, middle, other, d, X, stored)
        widths = [jax.eval_shape(phi._features, jax.ShapeDtypeStruct((1, d), float)).shape[1] for phi in maps]
        sketches = [CountSketch.draw(k, w, features) for k, w in zip((first, second), widths, strict=True)]
        return ProductFeatures(kernel, maps, (sketches[0], sketches[1]))
    if X is None:
        raise TypeError(
            f"no feature map is known for {type(kernel).__name__} ({reason}). Known are {KNOWN}. Any other kernel has "
            "Nyström features: give X=, the data, or call rf.features.nystrom(kernel, X, features=..., key=...)"
        )
    return _seen(kernel, X, min(features, X.shape[0]), key)


def _seen(kernel: Kernel, X: Array, features: int, key: PRNGKeyArray) -> Nystrom:
    return nystrom(kernel, X, features=features, key=key, centres="rpcholesky" if features <= _PIVOTED else "uniform")


def _stored_only(kernel: Kernel, stored: bool) -> None:
    if not stored:
        raise ValueError(
            f"stored=False is for Fourier and Gegenbauer features; those of {type(kernel).__name__} keep their weights"
        )


def _sum(kernel: Sum, features: int, key: PRNGKeyArray, d: int, X: Any, stored: bool) -> FeatureMap:
    """Both terms side by side, with columns in proportion to their diagonals: for errors c_i/√p_i that is best."""
    if features < 2:
        raise ValueError(f"features must be at least 2 for a sum of kernels, one a term, got {features}")
    points = np.full((1, d), 1.0) if X is None else X
    sizes = [float(term.diag(jax.numpy.asarray(points, float)).mean()) for term in (kernel.left, kernel.right)]
    first = min(max(1, round(features * sizes[0] / max(sum(sizes), 1e-300))), features - 1)
    if features % 2 == 0 and first % 2 and first > 1:
        first -= 1  # Fourier features come in pairs
    keys = jax.random.split(key)
    terms = zip((kernel.left, kernel.right), (first, features - first), keys, strict=True)
    return Concatenated(kernel, tuple(_made(term, p, k, d, X, stored) for term, p, k in terms), (1.0, 1.0))
