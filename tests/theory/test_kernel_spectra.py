"""Spectra of kernels, against quadrature of written-out kernels, Bessel functions, high precision, and Gram matrices."""

import math

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from scipy.special import eval_gegenbauer, roots_gegenbauer, roots_genlaguerre

import rfjax as rf
from rfjax import activations
from rfjax.networks import Activation, Dense, Dropout, LayerNorm, Residual, Serial
from rfjax.theory import kernel_spectrum


def relu_dual(u):
    return (np.sqrt(np.maximum(1 - u * u, 0)) + (math.pi - np.arccos(np.clip(u, -1, 1))) * u) / (2 * math.pi)


def step_dual(u):
    return (math.pi - np.arccos(np.clip(u, -1, 1))) / (2 * math.pi)


def relu_ntk(c, depth, w2, b2):
    """The NTK of a ReLU network on points of norm √d, layer by layer."""
    q, top = w2 * c + b2, w2 + b2
    ntk = q
    for _ in range(depth):
        u = q / top
        q, slope, top = w2 * top * relu_dual(u) + b2, step_dual(u), w2 * top / 2 + b2
        ntk = q + w2 * slope * ntk
    return ntk


def by_quadrature(function, d, top, nodes=400):
    """∫ f(cos θ)P_m(cos θ) over the sphere, in angles that gather at both ends."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    s = (x + 1) / 2
    theta, w = math.pi * s**3 * (10 - 15 * s + 6 * s * s), w * 30 * (s * (1 - s)) ** 2
    w = w * np.sin(theta) ** (d - 2)
    t, values = np.cos(theta), function(np.cos(theta)) * w / w.sum()
    if d == 2:
        return np.array([values @ np.cos(m * theta) for m in range(top + 1)])
    return np.array(
        [values @ eval_gegenbauer(m, d / 2 - 1, t) / eval_gegenbauer(m, d / 2 - 1, 1.0) for m in range(top + 1)]
    )


def relu_net(depth, w=1.3, b=0.4):
    return rf.mlp(depth=depth, width=1, w_std=w, b_std=b)


closed = {  # at the radius of the dimension, √d
    "rbf": (lambda d: rf.rbf(1.7), lambda c, d: np.exp(-d * (1 - c) / 1.7**2)),
    "laplace": (lambda d: rf.laplace(2.0), lambda c, d: np.exp(-np.sqrt(2 * d * (1 - c)) / 2)),
    "matern": (
        lambda d: rf.matern(2.5, 2.0),
        lambda c, d: (lambda r: (1 + r + r * r / 3) * np.exp(-r))(np.sqrt(10 * d * (1 - c)) / 2),
    ),
    "rational": (lambda d: rf.rational_quadratic(0.7, 2.0), lambda c, d: (1 + 2 * d * (1 - c) / (1.4 * 4)) ** -0.7),
    "polynomial": (lambda d: rf.polynomial(3, 0.5, 2.0), lambda c, d: (0.5 * d * c + 2) ** 3),
    "exponential": (lambda d: rf.exponential(0.3), lambda c, d: np.exp(0.3 * d * c)),
    "arc_cosine": (lambda d: rf.arc_cosine(1), lambda c, d: 2 * d * relu_dual(c)),
    "algebra": (
        lambda d: 2.0 * rf.rbf(3.0) * rf.polynomial(1, 1.0, 1.0) + 0.3,
        lambda c, d: 2 * np.exp(-d * (1 - c) / 9) * (d * c + 1) + 0.3,
    ),
    "normalised": (lambda d: rf.kernels.Normalised(rf.polynomial(2)), lambda c, d: ((d * c + 1) / (d + 1)) ** 2),
    "ntk": (lambda d: rf.ntk(relu_net(2)), lambda c, d: relu_ntk(c, 2, 1.69, 0.16)),
}


@pytest.mark.parametrize("name", closed)
@pytest.mark.parametrize("d", [4, *(pytest.param(d, marks=pytest.mark.slow) for d in (2, 3, 7))])
def test_small_dimensions_match_quadrature(name, d):
    kernel, function = closed[name]
    found = kernel_spectrum(kernel(d), d, degree=12)
    expected = by_quadrature(lambda c: function(c, d), d, 12)
    np.testing.assert_allclose(found.eigenvalues, expected, rtol=1e-8, atol=2e-14 * found.trace)
    assert found.trace == pytest.approx(function(np.ones(1), d)[0], rel=1e-12)
    np.testing.assert_allclose(found.energy.sum() + found.remainder, found.trace, rtol=1e-12)
    np.testing.assert_array_equal(found.degrees, np.arange(13))


@pytest.mark.parametrize(("d", "degree"), [(3, 40), (50, 200), (10_000, 400)])
def test_the_gaussian_kernel_is_a_bessel_function(d, degree):
    """λ_m = e^{−κ}Γ(d/2)(2/κ)^{d/2−1}I_{m+d/2−1}(κ), κ = radius²/ℓ²: in 10,000 dimensions down to 10^−1600."""
    radius, scale = 0.7 * math.sqrt(d), 0.9 * math.sqrt(d)
    found = kernel_spectrum(rf.rbf(scale), d, degree=degree, radius=radius)
    kappa, half = mpmath.mpf(radius) ** 2 / mpmath.mpf(scale) ** 2, mpmath.mpf(d) / 2
    for m in (0, 1, degree // 2, degree):
        with mpmath.workdps(30):
            bessel = mpmath.log(mpmath.besseli(m + half - 1, kappa))
            log = bessel - kappa + mpmath.loggamma(half) + (half - 1) * mpmath.log(2 / kappa)
        assert found.log_eigenvalues[m] == pytest.approx(float(log), rel=1e-12, abs=1e-9)


def test_a_deep_network_in_high_dimension_matches_high_precision():
    depth, d = 3, 1000
    found = kernel_spectrum(rf.ntk(relu_net(depth, 1.3, 0.4)), d, degree=30)
    with mpmath.workdps(50):
        w2, b2 = mpmath.mpf(1.3) ** 2, mpmath.mpf(0.4) ** 2

        def kernel(c):
            q, top = w2 * c + b2, w2 + b2
            ntk = q
            for _ in range(depth):
                u = q / top
                turn = mpmath.pi - mpmath.acos(u)
                q, top = w2 * top * (mpmath.sqrt(1 - u * u) + turn * u) / (2 * mpmath.pi) + b2, w2 * top / 2 + b2
                ntk = q + w2 * turn / (2 * mpmath.pi) * ntk
            return ntk

        count = 64  # of points on the circle |c| = ½: b_k to (½)^64
        points = [mpmath.expjpi(mpmath.mpf(2 * j) / count) for j in range(count)]
        values = [kernel(z / 2) for z in points]
        for m in (0, 1, 7, 30):
            total = mpmath.mpf(0)
            for k in range(m, min(m + 34, count), 2):
                b = (mpmath.fsum(v * z ** (-k) for v, z in zip(values, points, strict=True)) / count).real * 2**k
                share = mpmath.factorial(k) * mpmath.gamma(mpmath.mpf(d) / 2)
                share /= mpmath.mpf(2) ** k * mpmath.factorial((k - m) // 2) * mpmath.gamma(mpmath.mpf(k + m + d) / 2)
                total += b * share
            assert found.log_eigenvalues[m] == pytest.approx(float(mpmath.log(total)), abs=1e-9)


@pytest.mark.slow
def test_every_layer_has_its_power_series():
    """Against quadrature of the kernel that the library itself evaluates at pairs of points."""
    net = Serial(
        Dense(7, 1.2, 0.3), Activation(activations.relu), Dropout(0.3), Dense(7, 1.0, 0.1), LayerNorm(0.1),
        Residual(Activation(activations.erf), Dense(7, 1.5)), Activation(activations.gelu),
        Dense(1, 1.0, 0.1, parameterization="standard"),
    )  # fmt: skip
    d, kernel = 4, rf.ntk(net)
    points = 2 * np.eye(d)[:1]

    def values(c):
        others = np.zeros((len(c), d))
        others[:, 0], others[:, 1] = 2 * c, 2 * np.sqrt(1 - c * c)
        return np.asarray(kernel(jnp.asarray(others), jnp.asarray(points)))[:, 0]

    found = kernel_spectrum(kernel, d, degree=8)
    np.testing.assert_allclose(found.eigenvalues, by_quadrature(values, d, 8), rtol=1e-6, atol=1e-11 * found.trace)


def test_an_activation_known_by_quadrature_says_how_well():
    net = rf.mlp(depth=1, width=1, w_std=1.0, activation=activations.tanh)
    found = kernel_spectrum(rf.nngp(net), 5, degree=12)
    np.testing.assert_array_equal(found.eigenvalues[::2], 0)
    x, w = np.polynomial.hermite_e.hermegauss(120)
    w = w / w.sum()

    def dual(c):
        inner = np.tanh(c[:, None, None] * x[:, None] + np.sqrt(1 - c * c)[:, None, None] * x)
        return np.einsum("i,j,i,cij->c", w, w, np.tanh(x), inner)

    t, weights = roots_gegenbauer(60, 1.5)
    expected = [
        dual(t) * weights / weights.sum() @ (eval_gegenbauer(m, 1.5, t) / eval_gegenbauer(m, 1.5, 1)) for m in (1, 3, 5)
    ]
    np.testing.assert_allclose(found.eigenvalues[[1, 3, 5]], expected, rtol=1e-8)
    with pytest.raises(ValueError, match=r"not converged for degree \d+ in d = 100.*remainder"):
        kernel_spectrum(rf.nngp(net), 100, degree=250)


@pytest.mark.slow
def test_a_slow_hermite_series_is_met_with_fewer_powers():
    # elu has a jump in its second derivative: on a small cube, where powers of the cosine do not decay, its table of Hermite
    # coefficients ends before they do.
    d, k = 4, rf.ntk(rf.mlp(depth=1, width=1, b_std=0.1, activation=activations.elu))
    points = jnp.asarray(1 - 2.0 * (np.arange(2**d)[:, None] >> np.arange(d) & 1))
    found = kernel_spectrum(k, d, inputs="cube", tolerance=1e-3)
    expected = np.linalg.eigvalsh(np.asarray(k(points)) / 2**d)[::-1]
    mine = np.sort(np.repeat(found.eigenvalues, found.multiplicity.astype(int)))[::-1]
    np.testing.assert_allclose(mine, expected, rtol=0, atol=1e-5 * expected[0])


@pytest.mark.slow
def test_an_activation_known_by_quadrature_under_the_gaussian_law():
    """E k(x, x) and E k(x, y)² are the sums of all eigenvalues and of their squares: Gauss's rules of norms and angle."""
    d = 30
    k = rf.nngp(rf.mlp(depth=1, width=1, w_std=1.0, b_std=0.2, activation=activations.softplus))
    found = kernel_spectrum(k, d, inputs="gaussian", degree=1, tolerance=0.1)
    u, wu = roots_genlaguerre(10, d / 2 - 1)
    c, wc = roots_gegenbauer(10, (d - 2) / 2)
    r, wu, wc = np.sqrt(2 * u), wu / wu.sum(), wc / wc.sum()
    x = r[:, None] * np.eye(1, d)
    y = (r[:, None, None] * (c[:, None] * np.eye(1, d) + np.sqrt(1 - c * c)[:, None] * np.eye(1, d, 1))).reshape(-1, d)
    square = np.asarray(k(jnp.asarray(x), jnp.asarray(y))).reshape(10, 10, 10) ** 2
    assert found.trace == pytest.approx(wu @ np.asarray(k.diag(jnp.asarray(x))), rel=1e-6)
    whole = np.einsum("i,j,l,ijl->", wu, wu, wc, square)
    assert (found.multiplicity * found.eigenvalues**2).sum() == pytest.approx(whole, rel=1e-4)


def test_the_gaussian_kernel_under_the_gaussian_law():
    """λ = (2a/A)^{d/2}B^n, n = degree + 2·radial: Mehler's formula, with C(n + d − 1, n) of them."""
    d, scale = 5, 2.0
    found = kernel_spectrum(rf.rbf(scale), d, inputs="gaussian", degree=6)
    a, b = 0.25, 1 / (2 * scale**2)
    A = a + b + math.sqrt(a * a + 2 * a * b)
    n = (found.log_eigenvalues - d / 2 * math.log(2 * a / A)) / math.log(b / A)
    np.testing.assert_allclose(n, np.rint(n), atol=1e-7)
    assert (np.rint(n) >= found.degrees).all()
    assert ((np.rint(n) - found.degrees) % 2 == 0).all()
    for total in range(5):
        mine = np.rint(n) == total
        assert found.multiplicity[mine].sum() == math.comb(total + d - 1, total)
    assert found.trace == pytest.approx(1.0)


@pytest.mark.parametrize("d", [6, 300])
def test_homogeneous_kernels_see_the_length_apart(d):
    kernel = rf.ntk(rf.mlp(depth=2, width=1))
    gaussian, sphere = (kernel_spectrum(kernel, d, inputs=i, degree=5) for i in ("gaussian", "sphere"))
    np.testing.assert_allclose(gaussian.log_eigenvalues, sphere.log_eigenvalues, atol=1e-9)  # E‖x‖² = d
    square = rf.polynomial(2, 1.0, 0.0)
    found = kernel_spectrum(square, d, inputs="gaussian", degree=2)
    # E xᵢ²xⱼ² − δ…: ⟨x, y⟩² has the eigenfunction ‖x‖² of eigenvalue d + 2, and 2 for each traceless quadratic.
    np.testing.assert_allclose(found.eigenvalues[[0, 2]], [d + 2, 2], rtol=1e-9)


@pytest.mark.slow
def test_a_bias_couples_the_length_and_the_angle(monte_carlo):
    """E k² is the sum of all squares, and E k of the top eigenfunction, nearly constant, close below its eigenvalue."""
    d, kernel = 12, rf.ntk(rf.mlp(depth=1, width=1, w_std=1.0, b_std=1.0))
    found = kernel_spectrum(kernel, d, inputs="gaussian", degree=4, tolerance=1e-3)
    assert (found.degrees == 0).sum() >= 2
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((2, 40_000, d))
    q, top = np.sum(X * Y, axis=1) / d + 1, np.sqrt((np.sum(X * X, axis=1) / d + 1) * (np.sum(Y * Y, axis=1) / d + 1))
    values = top * relu_dual(q / top) + 1 + step_dual(q / top) * q
    second = found.multiplicity * found.eigenvalues**2
    monte_carlo(values**2, second.sum(), resolution=0.01)
    assert found.eigenvalues[0] > values.mean() > 0.98 * found.eigenvalues[0]


def test_a_kink_at_equal_points_under_the_gaussian_law():
    """In three dimensions cos θ is uniform, and a kernel that is kinked at x = y is so at ‖x‖ = ‖y‖ in every degree."""
    d, nodes, fine = 3, 160, 801
    found = kernel_spectrum(rf.ntk(rf.mlp(depth=1, width=1, w_std=1.3, b_std=0.5)), d, inputs="gaussian", degree=12)
    r = (np.arange(nodes) + 0.5) * 7 / nodes
    law = r**2 * np.exp(-(r**2) / 2)
    root = np.sqrt(law / law.sum())
    w2, b2, c = 1.69, 0.25, np.cos(np.pi * np.arange(fine) / (fine - 1))
    simpson = np.where(np.arange(fine) % 2, 4.0, 2.0) * np.sin(np.pi * np.arange(fine) / (fine - 1))
    matrix = np.empty((2, nodes, nodes))
    degrees = (0, 12)
    legendre = np.stack([simpson / simpson.sum() * eval_gegenbauer(m, 0.5, c) for m in degrees])
    for i in range(nodes):
        own = np.sqrt((w2 * r[i] ** 2 / d + b2) * (w2 * r**2 / d + b2))
        q = w2 * r[i] * r[:, None] * c / d + b2
        u = np.clip(q / own[:, None], -1, 1)
        matrix[:, i] = legendre @ (w2 * own[:, None] * relu_dual(u) + b2 + w2 * step_dual(u) * q).T
    for m, K in zip(degrees, matrix, strict=True):
        top = np.linalg.eigvalsh(root[:, None] * K * root)[-1]
        assert found.eigenvalues[found.degrees == m][0] == pytest.approx(top, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "d", "inputs"),
    [("relu", 3, "sphere"), ("tanh", 30, "sphere"), pytest.param("relu", 3, "gaussian", marks=pytest.mark.slow)],
)
def test_spectra_are_in_float64_whatever_jax_is_set_to(name, d, inputs):
    def found():
        kernel = rf.ntk(rf.mlp(depth=2, width=1, b_std=0.5, activation=getattr(activations, name)))
        return kernel_spectrum(kernel, d, degree=20, inputs=inputs)

    double = found()
    with jax.enable_x64(False):
        single = found()
        assert jnp.ones(()).dtype == jnp.float32
    np.testing.assert_array_equal(single.degrees, double.degrees)
    np.testing.assert_allclose(single.log_eigenvalues, double.log_eigenvalues, atol=1e-9)


@pytest.mark.parametrize("name", ["rbf", "laplace", "ntk"])
def test_the_cube_matches_its_whole_gram_matrix(name):
    d = 8
    kernel, function = closed[name]
    points = 1 - 2.0 * (np.arange(2**d)[:, None] >> np.arange(d) & 1)
    K = function(np.clip(points @ points.T / d, -1, 1), d) / 2**d
    found = kernel_spectrum(kernel(d), d, inputs="cube", degree=d)
    np.testing.assert_allclose(
        np.sort(np.repeat(found.eigenvalues, found.multiplicity.astype(int))),
        np.linalg.eigvalsh(K),
        rtol=0,
        atol=1e-13 * found.trace,
    )
    for m in range(d + 1):  # the parity of the first m coordinates is an eigenvector
        parity = points[:, :m].prod(axis=1)
        assert found.eigenvalues[m] == pytest.approx((K @ parity)[0] / parity[0], rel=1e-9, abs=1e-13 * found.trace)
    assert found.multiplicity.sum() == 2**d
    assert found.remainder < 1e-11 * found.trace


def test_a_large_cube_looks_like_its_sphere():
    """In d = 10,000 dimensions low degrees agree to O(m²/d), and high ones stay finite."""
    d, kernel = 10_000, rf.ntk(relu_net(3))
    cube, sphere = (kernel_spectrum(kernel, d, inputs=i, degree=60) for i in ("cube", "sphere"))
    np.testing.assert_allclose(cube.energy[:4], sphere.energy[:4], rtol=2e-3)
    assert np.isfinite(cube.log_eigenvalues).all()
    assert cube.log_eigenvalues[-1] < -350


@pytest.mark.slow
@pytest.mark.parametrize(("name", "d", "groups"), [("ntk", 4, 3), ("laplace", 3, 4)])
def test_eigenvalues_of_large_gram_matrices(name, d, groups):
    """Gram matrices of 1500 points, divided by n: groups of N(d, m) eigenvalues, their means within standard errors."""
    kernel, function = closed[name]
    found = kernel_spectrum(kernel(d), d, degree=groups)
    rng, n, sums = np.random.default_rng(1), 1500, []
    for _ in range(8):
        X = rng.standard_normal((n, d))
        X *= math.sqrt(d) / np.linalg.norm(X, axis=1, keepdims=True)
        K = function(np.clip(X @ X.T / d, -1, 1), d)
        diagonal = K[0, 0]
        np.fill_diagonal(K, 0)  # off-diagonal, so that the mean of a projection is exact
        c = np.clip(X @ X.T / d, -1, 1)
        row = []
        for m in range(groups):
            P = eval_gegenbauer(m, d / 2 - 1, c) / eval_gegenbauer(m, d / 2 - 1, 1.0)
            row.append((K * P).sum() / n / (n - 1))
        top = (np.linalg.eigvalsh(K)[::-1][: int(found.multiplicity[:groups].sum())] + diagonal) / n
        edges = np.cumsum(found.multiplicity[:groups]).astype(int)
        sums.append([row, [part.mean() for part in np.split(top, edges[:-1])]])
    sums = np.array(sums)
    mean, error = sums.mean(axis=0), sums.std(axis=0, ddof=1) / math.sqrt(len(sums))
    assert (np.abs(mean[0] - found.eigenvalues[:groups]) < 4.5 * error[0]).all()
    tail = diagonal - (found.multiplicity * found.eigenvalues)[:groups].sum()  # what the higher degrees add to a ridge
    expected = found.eigenvalues[:groups] + tail / n
    assert (np.abs(mean[1] / expected - 1) < 0.03 + 4.5 * error[1] / expected).all()


def test_what_is_no_function_of_the_angle_is_refused():
    net = rf.mlp(depth=1, width=4)
    finite = rf.empirical_ntk(net, net.init(jax.random.key(0), 3))
    for kernel in (rf.rbf([1.0, 2.0, 3.0]), rf.rbf(1.0).on(0), finite, rf.rbf(1.0) + rf.rbf(1.0).on([0, 1])):
        with pytest.raises(TypeError, match="norms and angle"):
            kernel_spectrum(kernel, 3)
    with pytest.raises(TypeError, match="kernel must be a kernel"):
        kernel_spectrum(net, 3)


def test_bad_settings_are_refused():
    kernel = rf.rbf(1.0)
    for settings, message in (
        ({"d": 1}, "d must be at least 2"),
        ({"degree": -1}, "degree must be at least 0"),
        ({"inputs": "torus"}, "inputs must be one of"),
        ({"inputs": "cube", "degree": 6}, "degree must be at most d = 5"),
        ({"inputs": "gaussian", "radius": 1.0}, "radius must be left out"),
        ({"radius": -1.0}, "radius must be"),
        ({"kernel": rf.exponential(1.0), "radius": 30.0}, "past float64"),
        ({"tolerance": 0.0}, "tolerance must be"),
    ):
        with pytest.raises(ValueError, match=message):
            kernel_spectrum(**({"kernel": kernel, "d": 5} | settings))
    jump = rf.mlp(depth=1, width=1, activation=activations.from_function(lambda z: jnp.where(z > 0, z + 1, 0)))
    with pytest.raises(ValueError, match="jump"):
        kernel_spectrum(rf.ntk(jump), 5)
