"""Diagnostics against their formulas in NumPy, in the compiled loop of two seeds and on the finished run."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rfjax as rf
from rfjax import diagnostics

RNG = np.random.default_rng(0)
X, Z = RNG.normal(size=(10, 3)), RNG.normal(size=(7, 3))
TASK = rf.tasks.relu_teacher(RNG.normal(size=(2, 3)), bias=0.3)
NET = rf.mlp(depth=1, width=6, b_std=0.4)
KEYS = jax.random.split(jax.random.key(0), 2)
TARGETS = np.asarray(TASK(Z))
METRICS = {
    "distance": diagnostics.Distance(),
    "length": diagnostics.Distance(relative=False),
    "drift": diagnostics.KernelDrift(NET, Z),
    "turn": diagnostics.KernelDrift(NET, Z, "alignment"),
    "target": diagnostics.TargetAlignment(NET, Z, TARGETS),
    "gap": diagnostics.LinearizationGap(NET, Z),
    "rank": diagnostics.FeatureRank(NET, Z),
    "participation": diagnostics.FeatureRank(NET, Z, "participation"),
    "teacher": diagnostics.TeacherAlignment(NET, TASK),
}


@pytest.fixture(scope="module")
def run() -> rf.Run:
    return rf.train(NET, (X, TASK(X)), optimizer=optax.sgd(0.3), steps=20, key=KEYS, record=20, metrics=METRICS)


def network(theta, points=Z):
    """The network and its features by hand, from the flat parameters (b, W, c, v)."""
    b, W, c, v = theta[:6], theta[6:24].reshape(6, 3), theta[24], theta[25:]
    h = np.maximum((2 / 3) ** 0.5 * points @ W.T + 0.4 * b, 0)
    return (2 / 6) ** 0.5 * h @ v + 0.4 * c, h


def flat(params, seed):
    return np.concatenate([np.asarray(leaf[seed]).ravel() for leaf in jax.tree.leaves(params)])


def jacobian(theta):
    """By central differences: the network is piecewise quadratic, and they are exact on each piece."""
    step = 1e-6 * np.eye(31)
    return np.stack([(network(theta + e)[0] - network(theta - e)[0]) / 2e-6 for e in step], axis=1)


@pytest.mark.parametrize("seed", [0, 1])
def test_records_are_the_formulas(run, seed):
    start, end = (flat(params, seed) for params in (run.start, run.params))
    got = {name: np.asarray(values)[seed, ..., -1] for name, values in run.history.metrics.items()}
    begun = {name: np.asarray(values)[seed, ..., 0] for name, values in run.history.metrics.items()}
    layers = [slice(0, 24), slice(24, 31)]
    lengths = [np.linalg.norm((end - start)[layer]) for layer in layers]
    np.testing.assert_allclose(got["length"], lengths, rtol=1e-10)
    np.testing.assert_allclose(
        got["distance"], [r / np.linalg.norm(start[s]) for r, s in zip(lengths, layers, strict=True)]
    )
    before, after = (J @ J.T for J in map(jacobian, (start, end)))
    assert got["drift"] == pytest.approx(np.linalg.norm(after - before) / np.linalg.norm(before), rel=1e-6)
    cosine = (after * before).sum() / np.linalg.norm(after) / np.linalg.norm(before)
    assert got["turn"] == pytest.approx(1 - cosine, rel=1e-6)
    H = np.eye(7) - 1 / 7
    y = H @ TARGETS
    centred = H @ after @ H
    assert got["target"] == pytest.approx(y @ centred @ y / np.linalg.norm(centred) / (y @ y), rel=1e-6)
    f, h = network(end)
    linear = network(start)[0] + jacobian(start) @ (end - start)
    assert got["gap"] == pytest.approx(((f - linear) ** 2).mean() ** 0.5, rel=1e-6)
    sigma = np.linalg.svd(h, compute_uv=False)
    p = sigma[sigma > 0] / sigma.sum()
    assert got["rank"] == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-9)
    assert got["participation"] == pytest.approx((sigma**2).sum() ** 2 / (sigma**4).sum(), rel=1e-9)
    w, v = end[6:24].reshape(6, 3), np.asarray(TASK.weight)
    cosines = v @ w.T / np.linalg.norm(v, axis=1)[:, None] / np.linalg.norm(w, axis=1)
    np.testing.assert_allclose(got["teacher"], np.abs(cosines).max(axis=1), rtol=1e-10)
    for name in ("distance", "length", "drift", "turn", "gap"):
        np.testing.assert_allclose(begun[name], 0, atol=1e-12)
    assert got["drift"] > 0.01 and got["gap"] > 1e-3


def test_finished_runs_and_single_networks_give_the_same(run):
    for name in ("distance", "gap"):
        np.testing.assert_allclose(METRICS[name].of(run), run.history.metrics[name][..., -1], rtol=1e-9)
        one = [jax.tree.map(lambda leaf: leaf[1], params) for params in (run.params, run.start)]
        np.testing.assert_allclose(METRICS[name](*one), METRICS[name].of(run)[1], rtol=1e-9)
    table = run.history.table()
    assert {"distance[0]", "distance[1]", "gap", "teacher[1]"} <= set(table.columns)


def test_layers_of_any_pytree():
    tree = {"model": {"in": {"w": jnp.ones(4), "b": jnp.zeros(2)}, "none": (), "out": jnp.ones((2, 2))}}
    moved = jax.tree.map(lambda leaf: leaf + 1, tree)
    np.testing.assert_allclose(diagnostics.Distance()(moved, tree), [6**0.5 / 2, 1])
    np.testing.assert_allclose(diagnostics.Distance()(jnp.full(3, 2.0), jnp.ones(3)), [1])
    np.testing.assert_allclose(diagnostics.Distance()([jnp.ones(1), jnp.zeros(1)], [jnp.zeros(1)] * 2), [np.inf, 0])


def test_ranks_of_known_features(dtype):
    rank = [diagnostics.FeatureRank(lambda params, X: X * params, Z[:2], m) for m in ("entropy", "participation")]
    for of in rank:
        points = jnp.asarray([[2.0, 0, 0], [0, 2, 0]])
        flat, line = (
            rf.diagnostics.FeatureRank(of.features, P, of.measure) for P in (points, points.at[1].set(points[0]))
        )
        params = jnp.ones((), dtype)
        assert float(flat(params, params)) == pytest.approx(2, rel=1e-5)
        assert float(line(params, params)) == pytest.approx(1, rel=1e-5)
        assert flat(params, params).dtype == dtype


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: diagnostics.KernelDrift(NET, Z, "angle"), ValueError, "measure must be one of frobenius, alignment"),
        (lambda: diagnostics.KernelDrift(NET, Z[0]), ValueError, "X must have shape"),
        (lambda: diagnostics.TargetAlignment(NET, Z, np.ones(7)), ValueError, "y must not be the same at all points"),
        (lambda: diagnostics.TargetAlignment(NET, Z, np.ones((7, 1))), ValueError, r"y must have shape \[n\]"),
        (lambda: diagnostics.FeatureRank(3, Z), TypeError, "net must be a Serial network or a function"),
        (lambda: diagnostics.FeatureRank(NET, Z, "soft"), ValueError, "measure must be one of entropy, participation"),
        (
            lambda: diagnostics.TeacherAlignment(NET, rf.tasks.polynomial(3, 2, key=KEYS[0])),
            TypeError,
            "task must be made of neurons",
        ),
        (
            lambda: diagnostics.TeacherAlignment(rf.mlp(depth=2, width=3), TASK)(
                rf.mlp(depth=2, width=3).init(KEYS[0], 3), None
            ),
            TypeError,
            "net must be rf.neuron or a network with one hidden layer",
        ),
    ],
)
def test_bad_diagnostics_raise(make, error, message):
    with pytest.raises(error, match=message):
        make()
