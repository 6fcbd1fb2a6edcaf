"""Normal distribution functions and the moment of two biased ReLUs, against SciPy and quadrature written here."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
from scipy.special import ndtr

from rfjax.numerics import bivariate_normal_cdf, normal_cdf, normal_pdf, owens_t, relu_mean, relu_pair_moment

# Pairs (1−ρ, 1+ρ): both ends, within 1e-10 of them, and the middle.
SMALL = np.array([1e-10, 1e-5, 1e-3, 0.05, 0.4])
BELOW = np.concatenate([SMALL, [0.9, 1.0, 1.3], 2 - SMALL])
ABOVE = np.concatenate([2 - SMALL, [1.1, 1.0, 0.7], SMALL])
BETA = np.array([-4.0, -2.0, -0.5, 0.0, 0.1, 1.0, 2.0])
GAMMA = np.array([-3.0, -2.0, -0.1, 0.0, 0.5, 1.0, 3.0])
GRID = tuple(v.ravel() for v in np.broadcast_arrays(BETA[:, None, None], GAMMA[:, None], BELOW))
GRID += (np.broadcast_to(ABOVE, (7, 7, BELOW.size)).ravel(),)


def density(z: np.ndarray) -> np.ndarray:
    return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


def plackett(h: np.ndarray, k: np.ndarray, below: np.ndarray, above: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Φ₂ and E(U+h)₊(V+k)₊ by integrating their derivatives in the correlation sin t, from independence.

    ∂Φ₂/∂t = e^{−(h²+k²−2hk sin t)/(2cos²t)}/2π, and ∂M/∂ρ = Φ₂.  With t = ±(π/2 − e), panels halve towards e = 0.
    """
    h, k, below, above = (np.asarray(v, float)[..., None] for v in (h, k, below, above))
    positive = below <= above
    end = 2 * np.arctan2(np.sqrt(np.minimum(below, above)), np.sqrt(np.maximum(below, above)))
    nodes, weights = np.polynomial.legendre.leggauss(16)
    edges = np.concatenate([[0.0], 2.0 ** np.arange(-45, 1)])
    nodes = (edges[:-1, None] + np.diff(edges)[:, None] * (nodes + 1) / 2).ravel()
    weights = (np.diff(edges)[:, None] * weights / 2).ravel()
    length = np.pi / 2 - end
    e = end + length * nodes
    gap = np.where(positive, h - k, h + k) ** 2
    product = np.where(positive, h * k, -h * k) / (1 + np.cos(e))
    integrand = np.exp(-gap / (2 * np.sin(e) ** 2) - product) * length * weights / (2 * np.pi)
    sign = np.where(positive, 1.0, -1.0)
    rho = (above - below)[..., 0] / 2
    # |ρ| − |sin t| = cos(end) − cos(e) = 2 sin((e+end)/2) sin((e−end)/2)
    lever = 2 * np.sin(end + length * nodes / 2) * np.sin(length * nodes / 2)
    h, k, sign = h[..., 0], k[..., 0], sign[..., 0]
    cdf = ndtr(h) * ndtr(k) + sign * integrand.sum(-1)
    mean = [z * ndtr(z) + density(z) for z in (h, k)]
    return cdf, mean[0] * mean[1] + ndtr(h) * ndtr(k) * rho + (lever * integrand).sum(-1)


def at_ends(h: np.ndarray, k: np.ndarray) -> dict[str, np.ndarray]:
    """Φ₂ and M where V = U and where V = −U, from one-dimensional integrals of the normal density."""
    low, high = np.minimum(h, k), np.maximum(h, k)
    overlap = h + k > 0  # U > −h and U < k
    return {
        "cdf+": ndtr(low),
        "cdf-": np.where(overlap, ndtr(h) - ndtr(-k), 0),
        "moment+": (1 + h * k) * ndtr(low) + high * density(low),
        "moment-": np.where(overlap, (h * k - 1) * (ndtr(h) - ndtr(-k)) + k * density(h) + h * density(k), 0),
    }


@pytest.fixture(scope="module")
def reference() -> tuple[np.ndarray, np.ndarray]:
    return plackett(*GRID)


def compiled_once(function):
    """`function` of vectors, compiled for one length: shorter ones are repeated to it.  NumPy in, NumPy out."""
    jitted = jax.jit(function)

    def call(*arguments, dtype=np.float64):
        size = len(arguments[0])
        padded = (jnp.asarray(np.resize(np.asarray(v), GRID[0].size), dtype) for v in arguments)
        results = jax.tree.map(np.asarray, jitted(*padded))
        assert all(v.dtype == dtype for v in jax.tree.leaves(results))
        return jax.tree.map(lambda v: v[..., :size], results)

    return call


both = compiled_once(lambda *pair: (bivariate_normal_cdf(*pair), relu_pair_moment(*pair)))


@compiled_once
def slopes(h, k, below, above):
    """Derivatives in h, k and ρ (below falls as ρ rises) of Φ₂ and of M."""

    def three(function):
        by = jax.vmap(jax.grad(function, argnums=(0, 1, 2, 3)))(h, k, below, above)
        return jnp.stack([by[0], by[1], by[3] - by[2]])

    return three(bivariate_normal_cdf), three(relu_pair_moment)


owen = compiled_once(lambda h, a: (owens_t(h, a), *jax.vmap(jax.grad(owens_t, argnums=(0, 1)))(h, a)))


def test_the_reference_itself(reference):
    h, k, below, above = GRID
    inside = np.flatnonzero(np.minimum(below, above) > 1e-4)[::3]
    scipy_cdf = [
        scipy.stats.multivariate_normal(cov=[[1, 1 - below[i]], [1 - below[i], 1]]).cdf([h[i], k[i]]) for i in inside
    ]
    np.testing.assert_allclose(reference[0][inside], scipy_cdf, rtol=0, atol=2e-14)

    def moment(i: int) -> float:
        rho, s = (above[i] - below[i]) / 2, np.sqrt(below[i] * above[i])

        def integrand(u: float) -> float:
            z = (k[i] + rho * u) / s  # E[(V + k)₊ | U = u] = s·(zΦ(z) + φ(z))
            return (u + h[i]) * s * (z * ndtr(z) + density(z)) * density(u)

        return scipy.integrate.quad(integrand, -h[i], 12, epsabs=1e-15, epsrel=1e-13, limit=400)[0]

    some = np.flatnonzero(np.minimum(below, above) > 1e-2)[::7]
    np.testing.assert_allclose(reference[1][some], [moment(i) for i in some], rtol=0, atol=2e-13)


def test_bivariate_cdf_and_relu_moment_on_the_grid(reference, dtype):
    h, k, below, above = (v.astype(dtype) for v in GRID)
    exact = reference if dtype == np.float64 else plackett(h, k, below, above)  # at the same rounded arguments
    cdf, moment = both(h, k, below, above, dtype=dtype)
    atol = 2e-15 if dtype == np.float64 else 4e-7
    np.testing.assert_allclose(cdf, exact[0], rtol=0, atol=atol)
    assert (np.abs(moment - exact[1]) / np.sqrt((1 + GRID[0] ** 2) * (1 + GRID[1] ** 2))).max() < atol


def test_perfect_correlation_is_the_one_dimensional_law(dtype):
    h, k = (v.ravel().astype(dtype) for v in np.meshgrid(BETA, np.concatenate([GAMMA, -BETA])))
    exact = at_ends(h.astype(float), k.astype(float))
    zero, two = np.zeros_like(h), np.full_like(h, 2)
    atol = 2e-15 if dtype == np.float64 else 4e-7
    for sign, ends in (("+", (zero, two)), ("-", (two, zero))):
        cdf, moment = both(h, k, *ends, dtype=dtype)
        np.testing.assert_allclose(cdf, exact["cdf" + sign], rtol=0, atol=atol)
        assert (np.abs(moment - exact["moment" + sign]) / np.sqrt((1 + h**2) * (1 + k**2))).max() < atol


def test_unbiased_pair_is_cho_and_saul():
    theta = np.array([0.0, 1e-6, 0.1, 1.0, np.pi / 2, 2.0, np.pi - 1e-6, np.pi])
    cdf, moment = both(0 * theta, 0 * theta, 2 * np.sin(theta / 2) ** 2, 2 * np.cos(theta / 2) ** 2)
    np.testing.assert_allclose(cdf, (np.pi - theta) / (2 * np.pi), rtol=0, atol=1e-15)
    exact = (np.sin(theta) + (np.pi - theta) * np.cos(theta)) / (2 * np.pi)
    np.testing.assert_allclose(moment, exact, rtol=0, atol=1e-15)


def test_derivatives_inside(reference):
    interior = np.minimum(GRID[2], GRID[3]) > 1e-3
    h, k, below, above = (v[interior] for v in GRID)
    for_cdf, for_moment = slopes(h, k, below, above)
    rho, s = (above - below) / 2, np.sqrt(below * above)
    joint = np.exp(-(h**2 - 2 * rho * h * k + k**2) / (2 * s**2)) / (2 * np.pi * s)
    np.testing.assert_allclose(for_cdf[0], density(h) * ndtr((k - rho * h) / s), rtol=0, atol=1e-13)
    np.testing.assert_allclose(for_cdf[1], density(k) * ndtr((h - rho * k) / s), rtol=0, atol=1e-13)
    np.testing.assert_allclose(for_cdf[2], joint, rtol=0, atol=1e-11)
    np.testing.assert_allclose(for_moment[2], reference[0][interior], rtol=0, atol=1e-13)
    step = 1e-4
    for slope, (dh, dk) in zip(for_moment[:2], ((step, 0), (0, step)), strict=True):
        ahead, behind = (plackett(h + sign * dh, k + sign * dk, below, above)[1] for sign in (1, -1))
        np.testing.assert_allclose(slope, (ahead - behind) / (2 * step), rtol=0, atol=2e-8)


@pytest.mark.parametrize("rho", [1, -1])
def test_derivatives_at_perfect_correlation(rho):
    h, k = np.array([0.0, 1.0, -0.5, 0.3, 2.0, 0.0, -1.0]), np.array([1.0, 0.0, -1.0, 0.8, -1.5, 0.4, -1.5])
    zero, two = np.zeros_like(h), np.full_like(h, 2)
    for_cdf, for_moment = slopes(h, k, *((zero, two) if rho == 1 else (two, zero)))
    step = 1e-5
    name = "+" if rho == 1 else "-"
    for i, (dh, dk) in enumerate(((step, 0), (0, step))):
        ahead, behind = at_ends(h + dh, k + dk), at_ends(h - dh, k - dk)
        slope = {v: (ahead[v + name] - behind[v + name]) / (2 * step) for v in ("cdf", "moment")}
        np.testing.assert_allclose(for_moment[i], slope["moment"], rtol=0, atol=1e-9)
        np.testing.assert_allclose(for_cdf[i], slope["cdf"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(for_moment[2], at_ends(h, k)["cdf" + name], rtol=0, atol=1e-14)


def test_derivatives_stay_finite_where_they_jump(dtype):
    h = np.array([0.0, 1.0, -2.0, 0.0, 1.0, -2.0, 3.0])
    k = np.array([0.0, 1.0, -2.0, 0.0, -1.0, 2.0, 3.0])
    below = np.array([0.0, 0, 0, 2, 2, 2, 1e-12])
    for table in slopes(h, k, below, 2 - below, dtype=dtype):
        assert np.isfinite(table).all()


def test_infinite_arguments(dtype):
    # Φ₂(∞, k) = Φ(k) and Φ₂(−∞, k) = 0, at every correlation; its derivatives are finite, and those in h and ρ are 0.
    k, below = (v.ravel() for v in np.meshgrid([-np.inf, -3.0, 0.0, 0.5, np.inf], [0.0, 1e-3, 0.7, 1.0, 1.6, 2.0]))
    k, below = k.astype(dtype), below.astype(dtype)
    above, infinite = 2 - below, np.full_like(k, np.inf)
    tolerance = 1e-15 if dtype == np.float64 else 2e-7
    for sign, value in ((1, ndtr(k.astype(float))), (-1, np.zeros_like(k))):
        for pair in ((sign * infinite, k), (k, sign * infinite)):
            np.testing.assert_allclose(both(*pair, below, above, dtype=dtype)[0], value, rtol=0, atol=tolerance)
        by_h, by_k, by_rho = slopes(sign * infinite, k, below, above, dtype=dtype)[0]
        np.testing.assert_array_equal(by_h, 0)
        np.testing.assert_array_equal(by_rho, 0)
        expected = density(k.astype(float)) if sign == 1 else np.zeros_like(k)
        np.testing.assert_allclose(by_k, expected, rtol=0, atol=tolerance)


H = np.array([-8.0, -4.0, -2.0, -1.0, -0.3, -1e-8, 0.0, 1e-8, 0.2, 0.7, 1.0, 3.0, 6.0])
A = np.array([-np.inf, -1e6, -30.0, -1.001, -1.0, -0.4, -1e-8, 0.0, 1e-5, 0.6, 0.999, 1.0, 1.5, 1e3, np.inf])


def test_owens_t(dtype):
    h, a = (v.ravel() for v in np.meshgrid(H.astype(dtype), A.astype(dtype)))
    exact = scipy.special.owens_t(h.astype(float), a.astype(float))
    computed = owen(h, a, dtype=dtype)[0]
    np.testing.assert_allclose(computed, exact, rtol=0, atol=1e-15 if dtype == np.float64 else 2e-7)


def test_owens_t_derivatives():
    h, a = np.array([-1.5, -0.2, 0.0, 0.4, 2.0]), np.array([0.5, -3.0, 0.7, 1.2, 0.1])
    _, by_h, by_a = owen(h, a)
    step = 1e-5
    t = scipy.special.owens_t
    np.testing.assert_allclose(by_h, (t(h + step, a) - t(h - step, a)) / (2 * step), atol=1e-10)
    np.testing.assert_allclose(by_a, (t(h, a + step) - t(h, a - step)) / (2 * step), atol=1e-10)


def test_owens_t_derivatives_at_zero_and_infinity(dtype):
    inf = np.inf
    h, a = np.array([0.0, 0.0, inf, inf, 2.0, -inf, 0.0]), np.array([inf, -inf, 0.0, inf, inf, -1.0, 0.0])
    value, by_h, by_a = owen(h, a, dtype=dtype)
    atol = 1e-15 if dtype == np.float64 else 2e-7
    np.testing.assert_allclose(value, [0.25, -0.25, 0, 0, ndtr(-2.0) / 2, 0, 0], rtol=0, atol=atol)
    np.testing.assert_allclose(by_h, [0, 0, 0, 0, -density(2.0) / 2, 0, 0], rtol=0, atol=atol)
    np.testing.assert_allclose(by_a, [0, 0, 0, 0, 0, 0, 1 / (2 * np.pi)], rtol=0, atol=atol)


@pytest.mark.parametrize("a", [np.array([[0.5, 2.0]]), np.array(0.5)], ids=["row", "scalar"])
def test_owens_t_broadcasts(a):
    h = np.array([[0.3], [1.0], [-2.0]])
    computed = jax.jit(owens_t)(jnp.asarray(h), jnp.asarray(a))
    np.testing.assert_allclose(computed, scipy.special.owens_t(h, a), rtol=0, atol=1e-15)


def test_one_dimensional_functions(dtype):
    z = np.array([-30.0, -10.0, -5.0, -1.0, 0.0, 0.5, 2.0, 7.0])
    z = z[1:] if dtype == np.float32 else z  # Φ(−30) = 5e-198 is below float32
    functions = (normal_cdf, normal_pdf, relu_mean, jax.vmap(jax.grad(relu_mean)))
    results = jax.jit(lambda x: [f(x) for f in functions])(jnp.asarray(z, dtype))
    assert all(v.dtype == dtype for v in results)
    cdf, pdf, mean, slope = map(np.asarray, results)
    rtol = 1e-12 if dtype == np.float64 else 2e-5
    np.testing.assert_allclose(cdf, ndtr(z), rtol=rtol)
    np.testing.assert_allclose(pdf, density(z), rtol=rtol)
    exact = [scipy.integrate.quad(lambda u, b=b: (u + b) * density(u), -b, max(-b, 0) + 14, epsabs=1e-15)[0] for b in z]
    np.testing.assert_allclose(mean, exact, rtol=0, atol=4 * np.finfo(dtype).eps * (1 + np.abs(z)).max())
    np.testing.assert_allclose(slope, ndtr(z), rtol=0, atol=1e-13 if dtype == np.float64 else 1e-5)
