"""Bad input to what fits, trains and measures: one clear error that names the argument, before anything is compiled."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rfjax as rf
from rfjax import checks

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X, Y = jnp.asarray(RNG.normal(size=(6, 3))), jnp.asarray(RNG.normal(size=6))
KERNEL = rf.rbf(1.0)
PHI = rf.features.Neurons(jnp.asarray(RNG.normal(size=(4, 3))), None, rf.activations.relu)
NET = rf.neuron()
PARAMS = {"weight": jnp.asarray(RNG.normal(size=3)), "bias": jnp.asarray(0.0)}
TASK = rf.tasks.single_neuron(3, bias=-1.0)
NO_KEYS = jax.random.split(KEY, 0)
OTHER_TASK = rf.tasks.single_neuron(4)
NO_ROWS, NO_COLUMNS, NO_OUTPUTS, SCALAR = jnp.ones((0, 3)), jnp.ones((6, 0)), jnp.ones((6, 0)), jnp.ones(())
SGD = optax.sgd(0.1)


def linear(params, X):
    return X @ params


W = jnp.asarray(RNG.normal(size=3))


def ridge(model=KERNEL, X=X, y=Y, *, ridge=0.1, **settings):
    return rf.ridge_regression(model, X, y, ridge=ridge, **settings)


def flow(model=KERNEL, X=X, y=Y, **settings):
    return rf.gradient_flow(model, X, y, **settings)


def train(net=linear, data=(X, Y), *, optimizer=SGD, steps=3, **settings):
    if "params" not in settings and net is linear:
        settings["params"] = W
    return rf.train(net, data, optimizer=optimizer, steps=steps, **settings)


def exact(**settings):
    return train(NET, TASK, params=PARAMS, exact=True, **settings)


def full_kernel():
    return rf.empirical_ntk(lambda p, X: X * p, jnp.ones(3), outputs="full")


# What is wrong is seen from shapes, dtypes and settings.
STATIC = {
    "X vector": (lambda: ridge(X=Y), ValueError, r"X must have shape \[n, d\], got \[6\]"),
    "X cube": (lambda: ridge(X=X[None]), ValueError, r"X must have shape \[n, d\], got \[1, 6, 3\]"),
    "X integers": (lambda: ridge(X=np.ones((6, 3), int)), TypeError, "X must have a floating dtype, got int64"),
    "X complex": (lambda: ridge(X=np.ones((6, 3), complex)), TypeError, "X must have a floating dtype, got complex128"),
    "X booleans": (lambda: ridge(X=np.ones((6, 3), bool)), TypeError, "X must have a floating dtype, got bool"),
    "X ragged": (lambda: ridge(X=[[1.0, 2.0], [3.0]]), TypeError, "X must be an array of floats"),
    "X none": (lambda: ridge(X=None), TypeError, "X must have a floating dtype"),
    "X without rows": (lambda: ridge(X=NO_ROWS), ValueError, "X must have at least one row"),
    "X without columns": (lambda: ridge(X=NO_COLUMNS), ValueError, "X must have at least one row and one column"),
    "y scalar": (lambda: ridge(y=SCALAR), ValueError, r"y must have shape \[n\] or \[n, c\]"),
    "y cube": (lambda: ridge(y=X[:, :, None]), ValueError, r"y must have shape \[n\] or \[n, c\]"),
    "y without outputs": (lambda: ridge(y=NO_OUTPUTS), ValueError, r"y must have shape \[n\] or \[n, c\]"),
    "y short": (lambda: ridge(y=Y[:5]), ValueError, "y must have one row a data point: got 5 rows for 6 points"),
    "y integers": (lambda: ridge(y=np.arange(6)), TypeError, "y must have a floating dtype, got int64"),
    "columns of features": (lambda: ridge(PHI, X[:, :2]), ValueError, "X must have 3 columns"),
    "ridge negative": (lambda: ridge(ridge=-1e-3), ValueError, "ridge must be a finite number >= 0.0, got -0.001"),
    "ridge nan": (lambda: ridge(ridge=np.nan), ValueError, "ridge must be a finite number"),
    "ridge infinite": (lambda: ridge(ridge=np.inf), ValueError, "ridge must be a finite number"),
    "ridge vector": (lambda: ridge(ridge=np.ones(2)), TypeError, "ridge must be a real number"),
    "ridge text": (lambda: ridge(ridge="small"), TypeError, "ridge must be a real number"),
    "ridge boolean": (lambda: ridge(ridge=True), TypeError, "ridge must be a real number"),
    "ridge complex": (lambda: ridge(ridge=1j), TypeError, "ridge must be a real number"),
    "ridge none": (lambda: ridge(ridge=None), TypeError, "ridge must be a real number"),
    "solver": (
        lambda: ridge(solver="lu"),
        ValueError,
        "solver must be one of auto, cholesky, cg, nystrom, eigenpro; got 'lu'",
    ),
    "model": (lambda: ridge(linear), TypeError, "model must be a kernel or a feature map, got function"),
    "start": (lambda: ridge(start=1.0), TypeError, "start must be a function of X"),
    "flow X": (lambda: flow(X=Y), ValueError, "X must have shape"),
    "flow y": (lambda: flow(y=Y[:5]), ValueError, "y must have one row a data point"),
    "flow y integers": (lambda: flow(y=np.arange(6)), TypeError, "y must have a floating dtype"),
    "flow model": (lambda: flow(linear), TypeError, "model must be a kernel or a feature map"),
    "flow start": (lambda: flow(start=1.0), TypeError, "start must be a function of X"),
    "flow columns": (lambda: flow(PHI, X[:, :2]), ValueError, "X must have 3 columns"),
    "train steps": (lambda: train(steps=0), ValueError, "steps must be at least 1, got 0"),
    "train steps float": (lambda: train(steps=3.0), TypeError, "steps must be an integer"),
    "train optimizer": (lambda: train(optimizer=optax.sgd), TypeError, "optimizer must be an optax optimiser"),
    "train net": (lambda: train(3, params=W), TypeError, "net must be a network or a function"),
    "train no key": (lambda: rf.train(NET, (X, Y), optimizer=SGD, steps=3), ValueError, "key is required"),
    "train no key for batches": (lambda: train(batch_size=2), ValueError, "key is required"),
    "train no key for a stream": (lambda: train(data=TASK, batch_size=2), ValueError, "key is required"),
    "train key": (lambda: train(key=0), TypeError, "key must be a JAX random key"),
    "train keys": (lambda: train(key=jax.random.split(KEY, (2, 2))), ValueError, "key must be one key or a vector"),
    "train no keys": (lambda: train(key=NO_KEYS), ValueError, "key"),
    "train no init": (lambda: train(params=None, key=KEY), ValueError, "params= is required: a plain function"),
    "train params": (lambda: train(params=np.ones(3, int)), TypeError, "every parameter must have a floating dtype"),
    "train seeds": (
        lambda: train(key=jax.random.split(KEY, 2)),
        ValueError,
        "every parameter must have a leading axis",
    ),
    "train data": (lambda: train(data=X), TypeError, r"data must be a pair \(X, y\) or a task"),
    "train X": (lambda: train(data=(Y, Y)), ValueError, "X must have shape"),
    "train y": (lambda: train(data=(X, Y[:5])), ValueError, "y must have one row a data point"),
    "train y integers": (lambda: train(data=(X, np.arange(6))), TypeError, "y must have a floating dtype"),
    "train batch": (lambda: train(batch_size=0, key=KEY), ValueError, "batch_size must be at least 1, got 0"),
    "train batch float": (lambda: train(batch_size=2.0, key=KEY), TypeError, "batch_size must be an integer"),
    "train batch large": (lambda: train(batch_size=7, key=KEY), ValueError, "batch_size must be at most the number of"),
    "train loss": (lambda: train(loss="mse"), TypeError, r"loss must be a function of \(predictions, y\)"),
    "train outputs": (lambda: train(data=(X, X)), ValueError, "net gives outputs of shape"),
    "train record": (lambda: train(record=0), ValueError, "record must be at least 1, got 0"),
    "train record float": (lambda: train(record=0.5), TypeError, "record"),
    "train record late": (lambda: train(record=[1, 4]), ValueError, "record must name steps up to steps=3, got 4"),
    "train record early": (lambda: train(record=[-1]), ValueError, "record must be at least 0"),
    "train task": (lambda: train(task=linear), TypeError, "task must be made by rf.tasks"),
    "train task twice": (lambda: train(data=TASK, task=TASK, batch_size=2), ValueError, "task= names the task behind"),
    "train task columns": (lambda: train(task=rf.tasks.polynomial), TypeError, "task must be made by rf.tasks"),
    "train other columns": (lambda: train(data=(X[:, :2], Y), task=TASK), ValueError, "X must have 3 columns"),
    "train stream": (lambda: train(data=TASK, key=KEY), ValueError, "with batch_size=, or use exact=True"),
    "train target": (lambda: train(task=TASK, target_risk=0.1), ValueError, "target_risk needs an exact population"),
    "train target unknown": (lambda: train(target_risk=0.1), ValueError, "target_risk needs an exact population"),
    "train target negative": (lambda: exact(target_risk=-1.0), ValueError, "target_risk must be a finite number >= 0"),
    "exact samples": (lambda: train(exact=True), ValueError, "exact=True needs a task as data"),
    "exact function": (
        lambda: train(data=TASK, exact=True),
        ValueError,
        "exact=True needs a .* ReLU neuron as the task",
    ),
    "exact batch": (lambda: exact(batch_size=3), ValueError, "takes no batch_size and no loss"),
    "exact loss": (lambda: exact(loss=lambda f, y: f.sum()), ValueError, "takes no batch_size and no loss"),
    "metrics": (lambda: train(metrics={"norm": 1.0}), TypeError, "metrics"),
    "risk task": (lambda: rf.population_risk(linear, linear), TypeError, "task must be made by rf.tasks"),
    "risk predictor": (lambda: rf.population_risk(3, TASK, key=KEY), TypeError, "predictor must be a function of X"),
    "risk without key": (lambda: rf.population_risk(linear, TASK), ValueError, "pass key=jax.random.key"),
    "risk key": (lambda: rf.population_risk(linear, TASK, key=0), TypeError, "key must be a JAX random key"),
    "risk samples": (
        lambda: rf.population_risk(linear, TASK, key=KEY, samples=1),
        ValueError,
        "samples must be at least 2",
    ),
    "population features": (
        lambda: rf.population_regression(KERNEL, TASK, ridge=0.1),
        TypeError,
        "needs one layer of .* ReLU neurons",
    ),
    "population columns": (
        lambda: rf.population_regression(PHI, OTHER_TASK, ridge=0.1),
        TypeError,
        "over the same inputs",
    ),
    "population ridge": (lambda: rf.population_regression(PHI, TASK, ridge=-1.0), ValueError, "ridge must be a finite"),
    "neurons columns": (lambda: PHI(X[:, :2]), ValueError, "X must have 3 columns"),
    "neurons integers": (lambda: PHI(np.ones((2, 3), int)), TypeError, "X must have a floating dtype"),
    "random in_dim": (lambda: rf.random_neurons(0, 4, key=KEY), ValueError, "in_dim must be at least 1"),
    "random count": (lambda: rf.random_neurons(3, -4, key=KEY), ValueError, "count must be at least 1, got -4"),
    "random count float": (lambda: rf.random_neurons(3, 4.0, key=KEY), TypeError, "count must be an integer"),
    "random key": (lambda: rf.random_neurons(3, 4, key=None), ValueError, "key is required"),
    "random keys": (lambda: rf.random_neurons(3, 4, key=jax.random.split(KEY)), ValueError, "key must be one key"),
    "random weights": (
        lambda: rf.random_neurons(3, 4, key=KEY, weights="ball"),
        ValueError,
        "weights must be one of sphere, gaussian",
    ),
    "random bias": (lambda: rf.random_neurons(3, 4, key=KEY, bias=1.0), TypeError, "bias must be a law"),
    "random activation": (lambda: rf.random_neurons(3, 4, key=KEY, activation="relu"), TypeError, "activation"),
}


@pytest.fixture(scope="module")
def compilations():
    """Counts what XLA compiles inside a `with` block, after the checks on values of good data have been compiled."""
    for good in (X, Y, X[:, :2], X[:5], Y[:5]):
        checks._values("X", good)
    jax.random.key(0), jax.random.split(KEY, 2), jax.random.split(KEY, (2, 2)), X[None], X[:, :, None]
    count = 0

    def listen(event, duration, **_):
        nonlocal count
        count += event.endswith("backend_compile_duration")

    @contextlib.contextmanager
    def counting():
        start, result = count, {}
        yield result
        result["count"] = count - start

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield counting
    jax.monitoring.unregister_event_duration_listener(listen)


def test_compilations_are_counted(compilations):
    with compilations() as compiled:
        jax.jit(lambda x: x * 3 + 1)(1.0).block_until_ready()
    assert compiled["count"] >= 1


@pytest.mark.parametrize(("call", "error", "says"), STATIC.values(), ids=STATIC)
def test_static_faults_raise_before_anything_is_compiled(call, error, says, compilations):
    with compilations() as compiled, pytest.raises(error, match=says):
        call()
    assert compiled["count"] == 0


NAN, INF = X.at[1, 2].set(jnp.nan), Y.at[1].set(jnp.inf)

# What is wrong is in the values, or in what a function returns.
DATA = {
    "X": (lambda: ridge(X=NAN), "X must be finite, got 1 NaN or inf among 18 entries"),
    "y": (lambda: ridge(y=INF), "y must be finite, got 1 NaN or inf among 6 entries"),
    "features X": (lambda: PHI(NAN), "X must be finite"),
    "prediction": (lambda: ridge()(NAN), "X must be finite"),
    "prediction columns": (lambda: ridge()(X[:, :2]), "X must have 3 columns"),
    "prediction of features": (lambda: ridge(PHI)(X[:, :2]), "X must have 3 columns"),
    "flow X": (lambda: flow(X=NAN), "X must be finite"),
    "flow y": (lambda: flow(y=INF), "y must be finite"),
    "flow prediction": (lambda: flow()(1.0, NAN), "X must be finite"),
    "flow columns": (lambda: flow()(1.0, X[:, :2]), "X must have 3 columns"),
    "flow time": (lambda: flow()(-1.0), "t must be >= 0"),
    "flow time nan": (lambda: flow()(np.nan), "t must be >= 0"),
    "flow times": (lambda: flow()(np.array([1.0, -1.0])), "t must be >= 0"),
    "flow matrix of times": (lambda: flow()(np.ones((2, 2))), r"t must be a scalar or have shape \[T\]"),
    "flow full kernel": (lambda: flow(full_kernel()), "outputs='mean'"),
    "ridge full kernel": (lambda: ridge(full_kernel()), "outputs='mean'"),
    "train X": (lambda: train(data=(NAN, Y)), "X must be finite"),
    "train y": (lambda: train(data=(X, INF)), "y must be finite"),
    "run columns": (lambda: train(record=3)(X[:, :2]), "X must have 3 columns"),
    "run X": (lambda: train(record=3)(NAN), "X must be finite"),
    "risk outputs": (
        lambda: rf.population_risk(lambda X: X, TASK, key=KEY, samples=9),
        "predictor must return one value a point",
    ),
    "risk scalar": (
        lambda: rf.population_risk(lambda X: X.sum(), TASK, key=KEY, samples=9),
        "predictor must return one value a point",
    ),
}


@pytest.mark.parametrize(("call", "says"), DATA.values(), ids=DATA)
def test_faults_in_the_data_raise(call, says):
    with pytest.raises(ValueError, match=says):
        call()


# Concrete JAX arrays inside a compiled function: their values are known, and there is nothing wrong with them.
CLOSED_OVER = {
    "kernel": lambda s: KERNEL(X) * s,
    "features": lambda s: PHI(X) * s,
    "ridge": lambda s: ridge(y=Y * s)(X),
    "targets": lambda s: ridge(X=X * s).coefficients,
    "network": lambda s: NET.apply(PARAMS, X) * s,
    "time": lambda s: flow(X=X * s, y=Y * s)(jnp.asarray(1.0)),
    "task": lambda s: TASK(X) * s,
    "direction": lambda s: rf.tasks.single_neuron(3, direction=W).direction * s,
}


@pytest.mark.parametrize("function", CLOSED_OVER.values(), ids=CLOSED_OVER)
def test_compiled_functions_may_close_over_their_data(function):
    np.testing.assert_allclose(jax.jit(function)(1.0), function(1.0), rtol=1e-12)


def test_integers_in_lists_are_refused_and_floats_taken():
    np.testing.assert_array_equal(checks.floating("X", [[1.0, 2.0]]), [[1.0, 2.0]])
    with pytest.raises(TypeError, match=r"X must have a floating dtype, got int64: convert it, .* X.astype\(float\)"):
        checks.floating("X", [[1, 2]])


def test_legacy_keys_are_keys():
    typed, raw = checks.prng_key("key", KEY), checks.prng_key("key", jax.random.PRNGKey(0))
    np.testing.assert_array_equal(jax.random.key_data(typed), jax.random.key_data(raw))
    assert checks.prng_key("key", jax.vmap(jax.random.PRNGKey)(jnp.arange(3)), batched=True).shape == (3,)
