"""The algorithms agree with the Jacobian, for layers of every kind, in every reading, within any memory bound."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import rfjax as rf
from rfjax.tangent.plan import METHODS

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(5, 16)), RNG.normal(size=(4, 16))
PARAMS = {
    "first": RNG.normal(size=(3, 3, 1, 4)),
    "grouped": RNG.normal(size=(4, 1, 2, 2)),  # one group a channel
    "heads": RNG.normal(size=(2, 3, 8)),  # batched: a matrix for each of two heads, the weight on the left
    "twice": RNG.normal(size=(6, 6)),
    "out": RNG.normal(size=(2, 6)),
    "gain": RNG.normal(size=2),
}


def network(params, X):
    z = X.reshape(-1, 4, 4, 1)
    z = lax.conv_general_dilated(
        z, params["first"], (1, 1), "SAME", rhs_dilation=(1, 2), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    z = jnp.tanh(z).transpose(0, 3, 1, 2)
    z = lax.conv_general_dilated(
        z,
        params["grouped"],
        (2, 2),
        [(0, 1), (1, 0)],
        feature_group_count=4,
        dimension_numbers=("NCHW", "OIHW", "NCHW"),
    )
    z = jnp.tanh(z).reshape(z.shape[0], 2, 8)
    z = jnp.tanh(jnp.einsum("nhs,hks->nhk", z, params["heads"])).reshape(z.shape[0], 6)
    z = jnp.tanh(z @ params["twice"]) @ params["twice"]
    return (z @ params["out"].T) * params["gain"]


def reading(J, L, outputs):
    full = np.einsum("iap,jbp->iajb", J, L)
    diagonal = np.einsum("iaja->ija", full)
    return {
        "full": full.reshape(2 * len(J), -1),
        "diagonal": diagonal,
        "mean": diagonal.mean(axis=2),
        "trace": diagonal.sum(axis=2),
        "pseudo": full.sum(axis=(1, 3)) / 2,
    }[outputs]


@pytest.fixture(scope="module")
def jacobians():
    """By forward mode, leaf by leaf: no part of what is tested."""
    J = jax.jit(jax.jacfwd(network))(PARAMS, np.concatenate([X, Y]))
    return {name: np.asarray(leaf).reshape(9, 2, -1) for name, leaf in J.items()}


@pytest.fixture(scope="module")
def rows(jacobians):
    J = np.concatenate([jacobians[name] for name in sorted(jacobians)], axis=2)
    return J[:5], J[5:]


def test_the_weights_of_layers_are_found():
    kept = rf.empirical_ntk(network, PARAMS, method="structured").plan(X, Y).parts[0].kept
    names = sorted(PARAMS)
    assert {names[use.leaf] for use in kept.factored + kept.formed} == {"first", "grouped", "heads", "out"}
    assert {names[leaf] for leaf in kept.rest} == {"twice", "gain"}


# Each algorithm in one reading, a different one; all readings by all algorithms take minutes to compile.
@pytest.mark.parametrize(
    ("method", "outputs"), [("structured", "mean"), ("contraction", "diagonal"), ("vector_products", "full")]
)
def test_each_algorithm_gives_the_kernel(rows, method, outputs):
    J, L = rows
    k = rf.empirical_ntk(network, PARAMS, outputs=outputs, method=method)
    expected = reading(J, L, outputs)
    np.testing.assert_allclose(k(X, Y), expected, rtol=0, atol=1e-13 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize("bound", [None, 60_000, 250_000])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("outputs", ["mean", "trace", "pseudo", "diagonal", "full"])
def test_every_algorithm_gives_every_reading_within_every_bound(rows, method, outputs, bound):
    J, L = rows
    k = rf.empirical_ntk(network, PARAMS, outputs=outputs, method=method)
    own, cross = reading(J, J, outputs), reading(J, L, outputs)
    with rf.kernels.memory_bound(bound or 2**30):
        try:
            found = k(X), k(X, Y)
        except ValueError as error:
            if method == "vector_products" and "too small for one row" in str(error):
                return
            raise
    for values, expected in zip(found, (own, cross), strict=True):
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-13 * np.abs(expected).max())
    np.testing.assert_array_equal(found[0], np.swapaxes(found[0], 0, 1))
    diagonal = np.einsum("ii...->i...", own)
    np.testing.assert_allclose(k.diag(X), diagonal, rtol=0, atol=1e-13 * diagonal.max())


@pytest.mark.parametrize("outputs", ["mean", "full"])
def test_products_never_form_the_matrix_and_equal_it(rows, outputs):
    J, L = rows
    K = reading(J, L, outputs)
    V = RNG.normal(size=(K.shape[1], 3))
    k = rf.empirical_ntk(network, PARAMS, outputs=outputs)
    with rf.kernels.memory_bound(40_000):  # two points and two vectors at a time, less than a row of k needs
        assert k.layout(X, Y) < (5, 3)
        product = k.matvec(X, Y, V)
    np.testing.assert_allclose(product, K @ V, rtol=0, atol=1e-12 * np.abs(K @ V).max())


def test_blocks_of_points_outputs_and_parameters(rows):
    J, _ = rows
    k = rf.empirical_ntk(network, PARAMS, outputs="full", method="contraction")
    expected = reading(J, J, "full")
    with rf.kernels.memory_bound(14_000):
        plan = k.plan(X)
        assert len(plan.parts) > 1 and any(part.outputs < 2 or part.rows < 5 for part in plan.parts)
        values = k(X)
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-13 * np.abs(expected).max())
    np.testing.assert_array_equal(values, values.T)
    with rf.kernels.memory_bound(100), pytest.raises(ValueError, match="too small for one row"):
        k(X)
    with rf.kernels.memory_bound(100), pytest.raises(ValueError, match="too small for one point and one vector"):
        k.matvec(X, X, np.ones(expected.shape[1]))


def test_the_kernel_of_each_point_with_itself(rows):
    full = np.einsum("iap,ibp->iab", rows[0], rows[0])
    k = rf.empirical_ntk(network, PARAMS, outputs="full")
    np.testing.assert_allclose(k.at_points(X), full, rtol=0, atol=1e-13 * full.max())


CHOICES = [
    ("first", ["first"]),
    (["first", "gain"], ["first", "gain"]),
    (lambda path, leaf: leaf.ndim == 2, ["out", "twice"]),
    ({name: name == "heads" for name in PARAMS}, ["heads"]),
]


@pytest.mark.parametrize(("parameters", "names"), CHOICES, ids=["path", "paths", "predicate", "mask"])
def test_parameters_may_be_chosen(parameters, names):
    k = rf.empirical_ntk(network, PARAMS, parameters=parameters)
    assert [name for name, own in zip(sorted(PARAMS), k.chosen, strict=True) if own] == names


def test_a_chosen_part_is_that_part_of_the_kernel_and_all_parts_sum_to_it(jacobians):
    J = jacobians["heads"][:5]
    k = rf.empirical_ntk(network, PARAMS, parameters="heads")
    np.testing.assert_allclose(k(X), reading(J, J, "mean"), rtol=0, atol=1e-12)
    net = rf.mlp(depth=1, width=4, b_std=0.3, out=2)
    params = jax.tree.map(
        lambda leaf: jnp.asarray(RNG.normal(size=leaf.shape)),
        jax.eval_shape(lambda key: net.init(key, 16), jax.random.key(0)),
    )
    whole = rf.empirical_ntk(net, params)
    layers = whole.layers()
    assert sorted(layers) == ["0", "2"]
    total = jax.jit(lambda X: (sum(layer(X) for layer in layers.values()), whole(X)))(X)
    np.testing.assert_allclose(*total, rtol=1e-12)


def test_leaves_of_a_flat_pytree_are_layers():
    flat = {"in": jnp.asarray(RNG.normal(size=(16, 3))), "out": jnp.asarray(RNG.normal(size=(3, 2)))}
    layers = rf.empirical_ntk(lambda p, X: jnp.tanh(X @ p["in"]) @ p["out"], flat).layers()
    assert sorted(layers) == ["in", "out"]
    H = jnp.tanh(X @ flat["in"])
    np.testing.assert_allclose(layers["out"](X), H @ H.T, rtol=1e-10)  # the last-layer kernel


def test_the_choice_follows_the_model_of_time():
    dense = rf.mlp(depth=2, width=64, out=8)
    shapes = jax.eval_shape(lambda key: dense.init(key, 16), jax.random.key(0))
    params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes)
    assert rf.empirical_ntk(dense, params).plan(X).method == "structured"
    tied = rf.empirical_ntk(lambda p, X: jnp.tanh(X @ p) @ p, jnp.zeros((16, 16)), outputs="full")
    assert tied.plan(X).method in ("contraction", "vector_products", "structured")
    assert not tied.plan(X).parts[0].kept.factored


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: rf.empirical_ntk(network, PARAMS, parameters="second"), ValueError, "asks for 'second'"),
        (lambda: rf.empirical_ntk(network, PARAMS, parameters=lambda *_: False), ValueError, "at least one of"),
        (lambda: rf.empirical_ntk(network, PARAMS, parameters={"first": True}), ValueError, "structure of params"),
        (lambda: rf.empirical_ntk(network, PARAMS, parameters=3), TypeError, "parameters must be"),
        (lambda: rf.empirical_ntk(network, {"n": np.arange(3)}), TypeError, "floating"),
        (lambda: rf.empirical_ntk(network, PARAMS, method="fast"), ValueError, "method must be one of"),
        (lambda: rf.empirical_ntk(lambda p, X: X[:, :, None], PARAMS)(X), ValueError, "must return"),
        (lambda: rf.empirical_ntk(lambda p, X: (X, {}), PARAMS)(X), ValueError, "returned a tuple"),
        (lambda: rf.empirical_ntk(network, None), ValueError, "at least one array"),
        (
            lambda: rf.empirical_ntk(network, PARAMS, outputs="diagonal").matvec(X, None, np.ones(5)),
            ValueError,
            "one matrix",
        ),
    ],
)
def test_bad_input_is_named(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_integers_that_are_no_parameters_may_be_there():
    params = {"table": np.arange(2), "w": RNG.normal(size=(16, 2))}
    k = rf.empirical_ntk(lambda p, X: (X @ p["w"])[:, p["table"]], params, parameters="w")
    np.testing.assert_allclose(k(X), X @ X.T, rtol=1e-12)
