"""Feature maps against their formulas in NumPy, and the laws of random neurons against their moments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfjax as rf
from rfjax.features import Constant, NetworkFeatures, Neurons, Normal, Uniform, Zero

RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(6, 3)))
W, B = RNG.normal(size=(5, 3)), RNG.normal(size=5)
KEY = jax.random.key(0)
STATE = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def _same_draws_whatever_ran_before():
    RNG.bit_generator.state = STATE


def draw(net):
    shapes = jax.eval_shape(lambda key: net.init(key, 3), KEY)
    return jax.tree.map(lambda leaf: jnp.asarray(RNG.normal(size=leaf.shape)), shapes)


@pytest.mark.parametrize("bias", [B, None])
@pytest.mark.parametrize("constant", [0.7, None])
def test_neurons_are_their_formula(bias, constant, dtype):
    phi = Neurons(
        jnp.asarray(W), None if bias is None else jnp.asarray(bias), rf.activations.leaky_relu(0.1), 0.3, constant
    )
    x = np.asarray(X, dtype)
    z = x.astype(float) @ W.T + (0 if bias is None else bias)
    expected = 0.3 * np.where(z < 0, 0.1 * z, z)
    if constant is not None:
        expected = np.hstack([expected, np.full((6, 1), constant)])
    values = phi(jnp.asarray(x))
    assert values.dtype == dtype  # whatever the dtype of the weights
    np.testing.assert_allclose(values, expected, rtol=0, atol=20 * np.finfo(dtype).eps)
    assert phi.in_dim == 3
    assert phi.neurons is phi


def test_the_kernel_of_a_feature_map_is_its_inner_product(dtype):
    phi = Neurons(jnp.asarray(W), jnp.asarray(B), rf.activations.relu)
    x = X.astype(dtype)
    F = np.maximum(np.asarray(x, float) @ W.T + B, 0)
    K = phi.kernel(x)
    assert K.dtype == dtype
    np.testing.assert_array_equal(K, np.asarray(K).T)
    np.testing.assert_allclose(K, F @ F.T, rtol=0, atol=200 * np.finfo(dtype).eps)
    np.testing.assert_allclose(phi.kernel(x[:2], x), F[:2] @ F.T, rtol=0, atol=200 * np.finfo(dtype).eps)
    np.testing.assert_allclose(phi.kernel.diag(x), (F**2).sum(1), rtol=0, atol=200 * np.finfo(dtype).eps)


def test_kernels_of_feature_maps_are_in_the_algebra():
    phi = Neurons(jnp.asarray(W), jnp.asarray(B), rf.activations.relu)
    combined = 2.0 * phi.kernel + phi.kernel * rf.polynomial(1)
    F = np.maximum(np.asarray(X) @ W.T + B, 0)
    expected = F @ F.T * (3 + np.asarray(X) @ np.asarray(X).T)
    np.testing.assert_allclose(combined(X), expected, rtol=1e-12)


def test_feature_maps_transform():
    phi = Neurons(jnp.asarray(W), jnp.asarray(B), rf.activations.relu)
    several = jax.vmap(lambda w: Neurons(w, phi.bias, phi.activation)(X))(jnp.stack([phi.weight, 2 * phi.weight]))
    np.testing.assert_allclose(several[0], phi(X), rtol=1e-14)
    np.testing.assert_allclose(several[1], np.maximum(2 * np.asarray(X) @ W.T + B, 0), rtol=1e-13)
    gradient = jax.jit(jax.grad(lambda phi, X: phi(X).sum()))(phi, X)
    active = (np.asarray(X) @ W.T + B > 0).astype(float)
    np.testing.assert_allclose(gradient.weight, active.T @ np.asarray(X), rtol=1e-12)
    np.testing.assert_allclose(gradient.bias, active.sum(0), rtol=1e-12)


# --- random neurons -------------------------------------------------------------------------------------------------

COUNT = 4000
SPHERE = rf.random_neurons(3, COUNT, key=KEY, bias=Constant(0.4))
GAUSSIAN = rf.random_neurons(3, COUNT, key=KEY, weights="gaussian", bias=Normal(0.7))


def test_weights_are_uniform_on_the_sphere_or_gaussian(monte_carlo):
    for phi in (SPHERE, GAUSSIAN):
        w = np.asarray(phi.weight)
        assert w.shape == (COUNT, 3)
        monte_carlo(w, np.zeros(3), resolution=0.02, scale=1)
        pairs = np.triu_indices(3)
        monte_carlo(np.einsum("ri,rj->rij", w, w)[:, *pairs], np.eye(3)[pairs] / 3, resolution=0.03)
    np.testing.assert_allclose(np.linalg.norm(SPHERE.weight, axis=1), 1, rtol=1e-14)
    # E‖w‖⁴ tells the two laws apart: 1, and (1 + 2/d).
    monte_carlo((np.asarray(GAUSSIAN.weight) ** 2).sum(1) ** 2, 1 + 2 / 3, resolution=0.05)


def test_laws_of_the_biases(monte_carlo):
    keys = KEY, COUNT
    assert Zero().draw(*keys) is None
    assert rf.random_neurons(3, COUNT, key=KEY, bias=Zero()).bias is None
    np.testing.assert_array_equal(Constant(0.4).draw(*keys), np.full(COUNT, 0.4))
    np.testing.assert_array_equal(SPHERE.bias, np.full(COUNT, 0.4))
    normal, uniform = np.asarray(Normal(0.7).draw(*keys)), np.asarray(Uniform(-1.0, 3.0).draw(*keys))
    for draws, mean, square in ((normal, 0, 0.49), (uniform, 1, 1 + 16 / 12), (np.asarray(GAUSSIAN.bias), 0, 0.49)):
        monte_carlo(np.stack([draws, draws**2], axis=1), np.array([mean, square]), resolution=0.05)
    assert -1 <= uniform.min() < -0.99
    assert 2.99 < uniform.max() <= 3
    assert abs(np.corrcoef(np.asarray(GAUSSIAN.bias), np.asarray(GAUSSIAN.weight)[:, 0])[0, 1]) < 4.5 / COUNT**0.5


def test_the_mean_kernel_of_gaussian_neurons_is_the_arc_cosine_kernel(monte_carlo):
    F = np.asarray(GAUSSIAN(X)) * COUNT**0.5  # one draw of σ(⟨w, x⟩ + b) a column
    q = np.asarray(X) @ np.asarray(X).T / 3 + 0.7**2
    size = np.sqrt(np.diag(q)[:, None] * np.diag(q))
    theta = np.arccos(np.clip(q / size, -1, 1))
    expected = size * (np.sin(theta) + (np.pi - theta) * np.cos(theta)) / (2 * np.pi)
    monte_carlo(np.einsum("ir,jr->rij", F, F), expected, resolution=0.04)


def test_the_mean_kernel_of_spherical_neurons_is_an_average_over_the_sphere(monte_carlo):
    height, weights = np.polynomial.legendre.leggauss(400)
    turn = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    ring = np.sqrt(1 - height**2)[:, None]
    w = np.stack([ring * np.cos(turn), ring * np.sin(turn), np.broadcast_to(height[:, None], (400, 400))], axis=-1)
    h = np.maximum(w @ np.asarray(X).T + 0.4, 0)
    expected = np.einsum("a,abi,abj->ij", weights / 800, h, h, optimize=True)
    F = np.asarray(SPHERE(X)) * COUNT**0.5
    monte_carlo(np.einsum("ir,jr->rij", F, F), expected, resolution=0.04)


def test_another_key_draws_other_neurons():
    other = rf.random_neurons(3, COUNT, key=jax.random.key(1), bias=Constant(0.4))
    assert not np.isclose(SPHERE.weight, other.weight).any(axis=1).all()
    np.testing.assert_array_equal(SPHERE.weight, rf.random_neurons(3, COUNT, key=KEY, bias=Constant(0.4)).weight)


# --- networks as features -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parameterization", ["ntk", "standard", "mean_field"])
@pytest.mark.parametrize("b_std", [0.0, 0.6])
def test_network_features_are_the_frozen_hidden_layers(parameterization, b_std):
    net = rf.mlp(depth=1, width=4, w_std=1.3, b_std=b_std, parameterization=parameterization)
    params = draw(net)
    phi = rf.random_features(net, params=params)
    z = np.asarray(X) @ np.asarray(params[0]["weight"]).T * (1 if parameterization == "standard" else 1.3 / 3**0.5)
    if b_std:
        z += np.asarray(params[0]["bias"]) * (1 if parameterization == "standard" else 0.6)
    h = np.maximum(z, 0) * 1.3 / (4 if parameterization == "mean_field" else 2)
    expected = np.hstack([h, np.full((6, 1), 0.6)]) if b_std else h
    np.testing.assert_allclose(phi(X), expected, rtol=1e-13, atol=1e-14)
    assert isinstance(phi, NetworkFeatures)
    assert phi.in_dim == 3
    # The network is its features times the output layer, whose weights have unit variance but in "standard".
    out = [np.asarray(params[2]["weight"][0])] + ([np.asarray(params[2]["bias"])] if b_std else [])
    if parameterization == "standard":
        out = [part / std for part, std in zip(out, (1.3 / 2, 0.6), strict=False)]
    np.testing.assert_allclose(net.apply(params, X)[:, 0], expected @ np.concatenate(out), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("parameterization", ["ntk", "standard", "mean_field", "mup"])
@pytest.mark.parametrize("b_std", [0.0, 0.6])
def test_network_features_of_one_hidden_layer_are_neurons(parameterization, b_std):
    # The form whose population moments are known.
    net = rf.mlp(depth=1, width=4, w_std=1.3, b_std=b_std, parameterization=parameterization)
    phi = rf.random_features(net, params=draw(net))
    np.testing.assert_allclose(phi.neurons(X), phi(X), rtol=1e-13, atol=1e-14)


def test_deeper_networks_are_features_but_not_neurons(dtype):
    net = rf.mlp(depth=2, width=4, b_std=0.6)
    params = draw(net)
    phi = rf.random_features(net, params=params)
    values = phi(X.astype(dtype))
    assert phi.neurons is None
    assert values.dtype == dtype
    assert values.shape == (6, 5)
    out = np.concatenate([params[4]["weight"][0], params[4]["bias"]])
    np.testing.assert_allclose(
        values @ out.astype(dtype), net.apply(params, X)[:, 0], rtol=0, atol=100 * np.finfo(dtype).eps
    )


def test_the_output_layer_is_not_part_of_the_features():
    net = rf.mlp(depth=1, width=4)
    params = draw(net)
    phi = rf.random_features(net, params=params)
    np.testing.assert_array_equal(phi(X), rf.random_features(net, params=net.zero_output(params))(X))


def test_bad_laws_raise():
    with pytest.raises(ValueError, match="std"):
        Normal(0.0)
    with pytest.raises(ValueError, match="high"):
        Uniform(1.0, 1.0)
    with pytest.raises(TypeError, match="value"):
        Constant("one")
    with pytest.raises(ValueError, match="low"):
        Uniform(-np.inf, 1.0)
