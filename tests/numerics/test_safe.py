"""Roots, quotients, norms and angles at the places where the textbook forms lose their value or derivative."""

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np

from rfjax.numerics import angle, gram, matmul, norm, safe_divide, safe_sqrt, sin_minus_theta_cos


def values_and_slopes(function, *arguments):
    """function(x, ...) elementwise and its derivatives in every argument, compiled together, as NumPy arrays."""
    every = tuple(range(len(arguments)))
    both = jax.jit(lambda *a: (function(*a), jax.vmap(jax.grad(function, argnums=every))(*a)))
    values, slopes = both(*(jnp.asarray(a) for a in arguments))
    assert values.dtype == arguments[0].dtype
    assert all(s.dtype == values.dtype for s in slopes)
    return np.asarray(values), [np.asarray(s) for s in slopes]


def test_safe_sqrt_and_its_derivative(dtype):
    values, (slopes,) = values_and_slopes(safe_sqrt, np.array([-1.0, -0.0, 0.0, 1e-30, 0.25, 9.0], dtype))
    np.testing.assert_array_equal(values[:3], 0)
    np.testing.assert_allclose(values[3:], [1e-15, 0.5, 3.0], rtol=1e-6)
    np.testing.assert_array_equal(slopes[:3], 0)
    np.testing.assert_allclose(slopes[3:], [0.5e15, 1.0, 1 / 6], rtol=1e-6)


def test_safe_divide_and_its_derivatives(dtype):
    a, b = np.array([3.0, 3.0, 0.0, -2.0], dtype), np.array([2.0, 0.0, 0.0, -4.0], dtype)
    values, (by_a, by_b) = values_and_slopes(safe_divide, a, b)
    np.testing.assert_allclose(values, [1.5, 0, 0, 0.5])
    np.testing.assert_allclose(by_a, [0.5, 0, 0, -0.25])
    np.testing.assert_allclose(by_b, [-0.75, 0, 0, 0.125])


def test_norm_survives_scales_whose_squares_do_not(dtype):
    rows = np.array([[3.0, 4.0, 12.0], [1.0, -2.0, 2.0], [0.0, 0.0, 0.0]])
    exact = np.array([13.0, 3.0, 0.0])
    exponent = 30 if dtype == np.float32 else 250
    scales = np.array([1.0, 10.0**exponent, 10.0**-exponent])
    X = jnp.asarray((scales[:, None, None] * rows).reshape(9, 3), dtype)
    lengths, slopes = jax.jit(lambda X: (norm(X), jax.grad(lambda x: norm(x).sum())(X)))(X)
    assert lengths.dtype == dtype
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(np.reshape(lengths, (3, 3)), scales[:, None] * exact, rtol=4 * eps)
    unit = np.array([[3 / 13, 4 / 13, 12 / 13], [1 / 3, -2 / 3, 2 / 3], [0, 0, 0]])
    np.testing.assert_allclose(np.reshape(slopes, (3, 3, 3)), np.broadcast_to(unit, (3, 3, 3)), rtol=8 * eps)


def test_angle_is_relatively_accurate_at_both_ends(dtype):
    halves = np.array([0.0, 1e-12, 1e-7, 1e-4, 1e-2, 0.5, 1.5, np.pi / 2, 2.5, np.pi - 1e-3]) / 2
    below, above = (2 * np.sin(halves) ** 2).astype(dtype), (2 * np.cos(halves) ** 2).astype(dtype)
    with mp.workdps(40):
        exact = [float(2 * mp.atan2(mp.sqrt(float(b)), mp.sqrt(float(a)))) for b, a in zip(below, above, strict=True)]
        supplement = [
            float(2 * mp.atan2(mp.sqrt(float(a)), mp.sqrt(float(b)))) for b, a in zip(below, above, strict=True)
        ]
    computed = jax.jit(lambda b, a: (angle(b, a), angle(a, b)))(below, above)
    assert computed[0].dtype == dtype
    np.testing.assert_allclose(computed[0], exact, rtol=4 * np.finfo(dtype).eps)
    # The supplement, from the same two numbers exchanged, is as good near θ = π.
    np.testing.assert_allclose(computed[1], supplement, rtol=4 * np.finfo(dtype).eps)


def test_angle_has_finite_derivatives_where_the_true_one_jumps(dtype):
    below, above = np.array([0.0, 2.0, 0.0, 1.0], dtype), np.array([2.0, 0.0, 0.0, 1.0], dtype)
    values, slopes = values_and_slopes(angle, below, above)
    np.testing.assert_allclose(values, [0, np.pi, 0, np.pi / 2], rtol=1e-6)
    assert np.isfinite(slopes).all()
    np.testing.assert_array_equal(np.array(slopes)[:, 2], 0)
    # θ = arccos((a−b)/(a+b)): at a = b = 1 its derivatives are ±1/2.
    np.testing.assert_allclose(np.array(slopes)[:, 3], [0.5, -0.5], rtol=1e-6)


def test_sin_minus_theta_cos_keeps_its_digits(dtype):
    small, eps = (-12 if dtype == np.float32 else -60), np.finfo(dtype).eps
    theta = np.concatenate([[0.0], np.logspace(small, 0, 60), [0.999, 1.001], np.linspace(1.1, 3.1, 30)]).astype(dtype)
    values, (slopes,) = values_and_slopes(lambda t: sin_minus_theta_cos(t, jnp.sin(t), jnp.cos(t)), theta)
    assert values[0] == 0
    assert slopes[0] == 0
    with mp.workdps(200):
        for t, value, slope in zip(theta[1:].tolist(), values[1:].tolist(), slopes[1:].tolist(), strict=True):
            t = mp.mpf(t)
            assert abs(value / (mp.sin(t) - t * mp.cos(t)) - 1) < 4 * eps, float(t)
            assert abs(slope / (t * mp.sin(t)) - 1) < 40 * eps, float(t)


def test_products_are_those_of_numpy(dtype):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 40)).astype(dtype), rng.normal(size=(3, 40)).astype(dtype)
    exact = x.astype(float) @ y.astype(float).T
    bound = 40 * np.finfo(dtype).eps * np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(y, axis=1)).max()
    for product in (gram(jnp.asarray(x), jnp.asarray(y)), matmul(jnp.asarray(x), jnp.asarray(y.T))):
        assert product.dtype == dtype
        np.testing.assert_allclose(product, exact, rtol=0, atol=bound)


def test_products_ask_for_full_precision():
    # On a CPU every precision is full: the request itself is what an accelerator would act on.
    x = jnp.ones((2, 3), jnp.float32)
    (product,) = [e for e in jax.make_jaxpr(gram)(x, x).jaxpr.eqns if e.primitive.name == "dot_general"]
    assert set(product.params["precision"]) == {jax.lax.Precision.HIGHEST}
