"""The empirical NTK against finite differences in NumPy, and its structured form against the contraction of Jacobians."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfjax as rf

RNG = np.random.default_rng(0)
X, Z = RNG.normal(size=(4, 3)), RNG.normal(size=(5, 3))
PARAMS = {
    "in": RNG.normal(size=(3, 4)),
    "shift": RNG.normal(size=4),
    "out": RNG.normal(size=(4, 2)),
    "gain": np.array(0.7),
}
STATE = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def _same_draws_whatever_ran_before():
    RNG.bit_generator.state = STATE


def network(params, X, xp=jnp):
    return params["gain"] * xp.tanh(X @ params["in"] + params["shift"]) @ params["out"]


def one_output(params, X):
    return network(params, X)[:, 0]


@pytest.fixture(scope="module")
def jacobian() -> np.ndarray:
    """∂f_c(x_i)/∂θ at the rows of X and Z by central differences, [n, c, P]."""
    points, step, columns = np.concatenate([X, Z]), 1e-4, []
    for name in sorted(PARAMS):  # the order of a pytree's leaves
        for index in np.ndindex(PARAMS[name].shape):
            ends = []
            for sign in (2, 1, -1, -2):
                moved = {key: value.copy() for key, value in PARAMS.items()}
                moved[name][index] += sign * step
                ends.append(network(moved, points, np))
            columns.append((8 * (ends[1] - ends[2]) - (ends[0] - ends[3])) / (12 * step))
    return np.stack(columns, axis=-1)


def test_kernels_and_features_of_any_function_are_those_of_its_jacobian(jacobian):
    mean = np.einsum("icp,jcp->ij", jacobian, jacobian) / 2
    k, psi = rf.empirical_ntk(network, PARAMS), rf.tangent_features(network, PARAMS)
    np.testing.assert_allclose(k(X, Z), mean[:4, 4:], rtol=0, atol=1e-9)
    np.testing.assert_allclose(k(X), mean[:4, :4], rtol=0, atol=1e-9)
    np.testing.assert_array_equal(k(X), np.asarray(k(X)).T)
    np.testing.assert_allclose(k.diag(X), np.diag(mean)[:4], rtol=0, atol=1e-9)
    np.testing.assert_allclose(psi(X), jacobian[:4].reshape(4, -1) / 2**0.5, rtol=0, atol=1e-9)
    assert psi.in_dim is None
    assert psi.neurons is None


def test_full_outputs_keep_every_pair_apart(jacobian):
    full = np.einsum("iap,jbp->iajb", jacobian, jacobian)
    k = rf.empirical_ntk(network, PARAMS, outputs="full")
    np.testing.assert_allclose(k(X, Z), full[:4, :, 4:].reshape(8, 10), rtol=0, atol=1e-9)
    np.testing.assert_allclose(k(X), full[:4, :, :4].reshape(8, 8), rtol=0, atol=1e-9)
    np.testing.assert_allclose(k.diag(X), np.diag(full[:4, :, :4].reshape(8, 8)), rtol=0, atol=1e-9)


def test_one_output_may_be_a_vector(jacobian):
    expected = jacobian[:4, 0] @ jacobian[4:, 0].T
    np.testing.assert_allclose(rf.empirical_ntk(one_output, PARAMS)(X, Z), expected, rtol=0, atol=1e-9)
    full = rf.empirical_ntk(one_output, PARAMS, outputs="full")
    np.testing.assert_allclose(full(X, Z), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("outputs", ["mean", "full"])
def test_within_a_memory_bound_the_kernel_is_the_same(jacobian, outputs):
    expected = np.einsum("iap,jbp->iajb", jacobian[4:], jacobian[4:])
    expected = expected.trace(axis1=1, axis2=3) / 2 if outputs == "mean" else expected.reshape(10, 10)
    k = rf.empirical_ntk(network, PARAMS, outputs=outputs, method="contraction")
    with rf.kernels.memory_bound(2000):
        part = k.plan(Z).parts[0]
        assert part.rows < 5 or part.outputs < 2
        for values in (k(Z, Z), k(Z)):
            np.testing.assert_allclose(values, expected, rtol=0, atol=1e-9)


# --- dense networks -------------------------------------------------------------------------------------------------


def draw(net):
    shapes = jax.eval_shape(lambda key: net.init(key, 3), jax.random.key(0))
    return jax.tree.map(lambda leaf: jnp.asarray(RNG.normal(size=leaf.shape)), shapes)


NESTED = rf.Serial(rf.mlp(depth=1, width=4, b_std=0.3, out=5), rf.Activation(jnp.tanh), rf.Dense(2, 1.2))
NETWORKS = {
    "ntk": rf.mlp(depth=2, width=4, b_std=0.3, out=2),
    "standard": rf.mlp(depth=2, width=4, b_std=0.3, out=2, parameterization="standard"),
    "mean_field": rf.mlp(depth=1, width=4, out=2, parameterization="mean_field"),
    "mup": rf.mlp(depth=2, width=4, b_std=0.3, out=2, parameterization="mup"),
    "nested": NESTED,
}


@pytest.mark.parametrize("net", NETWORKS.values(), ids=NETWORKS)
def test_structured_products_equal_the_contraction(net):
    params = draw(net)

    @jax.jit
    def both_ways(p, Z):
        k, full = rf.empirical_ntk(net, p), rf.empirical_ntk(net, p, outputs="full")
        return k(Z, Z), full(Z, Z), jax.jacfwd(lambda p: net.apply(p, Z))(p)

    mean, full, J = both_ways(params, Z)
    J = np.concatenate([np.asarray(leaf).reshape(10, -1) for leaf in jax.tree.leaves(J)], axis=1)
    expected = J @ J.T
    np.testing.assert_allclose(full, expected, rtol=0, atol=1e-13 * expected.max())
    expected = expected.reshape(5, 2, 5, 2).trace(axis1=1, axis2=3) / 2
    np.testing.assert_allclose(mean, expected, rtol=0, atol=1e-13 * expected.max())


def test_a_single_neuron_and_a_plain_apply_are_contracted():
    neuron, params = rf.neuron(), {"weight": RNG.normal(size=3), "bias": np.array(0.4)}
    active = (Z @ params["weight"] + 0.4 > 0).astype(float)
    expected = active[:, None] * active * (Z @ Z.T + 1)
    np.testing.assert_allclose(rf.empirical_ntk(neuron, params)(Z), expected, rtol=0, atol=1e-13)
    np.testing.assert_allclose(rf.empirical_ntk(neuron.apply, params)(Z), expected, rtol=0, atol=1e-13)


def test_float32_stays_float32():
    net = NETWORKS["ntk"]
    params = draw(net)
    exact = np.asarray(rf.empirical_ntk(net, params)(Z, Z))
    low, z = jax.tree.map(lambda leaf: leaf.astype(np.float32), params), Z.astype(np.float32)
    for gram in (rf.empirical_ntk(net, low)(z, z), rf.tangent_features(net, low).kernel(z, z)):
        assert gram.dtype == np.float32
        np.testing.assert_allclose(gram, exact, rtol=0, atol=3e-5 * exact.max())


def test_float32_data_choose_the_dtype_of_float64_parameters():
    # As every other view does: dtype follows the input.
    net = NETWORKS["ntk"]
    params, z = draw(net), Z.astype(np.float32)
    assert rf.empirical_ntk(net, params)(z).dtype == np.float32
    assert rf.tangent_features(net, params)(z).dtype == np.float32
    assert rf.linearize(net, params)(params, z).dtype == np.float32


def test_it_maps_over_parameters_and_differentiates():
    def total(gain):
        return rf.empirical_ntk(network, PARAMS | {"gain": gain})(X, Z).sum()

    gains = jnp.asarray([0.6, 0.7, 0.8])
    values, slopes = jax.jit(jax.vmap(jax.value_and_grad(total)))(gains)
    assert float(values[1]) == pytest.approx(float(rf.empirical_ntk(network, PARAMS)(X, Z).sum()), rel=1e-12)
    # A quadratic in the gain: its central difference is its derivative.
    assert float(slopes[1]) == pytest.approx(float(values[2] - values[0]) / 0.2, rel=1e-10)
