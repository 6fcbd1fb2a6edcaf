"""One network, five views: the network itself, and these.

rf.nngp(net), rf.ntk(net)                 exact kernels of infinite width
rf.random_features(net, in_dim, key=key)  hidden layers frozen at random values
rf.empirical_ntk(net, params)             the tangent kernel of the finite network
rf.tangent_features(net, params)          its factor
rf.linearize(net, params)                 the tangent model
rf.monte_carlo_kernel(net, in_dim, key=key)   either kernel of infinite width, by draws
"""

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from rfjax import checks
from rfjax.features import NetworkFeatures
from rfjax.kernels import InfiniteWidth
from rfjax.networks import Dense, Function, Layer, Params, Serial, as_function
from rfjax.tangent import EmpiricalNTK, Linearized, MonteCarloKernel, ProjectedTangentFeatures, TangentFeatures


def nngp(net: Layer) -> InfiniteWidth:
    """The NNGP kernel: the covariance of an infinitely wide random network's output at two points.  Neal 1996.

    **Raises** TypeError for a plain function, ValueError for a network without an infinite-width limit.
    """
    return _infinite(net, "nngp")


def ntk(net: Layer) -> InfiniteWidth:
    """The neural tangent kernel: E ⟨∂f(x)/∂θ, ∂f(y)/∂θ⟩ at infinite width.  Jacot, Gabriel & Hongler 2018.

    **Raises** TypeError for a plain function, ValueError for a network without an infinite-width limit.
    """
    return _infinite(net, "ntk")


def _infinite(net: Layer, reading: str) -> InfiniteWidth:
    if not isinstance(net, Layer):
        raise TypeError(f"{reading} needs a network made of rfjax layers (rf.mlp, rf.Serial), got {type(net).__name__}")
    _require_limit(jax.tree.structure(net))  # a network without a limit says so here, not at the first call
    return InfiniteWidth(net, reading)


@lru_cache(maxsize=1024)
def _require_limit(structure: Any) -> None:
    """Raise ValueError where a network of this structure has no infinite-width reading; once a structure."""
    net = jax.tree.unflatten(structure, [0.5] * structure.num_leaves)
    jax.eval_shape(InfiniteWidth(net, "nngp").diag, jnp.zeros((1, 1)))


def random_features(
    net: Serial, in_dim: int | None = None, *, key: PRNGKeyArray | None = None, params: Params | None = None
) -> NetworkFeatures:
    """The network's hidden layers as a frozen feature map φ: [n, d] → [n, width + [b_std ≠ 0]].

        φ(x) = [scale·h(x), b_std],  scale = w_std/√width

    The output layer's scaling is included: for one hidden layer E φ(x)·φ(y) is `rf.nngp(net)`.
    `random_features(net, in_dim, key=k)` is `random_features(net, params=net.init(k, in_dim))`.
    Rahimi & Recht 2007; as a view of networks, Yehudai & Shamir 2019.

    **Raises** TypeError unless `net` is a Serial that ends in a Dense layer with layers before it; ValueError unless
    exactly one of (in_dim and key) and params is given.
    """
    if not isinstance(net, Serial) or len(net.layers) < 2 or not isinstance(net.layers[-1], Dense):
        raise TypeError("random_features needs a Serial network with hidden layers and a last Dense layer (rf.mlp)")
    if (params is None) == (key is None):
        raise ValueError("give key= (with in_dim) to draw the features, or params=, the network's own; not both")
    if params is None:
        if in_dim is None:
            raise ValueError("in_dim, the number of input columns, is needed to draw features from a key")
        params = net.init(checks.prng_key("key", key), in_dim)
    net._check(params)
    weights = (
        leaf for path, leaf in jax.tree_util.tree_leaves_with_path(params) if getattr(path[-1], "key", None) == "weight"
    )
    columns = next(weights).shape[-1]  # of the first layer with weights, wherever it is nested
    if in_dim is not None and in_dim != columns:
        raise ValueError(f"in_dim must be {columns}, the columns that params are for, got {in_dim}")
    return NetworkFeatures(net, (*params[:-1], {}), columns)


def empirical_ntk(
    net: Layer | Function | Any,
    params: Params,
    *,
    outputs: str = "mean",
    method: str = "auto",
    parameters: Any = None,
) -> EmpiricalNTK:
    """The empirical NTK of any model f(params, X) at `params`: a kernel, averaged over outputs unless asked otherwise.

        outputs="mean"      k(x, y) = (1/c) Σ_a ⟨∂f_a(x)/∂θ, ∂f_a(y)/∂θ⟩                           [n, m]
        outputs="trace"     the sum over outputs, not their mean                                   [n, m]
        outputs="pseudo"    (1/c) ⟨∂Σ_a f_a(x)/∂θ, ∂Σ_b f_b(y)/∂θ⟩, the pseudo-NTK                 [n, m]
        outputs="diagonal"  ⟨∂f_a(x)/∂θ, ∂f_a(y)/∂θ⟩ for each output                               [n, m, c]
        outputs="full"      ⟨∂f_a(x)/∂θ, ∂f_b(y)/∂θ⟩ for all pairs, rows ordered (x, a)            [n·c, m·c]

    `parameters` says which of them are θ: a path ("0/weight"; with all below it) or several, a function of (path, leaf),
    or a pytree of bools with the structure of params or of its upper part.  `method` is "structured", "contraction" (of
    Jacobians), "vector_products", or "auto", the least by a model of flops and bytes (`rfjax.tangent.plan`); all give
    the same values.  What is held beside the result stays within `rf.kernels.memory_bound`, by default 1 GiB on a CPU.

    Each point is a batch of one to f.  Jacot, Gabriel & Hongler 2018; Novak, Sohl-Dickstein & Schoenholz 2022 (the
    algorithms); Mohamadi, Bae & Sutherland 2023 (the pseudo-NTK).

    **Raises** TypeError when `net` is neither a network nor a function or when parameters chosen are not floats,
    ValueError for another `outputs` or `method` or for `parameters` that choose nothing; when called ValueError for a
    network that does not return [n] or [n, c], and for a memory bound too small for one row.
    """
    return EmpiricalNTK(net, params, outputs, method, parameters)


def tangent_features(
    net: Layer | Function | Any,
    params: Params,
    *,
    features: int | None = None,
    key: PRNGKeyArray | None = None,
    projection: str = "gaussian",
    parameters: Any = None,
) -> TangentFeatures | ProjectedTangentFeatures:
    """Parameter gradients as features ψ(x) = ∂f(x)/∂θ/√c, [n, c·P]: ψ(X)ψ(Y)ᵀ = rf.empirical_ntk(net, params)(X, Y).

    With `features=p` and a `key` they are projected at random to [n, p], of which that holds in expectation, with a
    standard error of order √(k(x,x)k(y,y)/p): `projection` "gaussian", "rademacher" or "sparse".  The projection is drawn
    in blocks as it is used, never held.  `parameters` as for `empirical_ntk`.

    **Raises** TypeError as `empirical_ntk`; ValueError for an unknown projection or unless features and key come together.
    """
    function = as_function(net)
    if (features is None) != (key is None):
        raise ValueError("features= and key= belong together: a projection to that many dimensions is random")
    if features is None or key is None:
        return TangentFeatures(function, params, parameters)
    return ProjectedTangentFeatures(function, params, features, key, projection, parameters)


def linearize(net: Layer | Function | Any, params: Params, *, order: int = 1) -> Linearized:
    """The model's Taylor polynomial in its parameters: a function of (new_params, X), to evaluate or to train.

        f(θ', x) = f(θ, x) + ∂f(θ, x)/∂θ·(θ' − θ)          order=1; Lee et al. 2019, *Wide neural networks of any depth*
                   + ½·(θ' − θ)ᵀ ∂²f(θ, x)/∂θ² (θ' − θ)    order=2, the quadratic model; and so on

    Order 1 is also solved: `rf.ridge_regression(rf.tangent_features(net, params), X, y, ridge=…, start=f at params)`.
    An evaluation costs about 2^order of the network's.

    **Raises** TypeError as `empirical_ntk`, ValueError for an order below 1.
    """
    return Linearized(as_function(net), _float_params(params), checks.count("order", order))


def monte_carlo_kernel(
    net: Any,
    in_dim: int,
    *,
    key: PRNGKeyArray,
    reading: str = "ntk",
    samples: int = 1000,
    until_stderr: float | None = None,
) -> MonteCarloKernel:
    """The expected kernel of random finite networks, by draws: `estimate = rf.monte_carlo_kernel(...)(X, Y)`.

        reading="nngp"   E (1/c) Σ_a f_a(x) f_a(y)
        reading="ntk"    E (1/c) Σ_a ⟨∂f_a(x)/∂θ, ∂f_a(y)/∂θ⟩

    `estimate` has mean, stderr and samples.  `net` has init(key, in_dim) and apply(params, X), or is such a pair.  One
    compiled loop makes at most `samples` draws, draw i from fold_in(key, i), and stops (from 16 on) once the largest
    standard error is at most `until_stderr` times the largest entry of the mean.

    **Raises** TypeError or ValueError for a net without init, or settings out of range.
    """
    return MonteCarloKernel(net, in_dim, key, reading, samples, until_stderr)


def _float_params(params: Params) -> Params:
    for leaf in jax.tree.leaves(checks.no_statistics(params)):
        checks.floating("every parameter", leaf)
    return params
