"""The empirical NTK of dense networks, without a Jacobian: a weight's gradient is an outer product.

For z = W g, ∂f/∂W = δ gᵀ with δ = ∂f/∂z, so that ⟨∂f(x)/∂W, ∂f(y)/∂W⟩ = ⟨g(x), g(y)⟩·⟨δ(x), δ(y)⟩: two small Gram
matrices a layer, in place of one of width P.  Novak, Sohl-Dickstein & Schoenholz 2022, *Fast finite width neural
tangent kernel* (structured derivatives).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rfjax.networks import Activation, Dense, Layer, Params, Serial
from rfjax.numerics import gram


def flatten(net: Layer, params: Params) -> list[tuple[Layer, Params]] | None:
    """The layers of a plain dense network with their parameters, or None when another kind of layer is in it."""
    if isinstance(net, Serial):
        net._check(params)
        parts = [flatten(layer, own) for layer, own in zip(net.layers, params, strict=True)]
        return None if any(part is None for part in parts) else [pair for part in parts for pair in part or []]
    return [(net, params)] if isinstance(net, (Dense, Activation)) else None


def factors(
    layers: list[tuple[Layer, Params]], X: Float[Array, "n d"]
) -> list[tuple[Float[Array, "n g"], Float[Array, "c n w"]]]:
    """For every dense layer: the gradient features g(x) of its inputs, and δ(x) = ∂f/∂z for each output."""
    gains: list[Float[Array, "n g"]] = []

    def run(shifts: list[Array]) -> tuple[Float[Array, "n c"], list[Float[Array, "n g"]]]:
        h, taps, waiting = X, [], list(shifts)
        for layer, own in layers:
            if isinstance(layer, Dense):
                taps.append(layer.gradient_features(h))
                h = layer._apply(own, h) + waiting.pop(0)
            else:
                h = layer._apply(own, h)
        return h, taps

    zeros = [jnp.zeros((X.shape[0], layer.width), X.dtype) for layer, _ in layers if isinstance(layer, Dense)]
    outputs, pull, gains = jax.vjp(run, zeros, has_aux=True)
    seeds = jnp.broadcast_to(
        jnp.eye(outputs.shape[1], dtype=outputs.dtype)[:, None, :], (outputs.shape[1], *outputs.shape)
    )
    (deltas,) = jax.vmap(pull)(seeds)
    return list(zip(gains, deltas, strict=True))


def mean_kernel(
    layers: list[tuple[Layer, Params]], X: Float[Array, "n d"], Y: Float[Array, "m d"]
) -> Float[Array, "n m"]:
    """(1/c) Σ_outputs ⟨∂f(x), ∂f(y)⟩."""
    total = jnp.zeros((X.shape[0], Y.shape[0]), jnp.result_type(X, Y))
    for (g, delta), (h, epsilon) in zip(factors(layers, X), factors(layers, Y), strict=True):
        c, _, w = delta.shape
        rows, columns = (jnp.moveaxis(v, 0, 1).reshape(v.shape[1], c * w) for v in (delta, epsilon))
        total += gram(g, h) * gram(rows, columns) / c
    return total


def full_kernel(
    layers: list[tuple[Layer, Params]], X: Float[Array, "n d"], Y: Float[Array, "m d"]
) -> Float[Array, "nc mc"]:
    """⟨∂f_a(x), ∂f_b(y)⟩ with rows (x, a) and columns (y, b)."""
    total = jnp.zeros(())
    for (g, delta), (h, epsilon) in zip(factors(layers, X), factors(layers, Y), strict=True):
        blocks = jnp.einsum("anw,bmw->namb", delta, epsilon, precision=jax.lax.Precision.HIGHEST)
        total = total + gram(g, h)[:, None, :, None] * blocks
    n, a, m, b = total.shape
    return total.reshape(n * a, m * b)
