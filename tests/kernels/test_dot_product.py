"""Arc-cosine and angular kernels against 40-digit integrals."""

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from rfjax.kernels import ArcCosine, angular, arc_cosine

ORDERS = (0, 1, 2, 3, 5)
Y = np.array([0.8, -0.5, 1.1])
X = np.stack([np.array([0.3, 1.0, 0.2]), Y, -Y, 2 * Y, Y + 1e-3, -Y + 1e-5, np.array([-0.1, 0.0, 20.0])])


def reference(x, y, order: int) -> mp.mpf:
    """2·E ⟨w,x⟩₊ⁿ⟨w,y⟩₊ⁿ = (‖x‖‖y‖)ⁿ·2·E R²ⁿ·(1/2π)∫ cosⁿφ cosⁿ(θ − φ) dφ over the directions where both are positive."""
    with mp.workdps(40):
        x, y = ([v if isinstance(v, mp.mpf) else mp.mpf(float(v)) for v in row] for row in (x, y))
        size = mp.sqrt(mp.fdot(x, x) * mp.fdot(y, y))
        theta = mp.acos(max(mp.mpf(-1), min(mp.mpf(1), mp.fdot(x, y) / size)))
        both = mp.quad(lambda t: (mp.cos(t) * mp.cos(theta - t)) ** order, [theta - mp.pi / 2, theta / 2, mp.pi / 2])
        return size**order * 2**order * mp.factorial(order) * both / mp.pi


def test_they_are_the_integrals(stacked, dtype):
    points, other = X.astype(dtype), Y[None].astype(dtype)
    computed = np.asarray(stacked([arc_cosine(n) for n in ORDERS])(points, other))[:, :, 0]
    assert computed.dtype == dtype
    exact = np.array([[float(reference(x, other[0], n)) for x in points] for n in ORDERS])
    norms = np.linalg.norm(points.astype(float), axis=1) * np.linalg.norm(other.astype(float))
    scale = np.array([np.prod(range(1, 2 * n, 2)) * norms**n for n in ORDERS])  # √(k(x,x)k(y,y))
    assert (np.abs(computed - exact) / scale).max() < (1e-5 if dtype == np.float32 else 1e-13)


def test_angular_is_one_minus_the_angle():
    theta = np.arccos(np.clip(X @ Y / np.linalg.norm(X, axis=1) / np.linalg.norm(Y), -1, 1))
    np.testing.assert_allclose(angular()(X, Y[None])[:, 0], 1 - theta / np.pi, rtol=0, atol=1e-7)  # arccos loses half
    np.testing.assert_allclose(angular().diag(X), 1, rtol=1e-15)
    zero = np.stack([Y, 0 * Y])
    np.testing.assert_allclose(angular()(zero), [[1, 0.5], [0.5, 0.5]], rtol=1e-15)


def test_own_values_are_double_factorials():
    np.testing.assert_allclose(arc_cosine(3).diag(X), 15 * np.sum(X**2, axis=1) ** 3, rtol=1e-13)


def test_gradients(stacked):
    orders = (0, 3)
    points = np.concatenate([X[:5], np.zeros((1, 3))])

    @jax.jit
    def gradients(points):
        values = jax.vmap(jax.jacfwd(lambda x: stacked([arc_cosine(n) for n in orders])(x[None], Y[None])[:, 0, 0]))
        return values(points)

    computed = np.asarray(gradients(points))
    assert np.isfinite(computed).all()
    np.testing.assert_allclose(computed[5, 1:], 0, atol=1e-15)
    with mp.workdps(40):
        h = mp.mpf(10) ** -15

        def moved(x, axis, amount, order):
            return reference([mp.mpf(float(v)) + (amount if i == axis else 0) for i, v in enumerate(x)], Y, order)

        for k, order in enumerate(orders):
            # At order 0 there is a cusp at x = 2y too, which rounding hides.
            which = [0, 1, 2, 4] if order == 0 else range(5)
            exact = [
                [float((moved(x, a, h, order) - moved(x, a, -h, order)) / (2 * h)) for a in range(3)]
                for x in points[which]
            ]
            np.testing.assert_allclose(computed[which, k], exact, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: arc_cosine(-1), ValueError, "order must be at least 0, got -1"),
        (lambda: ArcCosine(1.0), TypeError, "order must be an integer, got 1.0"),
    ],
)
def test_bad_input_is_named(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_they_have_no_hyperparameters():
    assert jax.tree.leaves(arc_cosine(2)) == []
    assert jax.tree.structure(arc_cosine(2)) != jax.tree.structure(arc_cosine(1))
    assert jnp.isfinite(arc_cosine(2).diag(X)).all()
