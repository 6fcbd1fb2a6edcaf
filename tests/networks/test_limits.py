"""The infinite-width reading against finite networks, by Monte Carlo in standard errors, and against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from rfjax.networks import Activation, Dense, Serial, State, mlp
from rfjax.numerics import Covariance

X = np.array([[1.0, 0.5], [-0.3, 0.8], [0.9, 0.6]])
W_STD, B_STD, WIDTH, SEEDS = 1.3, 0.4, 24, 6000
NETS = {p: mlp(depth=1, width=WIDTH, w_std=W_STD, b_std=B_STD, parameterization=p) for p in ("ntk", "standard")}


def relu_kernels() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """E σ(u)σ(v), E σ'(u)σ'(v) and E uv of the first layer's pre-activations u at X (Cho & Saul 2009)."""
    first = W_STD**2 * X @ X.T / 2 + B_STD**2
    size = np.sqrt(np.outer(np.diag(first), np.diag(first)))
    theta = np.arccos(np.clip(first / size, -1, 1))
    return size * (np.sin(theta) + (np.pi - theta) * np.cos(theta)) / (2 * np.pi), (np.pi - theta) / (2 * np.pi), first


@pytest.fixture(scope="module")
def finite():
    """f(X) and the Jacobian's Gram matrix of SEEDS networks, for each parameterisation."""

    def one(net, key):
        params = net.init(key, 2)
        values, back = jax.vjp(lambda p: net.apply(p, jnp.asarray(X))[:, 0], params)
        leaves = jax.tree.leaves(jax.vmap(back)(jnp.eye(3)))
        jacobian = jnp.concatenate([leaf.reshape(3, -1) for leaf in leaves], axis=1)
        return values, jacobian @ jacobian.T

    keys = jax.random.split(jax.random.key(1), SEEDS)
    draws = jax.jit(lambda keys: {name: jax.vmap(lambda k: one(net, k))(keys) for name, net in NETS.items()})(keys)  # noqa: B023
    return jax.tree.map(np.asarray, draws)


@jax.jit
def limits(net):
    """(NNGP, NTK) at X: from ⟨x, y⟩/d through the layers."""
    norms = np.linalg.norm(X, axis=1)
    radial = (norms[:, None] - norms) ** 2
    below = (np.sum((X[:, None] - X) ** 2, axis=-1) - radial) / 4  # √(q11 q22) − q12, 0 on the diagonal
    above = np.outer(norms, norms) - below
    pair = Covariance(*(jnp.asarray(v) for v in (norms[:, None] ** 2 / 2, norms[None] ** 2 / 2, below, above)))
    after = net.propagate(State(pair, jnp.zeros((3, 3)), 2))
    return after.nngp, after.ntk


def test_the_limit_is_the_closed_form():
    dual, slope, first = relu_kernels()
    nngp = W_STD**2 * dual + B_STD**2
    for name, ntk in (
        ("ntk", nngp + W_STD**2 * slope * first),
        ("standard", WIDTH * dual + 1 + W_STD**2 * slope * (X @ X.T + 1)),
    ):
        computed = limits(NETS[name])
        np.testing.assert_allclose(computed[0], nngp, rtol=1e-12)
        np.testing.assert_allclose(computed[1], ntk, rtol=1e-12)


@pytest.mark.parametrize("name", NETS)
def test_the_function_has_the_nngp_as_second_moment(name, finite, monte_carlo):
    # One hidden layer: exact at any width.  Hence both parameterisations are one law, up to their second moments.
    f = finite[name][0]
    nngp = np.asarray(limits(NETS[name])[0])
    monte_carlo(f[:, :, None] * f[:, None, :], nngp, resolution=0.03)
    assert (np.abs(f.mean(axis=0)) < 4.5 * np.sqrt(np.diag(nngp) / SEEDS)).all()


@pytest.mark.parametrize("name", NETS)
def test_the_jacobian_has_the_ntk_as_mean_gram(name, finite, monte_carlo):
    monte_carlo(finite[name][1], np.asarray(limits(NETS[name])[1]), resolution=0.01)


def test_parameterisations_are_one_law(finite):
    # Beyond second moments: the distribution of f(x₀) itself, by a two-sample Kolmogorov–Smirnov test.
    samples = [finite[name][0][:, 0] for name in NETS]
    half = SEEDS // 2  # different seeds: the same key draws the same normals in both
    assert scipy.stats.ks_2samp(samples[0][:half], samples[1][half:]).pvalue > 1e-3
    wider = samples[1][half:] * 1.15
    assert scipy.stats.ks_2samp(samples[0][:half], wider).pvalue < 1e-3  # the test has the power to tell 15%


def test_each_standard_layer_counts_its_own_inputs():
    # Two hidden layers of different widths, by hand: Θ' = fan_in·q + [bias] + w²Θ at every layer.
    net = Serial(
        Dense(7, 1.3, parameterization="standard"), Activation(jax.nn.relu),
        Dense(5, 1.1, 0.2, parameterization="standard"), Activation(jax.nn.relu),
        Dense(1, 0.9, parameterization="standard"),
    )  # fmt: skip
    x = np.array([1.0, 2.0])
    pair = Covariance.of_equal(jnp.asarray([x @ x / 2]))
    after = jax.jit(net.propagate)(State(pair, jnp.zeros(1), 2))
    q, ntk = x @ x / 2, 0.0  # on the diagonal κ = q/2 and κ' = 1/2
    for w, b, fan_in, bias in ((1.3, 0.0, 2, 0), (1.1, 0.2, 7, 1), (0.9, 0.0, 5, 0)):
        q, ntk = w**2 * q + b**2, fan_in * q + bias + w**2 * ntk
        last = q, ntk
        q, ntk = q / 2, ntk / 2
    np.testing.assert_allclose([after.nngp[0], after.ntk[0]], last, rtol=1e-13)


@pytest.mark.parametrize("name", ["mean_field", "mup"])
def test_a_network_without_a_limit_says_so(name):
    state = State(Covariance(jnp.ones(2), jnp.ones(2), jnp.zeros(2), 2 * jnp.ones(2)), jnp.zeros(2), 3)
    with pytest.raises(ValueError, match=f"a {name} network has no NNGP or NTK limit"):
        jax.eval_shape(mlp(depth=1, width=4, parameterization=name).propagate, state)
