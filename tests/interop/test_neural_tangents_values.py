"""neural-tangents on this JAX: every entry point, against its values on the JAX it was written for, or closed forms."""

import pathlib
import warnings

import jax
import jax.numpy as jnp
import neural_tangents as nt
import numpy as np
import pytest
from neural_tangents import stax

import rfjax as rf

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
READINGS = ("nngp", "ntk")
ACTIVATIONS = {"relu": stax.Relu, "erf": stax.Erf, "gelu": stax.Gelu}


def conv():
    return stax.Conv(1, (3, 3), padding="SAME", W_std=1.3, b_std=0.1)


def residual():
    branches = stax.parallel(stax.Identity(), stax.serial(stax.Relu(), conv(), stax.Relu(), conv()))
    return stax.serial(stax.FanOut(2), branches, stax.FanInSum())


IMAGES = {
    "conv_relu_flatten": (conv(), stax.Relu(), conv(), stax.Relu(), stax.Flatten()),
    "conv_relu_gap": (conv(), stax.Relu(), conv(), stax.Relu(), stax.GlobalAvgPool()),
    "resnet_like": (conv(), residual(), residual(), stax.GlobalAvgPool()),
    "dense_layernorm_relu": (stax.Flatten(), stax.Dense(1, 1.2, 0.2), stax.LayerNorm(), stax.Relu()),
}


def mlp(depth: int, activation: str, w_std: float, b_std: float, width: int = 1):
    hidden = (stax.Dense(width, w_std, b_std), ACTIVATIONS[activation]())
    return stax.serial(*depth * hidden, stax.Dense(1, w_std, b_std))


def record_of(golden, activation: str, depth: int):
    return next(r for r in golden if r["act"] == activation and r["depth"] == depth)


def of(record, width: int = 1):
    return mlp(record["depth"], record["act"], record["w_std"], record["b_std"], width)


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_closed_forms_are_as_they_were(golden, activation):
    record = record_of(golden, activation, 2)
    kernel_fn = of(record)[2]

    @jax.jit
    def everything(x, y):
        return kernel_fn(x, y, READINGS), [kernel_fn(side, None, READINGS) for side in (x, y)]

    values, own = everything(record["x"], record["y"])
    for reading in READINGS:
        left, right = (np.diagonal(getattr(kernel, reading)) for kernel in own)
        errors = np.abs(getattr(values, reading) - record[reading]) / np.sqrt(np.outer(left, right))
        assert errors.max() < 1e-9, reading


@pytest.mark.parametrize("name", list(IMAGES))
def test_images_are_as_they_were(name):
    kernel_fn = jax.jit(stax.serial(*IMAGES[name], stax.Dense(1, 1.0, 0.0))[2], static_argnums=2)
    with np.load(GOLDEN / "nt_conv_public.npz") as golden, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # branches must be independent, it reminds
        values = kernel_fn(golden["x"], golden["y"], READINGS)
        for reading in READINGS:
            expected = golden[f"{reading}_{name}"]
            assert np.abs(getattr(values, reading) - expected).max() < 1e-9 * np.abs(expected).max()


def test_batches_are_the_whole(golden):
    record = record_of(golden, "erf", 1)
    values = nt.batch(of(record)[2], batch_size=2, device_count=0)(record["x"], record["y"], READINGS)
    for reading in READINGS:
        expected = record[reading]
        np.testing.assert_allclose(getattr(values, reading), expected, rtol=0, atol=1e-9 * np.abs(expected).max())


@pytest.mark.slow
def test_monte_carlo_has_the_closed_form_as_its_mean(golden, monte_carlo):
    record = record_of(golden, "erf", 1)
    init, apply, _ = of(record, width=64)

    @jax.jit
    @jax.vmap
    def draw(key):
        return tuple(nt.monte_carlo_kernel_fn(init, apply, key, 1)(record["x"], record["y"], READINGS))

    for values, reading in zip(draw(jax.random.split(jax.random.key(0), 1500)), READINGS, strict=True):
        monte_carlo(values, record[reading], resolution=0.06)


@pytest.fixture(scope="module")
def images():
    """A finite network of images: (apply, its parameters, images [4, 6, 6, 2])."""
    net = stax.serial(
        stax.Conv(4, (3, 3)),
        stax.Relu(),
        stax.Conv(3, (2, 2)),
        stax.Erf(),
        stax.AvgPool((2, 2)),
        stax.Flatten(),
        stax.Dense(2),
    )
    x = jax.random.normal(jax.random.key(1), (4, 6, 6, 2), jnp.float64)
    with jax.numpy_dtype_promotion("standard"):
        params = net[0](jax.random.key(2), x.shape)[1]
    return net[1], params, x


@pytest.fixture(scope="module")
def tangents(images):
    """The Jacobian of that network by reverse mode, [4, 2, P]: what every implementation contracts."""
    apply, params, x = images
    with jax.numpy_dtype_promotion("standard"):
        rows = jax.jit(jax.jacrev(apply))(params, x)
    return np.concatenate([np.reshape(leaf, (4, 2, -1)) for leaf in jax.tree.leaves(rows)], axis=2)


@pytest.mark.parametrize("implementation", list(nt.NtkImplementation), ids=lambda value: value.name)
def test_empirical_kernels_contract_jacobians(images, tangents, implementation, capsys):
    apply, params, x = images
    ntk = nt.empirical_ntk_fn(apply, trace_axes=(), vmap_axes=0, implementation=implementation)
    found = jax.jit(ntk)(x, x[:3], params)
    expected = np.einsum("iap,jbp->ijab", tangents, tangents[:3])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    capsys.readouterr()  # AUTO says what it counted


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:No Jacobian rule:UserWarning")
def test_structured_derivatives_through_splits_calls_and_remat_run_eagerly():
    def apply(params, x):
        left, right = jnp.split(x @ params["w"], 2, axis=1)
        mixed = jax.jit(jnp.tanh)(left) * right[:, ::-1] + jax.checkpoint(jnp.sin)(params["b"][1:])
        return jnp.concatenate([mixed, right], axis=1)[:, 1:4]

    params = {"w": jax.random.normal(jax.random.key(0), (5, 6)), "b": jnp.arange(4.0) / 4}
    x = jax.random.normal(jax.random.key(1), (3, 5))
    rows = jax.jit(jax.jacrev(apply))(params, x)
    tangents = np.concatenate([np.reshape(leaf, (3, 3, -1)) for leaf in jax.tree.leaves(rows)], axis=2)
    structured = nt.NtkImplementation.STRUCTURED_DERIVATIVES
    found = nt.empirical_ntk_fn(apply, trace_axes=(), implementation=structured)(x, None, params)
    expected = np.einsum("iap,jbp->ijab", tangents, tangents)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_products_with_the_kernel_and_linearisation(images, tangents):
    apply, params, x = images
    v = jnp.ones((3, 2))
    product = jax.jit(lambda v: nt.empirical_ntk_vp_fn(apply, x, x[:3], params)(v))(v)
    expected = np.einsum("iap,jbp,jb->ia", tangents, tangents[:3], v)
    np.testing.assert_allclose(product, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    moved = jax.tree.map(lambda leaf: 1.01 * leaf, params)
    step = np.concatenate([np.ravel(0.01 * leaf) for leaf in jax.tree.leaves(params)])
    start, *expanded = jax.jit(
        lambda p: (apply(params, x), nt.linearize(apply, params)(p, x), nt.taylor_expand(apply, params, 1)(p, x))
    )(moved)
    for found in expanded:
        np.testing.assert_allclose(found, start + tangents @ step, rtol=0, atol=1e-12)


@pytest.fixture(scope="module")
def regression():
    """(network, the same network here, X [8, 5], y [8, 1], points to predict at [3, 5])."""
    keys = jax.random.split(jax.random.key(3), 3)
    X, T = jax.random.normal(keys[0], (8, 5)), jax.random.normal(keys[1], (3, 5))
    net = rf.mlp(depth=1, width=1, activation=rf.activations.erf, w_std=1.5, b_std=0.1)
    kernel_fn = jax.jit(mlp(1, "erf", 1.5, 0.1)[2], static_argnums=2)
    return kernel_fn, net, X, jax.random.normal(keys[2], (8, 1)), T


@pytest.mark.slow
def test_prediction_is_gradient_flow(regression):
    kernel_fn, net, X, y, T = regression
    predict = nt.predict.gradient_descent_mse_ensemble(kernel_fn, X, y)
    flow = rf.gradient_flow(rf.ntk(net), X, y)
    for t in (30.0, None):
        expected = flow(jnp.inf if t is None else t, T)
        np.testing.assert_allclose(predict(t=t, x_test=T, get="ntk"), expected, rtol=0, atol=1e-8)


@pytest.mark.slow
def test_prediction_from_a_start_and_through_its_ode(regression):
    _, net, X, y, T = regression
    k = rf.ntk(net)
    K, start = k(X), 0.1 * y[::-1]
    cross = k(T, X)
    closed = nt.predict.gradient_descent_mse(K, y)(20.0, start, jnp.zeros((3, 1)), cross)
    ode = nt.predict.gradient_descent(lambda f, y: jnp.mean((f - y) ** 2) / 2, K, y)
    stepped = ode(20.0, start, jnp.zeros((3, 1)), cross)
    values, vectors = np.linalg.eigh(K)
    expected = y + vectors @ (np.exp(-values * 20 / 8)[:, None] * (vectors.T @ (start - y)))
    np.testing.assert_allclose(closed[0], expected, rtol=0, atol=1e-10)
    for found, exact in zip(stepped, closed, strict=True):
        np.testing.assert_allclose(found, exact, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_inference_is_ridge_regression(regression):
    kernel_fn, net, X, y, T = regression
    k_dd = kernel_fn(X, None, "nngp")
    infer = nt.predict.gp_inference(k_dd, y, diag_reg=1e-3, diag_reg_absolute_scale=True)
    found = infer("nngp", kernel_fn(T, X, "nngp"))
    expected = rf.ridge_regression(rf.nngp(net), X, y, ridge=1e-3)(T)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)
    rate = nt.predict.max_learning_rate(k_dd, eps=0.0)
    np.testing.assert_allclose(rate, 2 * 8 / np.linalg.eigvalsh(k_dd)[-1], rtol=1e-10)
