"""A plain function as a nonlinearity: recognised where it has a closed form, and equal to it where it has not."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from rfjax import activations
from rfjax.numerics import Covariance

THETA = np.array([0.0, 1e-6, 1e-3, 0.2, 1.0, np.pi / 2, 2.5, np.pi])
LEFT = np.array([[1.0], [0.2], [2.0]])
RIGHT = np.array([1.0, 1.0000001, 0.9, 2.0, 0.1, 1.0, 0.5, 3.0])


def pairs(dtype: str) -> Covariance:
    size = np.sqrt(LEFT * RIGHT)
    below, above = 2 * size * np.sin(THETA / 2) ** 2, 2 * size * np.cos(THETA / 2) ** 2
    return Covariance(*(jnp.asarray(v, dtype) for v in (LEFT, RIGHT[None], below, above)))


@pytest.mark.parametrize(
    ("function", "member"),
    [
        (jax.nn.relu, activations.relu),
        (jnp.abs, activations.abs),
        (abs, activations.abs),
        (jax.scipy.special.erf, activations.erf),
        (jax.lax.erf, activations.erf),
        (jnp.sin, activations.sin),
        (jnp.cos, activations.cos),
        (jnp.exp, activations.exp(1.0)),
        (jnp.square, activations.monomial(2)),
        (jax.nn.leaky_relu, activations.leaky_relu(0.01)),
        (activations.sign, activations.sign),
    ],
)
def test_known_functions_come_back_as_members(function, member):
    assert activations.from_function(function) == member
    x = jnp.linspace(-2, 2, 5)
    np.testing.assert_allclose(member(x), function(x), atol=1e-15)


@pytest.mark.parametrize(
    "again", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))], ids=["copy", "pickle"]
)
def test_members_copy_and_pickle(again):
    members = [getattr(activations, name) for name in activations.__all__]
    members = [value for value in members if isinstance(value, activations.Nonlinearity)]
    for member in [*members, activations.from_function(jnp.sinc, breaks=(1.0,)), activations.from_function(np.sinc)]:
        assert again(member) == member  # the same function, which is compiled once


def test_an_approximation_is_not_the_member_it_approximates():
    assert isinstance(activations.from_function(jax.nn.gelu), activations.Quadrature)  # the form with tanh


def smooth(x):
    return jax.scipy.special.erf(x)  # a function of its own, which `from_function` does not recognise


def kinked(x):
    return jnp.maximum(x, 0)


def readings(own, pair):
    return own.propagate(pair), own.derivative(pair)


def williams() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """E erf(u)erf(v), E erf'(u)erf'(v) and √(E erf(u)² E erf(v)²) − E erf(u)erf(v), of the pairs."""
    left, right = (2 / np.pi * np.arcsin(2 * q / (1 + 2 * q)) for q in (LEFT, RIGHT))
    own, q12 = (1 + 2 * LEFT) * (1 + 2 * RIGHT), np.sqrt(LEFT * RIGHT) * np.cos(THETA)
    cross = 2 / np.pi * np.arcsin(2 * q12 / np.sqrt(own))
    return cross, 4 / np.pi / np.sqrt(own - 4 * q12**2), np.sqrt(left * right) - cross


def test_quadrature_of_a_smooth_function_meets_the_closed_form(dtype):
    after, slope = jax.tree.map(np.asarray, jax.jit(readings)(activations.from_function(smooth), pairs(dtype)))
    assert slope.dtype == dtype
    assert after.below.dtype == dtype
    cross, derivative, below = williams()
    atol = 1e-12 if dtype == np.float64 else 1e-6
    np.testing.assert_allclose(after.cross, cross, rtol=0, atol=atol)
    np.testing.assert_allclose(slope, derivative, rtol=0, atol=2 * atol)
    # What a kernel many layers deep feeds on: `below` keeps its relative digits where u and v nearly agree, θ = 1e-3.
    np.testing.assert_allclose(after.below[:, 2], below[:, 2], rtol=1e-8 if dtype == np.float64 else 1e-3)


def test_a_kink_at_0_is_exact():
    # Its slow tail is that of relu, which is known; the jump of its slope likewise.
    pair = pairs("float64")
    after, slope = jax.tree.map(np.asarray, jax.jit(readings)(activations.from_function(kinked, terms=32), pair))
    size = np.sqrt(LEFT * RIGHT)
    exact = size * (np.sin(THETA) + (np.pi - THETA) * np.cos(THETA)) / (2 * np.pi)
    assert (np.abs(after.cross - exact) / (size / 2)).max() < 1e-13
    assert np.abs(slope - (np.pi - THETA) / (2 * np.pi)).max() < 1e-12


@pytest.mark.slow
def test_a_kink_elsewhere_is_as_close_as_documented():
    # [x − a]₊ − [−x − a]₊ = x − clip(x, −a, a): of two kinks at ±a the dual is by quadrature over angle and radius.
    at, terms = 0.4, 32
    own = activations.from_function(lambda x: x - jnp.clip(x, -at, at), breaks=(-at, at), terms=terms)
    z = np.random.default_rng(0).normal(size=(2, 2_000_000))
    c = np.array([0.0, 0.5, 0.999])
    u, v = z[0], c[:, None] * z[0] + np.sqrt(1 - c[:, None] ** 2) * z[1]
    products = (u - np.clip(u, -at, at)) * (v - np.clip(v, -at, at))
    exact, stderr = products.mean(axis=1), products.std(axis=1) / 2_000_000**0.5
    error = np.abs(np.asarray(own.dual(1.0, c, 1.0)) - exact)
    assert (error < 4.5 * stderr + terms**-1.5 / 50 * exact[2]).all()
    assert (stderr < 0.002 * exact[2]).all()


NAMED = {
    "tanh": (jnp.tanh, np.tanh),
    "sigmoid": (jax.nn.sigmoid, lambda x: 1 / (1 + np.exp(-x))),
    "silu": (jax.nn.silu, lambda x: x / (1 + np.exp(-x))),
    "softplus": (jax.nn.softplus, lambda x: np.logaddexp(0, x)),
    "elu": (jax.nn.elu, lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0)))),
    "selu": (jax.nn.selu, lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0)))),
    "mish": (jax.nn.mish, lambda x: x * np.tanh(np.logaddexp(0, x))),
}  # fmt: skip
LEGENDRE = np.polynomial.legendre.leggauss(40)


def panels(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    centre, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    return (centre[:, None] + half[:, None] * LEGENDRE[0]).ravel(), (half[:, None] * LEGENDRE[1]).ravel()


def polar(f, q11: float, q22: float, c: float) -> float:
    """E f(u)f(v) in polar coordinates, whose rays keep clear of the kinks at u = 0 and v = 0."""
    turn = np.arccos(c)
    rays = np.array([np.pi / 2, -np.pi / 2, turn + np.pi / 2, turn - np.pi / 2])
    phi, by_phi = panels(
        np.unique(np.concatenate([np.linspace(-np.pi, np.pi, 9), (rays + np.pi) % (2 * np.pi) - np.pi]))
    )
    r, by_r = panels(np.concatenate([[0, 0.05, 0.15, 0.4], np.linspace(0.8, 12, 15)]))
    u, v = np.sqrt(q11) * r[:, None] * np.cos(phi), np.sqrt(q22) * r[:, None] * np.cos(phi - turn)
    return float((by_r * r * np.exp(-(r**2) / 2)) @ (f(u) * f(v)) @ by_phi / (2 * np.pi))


@pytest.mark.slow
def test_named_functions_meet_their_quadrature():
    q11, q22, c = np.array([1.0, 0.3, 4.0, 2.0]), np.array([1.0, 1.7, 2.5, 2.0]), np.array([0.9, -0.5, 0.3, 0.999])
    members = {name: getattr(activations, name) for name in NAMED}
    assert all(activations.from_function(function) == members[name] for name, (function, _) in NAMED.items())
    moments = q11, c * np.sqrt(q11 * q22), q22
    duals = jax.jit(lambda *q: {name: (own.dual(*q), own.derivative_dual(*q)) for name, own in members.items()})(
        *moments
    )
    for name, (function, plain) in NAMED.items():
        left, right = ([polar(plain, q, q, 1 - 1e-15) for q in side] for side in (q11, q22))
        exact = [polar(plain, *q) for q in zip(q11, q22, c, strict=True)]
        assert (np.abs(np.asarray(duals[name][0]) - exact) / np.sqrt(np.multiply(left, right))).max() < 1e-7, name

        def slope(x: np.ndarray, function=function) -> np.ndarray:
            flat = jax.vmap(jax.grad(function))(jnp.asarray(x.ravel()))
            return np.asarray(flat).reshape(x.shape)

        exact = [polar(slope, *q) for q in zip(q11, q22, c, strict=True)]
        np.testing.assert_allclose(duals[name][1][:3], exact[:3], rtol=0, atol=1e-7, err_msg=name)
        np.testing.assert_allclose(duals[name][1][3], exact[3], rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("name", ["selu", "silu"])
def test_float32_keeps_its_digits_at_unequal_norms(name):
    # Against more digits: norms that differ thirty-fold, and so large that kinks weigh much more than σ² does.
    own, rng = getattr(activations, name), np.random.default_rng(0)
    narrow = jnp.asarray(10.0 ** rng.uniform(-2.5, 0.7, size=(2, 1, 400)), "float32")
    theta = np.pi * np.concatenate([10.0 ** rng.uniform(-6, 0, 200), 1 - 10.0 ** rng.uniform(-6, 0, 200)])
    half = jnp.asarray([np.sin(theta / 2) ** 2, np.cos(theta / 2) ** 2], "float32")

    @jax.jit
    def outcome(variances, halves):
        left, right = variances
        pair = Covariance(left, right, *(2 * jnp.sqrt(left * right) * v for v in halves))
        return own.propagate(pair).cross, own.derivative(pair)

    found = [np.asarray(v) for v in outcome(narrow, half)]
    exact = outcome(narrow.astype("float64"), half.astype("float64"))
    ends = [outcome(jnp.stack([v, v]).astype("float64"), jnp.asarray([[0.0], [1.0]])) for v in narrow]
    for some, known, *sizes in zip(found, exact, *ends, strict=True):
        assert some.dtype == np.float32
        errors = (some - np.asarray(known)) / np.sqrt(sizes[0] * sizes[1])
        assert np.abs(errors).max() < 2e-6


@pytest.mark.parametrize("name", ["selu", "tanh"])
def test_float32_sees_near_points_at_every_norm(name):
    # The next layer's angle is the root of `below`: rounding in it would be a thousand times as large there.
    own, variance = getattr(activations, name), np.geomspace(0.03, 16, 300)
    left, right = (jnp.asarray(variance * v, "float32") for v in (1, 1.0001))
    below = 1e-9 * jnp.sqrt(left * right)
    propagate = jax.jit(lambda *moments: own.propagate(Covariance(*moments)).below)
    moments = left, right, below, 2 * jnp.sqrt(left * right) - below
    found, exact = np.asarray(propagate(*moments)), np.asarray(propagate(*(v.astype("float64") for v in moments)))
    size = np.asarray(jax.jit(lambda q: own.propagate(Covariance.of_equal(q)).left)(left))
    assert found.dtype == np.float32
    assert (np.abs(found - exact) / size).max() < 2e-10


@pytest.mark.parametrize("name", ["elu", "selu"])
def test_derivatives_that_jump_cost_little_near_the_ends(name):
    scale, alpha = (1.0507009873554805, 1.6732632423543772) if name == "selu" else (1.0, 1.0)
    own, c = getattr(activations, name), np.array([0.99, 0.999, 0.9999, -0.999])

    def slope(x: np.ndarray) -> np.ndarray:
        return scale * np.where(x > 0, 1.0, alpha * np.exp(np.minimum(x, 0)))

    for q11, q22 in ((1.0, 1.0), (0.25, 1.0)):
        exact = [polar(slope, q11, q22, t) for t in c]
        found = own.derivative_dual(q11, c * np.sqrt(q11 * q22), q22)
        np.testing.assert_allclose(found, exact, rtol=0, atol=2e-6 * polar(slope, q22, q22, 1 - 1e-15))
        exact = [polar(NAMED[name][1], q11, q22, t) for t in c]
        found = own.dual(q11, c * np.sqrt(q11 * q22), q22)
        np.testing.assert_allclose(found, exact, rtol=0, atol=2e-9)


def test_breaks_matter_for_a_jump_elsewhere():
    at = 0.3127
    exact = float(scipy.stats.norm.sf(at))

    def function(x):
        return jnp.where(x > at, 1.0, 0.0)

    assert activations.from_function(function, breaks=(at,)).moments()[0] == pytest.approx(exact, rel=1e-13)
    assert abs(activations.from_function(function).moments()[0] - exact) > 1e-6


@pytest.mark.parametrize("bad", [3, "relu", None])
def test_what_is_no_function_raises(bad):
    with pytest.raises(TypeError, match="activation"):
        activations.from_function(bad)


def test_what_cannot_be_hashed_is_named():
    class Unhashable:
        __hash__ = None

        def __call__(self, x):
            return jnp.tanh(x)

    with pytest.raises(TypeError, match=r"an activation must be hashable.*Unhashable objects are not"):
        activations.from_function(Unhashable())


def test_bad_settings_raise():
    with pytest.raises(ValueError, match="terms"):
        activations.from_function(jnp.tanh, terms=1)
    with pytest.raises(TypeError, match="terms"):
        activations.from_function(jnp.tanh, terms=2.5)
    with pytest.raises(TypeError, match="slope"):
        activations.leaky_relu("steep")
    with pytest.raises(ValueError, match="slope"):
        activations.leaky_relu(np.nan)
