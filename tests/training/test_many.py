"""Seeds, learning rates and momenta in one program: each run is the one that it would be alone."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rfjax as rf

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(12, 3)), RNG.normal(size=12)
KEYS = jax.random.split(jax.random.key(0), 2)
RATES, MOMENTA = np.array([0.01, 0.1, 0.3]), [0.0, 0.9]
FIXED = {"steps": 8, "record": 4, "batch_size": 4}


def rate_and_momentum(rate, momentum):
    return optax.sgd(rate, momentum=momentum)


@pytest.fixture(scope="module")
def grid() -> rf.Run:
    settings = {"rate": RATES, "momentum": MOMENTA}
    metrics = {"weight": lambda params: params["weight"]}
    return rf.train(
        rf.neuron(), (X, Y), optimizer=rate_and_momentum, settings=settings, key=KEYS, metrics=metrics, **FIXED
    )


def test_every_run_is_the_one_alone(grid):
    assert grid.axes.names == ("seed", "rate", "momentum")
    assert grid.axes.shape == grid.steps.shape == grid.diverged.shape == (2, 3, 2)
    assert grid.history.loss.shape == (2, 3, 2, 3)
    assert grid(X[:5]).shape == (2, 3, 2, 5)
    assert grid.history.metrics["weight"].shape == (2, 3, 2, 3, 3)
    for place in ((0, 0, 1), (1, 2, 0), (1, 1, 1)):
        optimizer = optax.sgd(RATES[place[1]], momentum=MOMENTA[place[2]])
        alone = rf.train(rf.neuron(), (X, Y), optimizer=optimizer, key=KEYS[place[0]], **FIXED)
        np.testing.assert_allclose(grid.params["weight"][place], alone.params["weight"], rtol=1e-11)
        np.testing.assert_allclose(grid.history.loss[place], alone.history.loss, rtol=1e-11)
        np.testing.assert_allclose(grid(X)[place], alone(X), rtol=1e-10, atol=1e-12)
        np.testing.assert_array_equal(grid.start["weight"][place], alone.start["weight"])


def test_the_history_is_a_table(grid):
    table = grid.history.table()
    assert list(table.columns) == ["seed", "rate", "momentum", "step", "loss", "weight[0]", "weight[1]", "weight[2]"]
    assert len(table) == 12 * 3
    line = table[(table.seed == 1) & (table.rate == 0.3) & (table.momentum == 0.9) & (table.step == 8)]
    assert line.loss.item() == float(grid.history.loss[1, 2, 1, 2])
    assert line["weight[1]"].item() == float(grid.history.metrics["weight"][1, 2, 1, 1, 2])


@pytest.mark.slow
def test_risks_have_the_axes_of_their_runs(grid):
    task = rf.tasks.single_neuron(3, bias=-1.0)
    risk = rf.population_risk(grid, task)
    sampled = rf.population_risk(lambda points: grid(points), task, key=KEYS[0], samples=1000)
    assert risk.value.shape == sampled.value.shape == (2, 3, 2)
    assert (np.abs(risk.value - sampled.value) < 4.5 * np.asarray(sampled.stderr)).all()


def test_without_a_vector_of_keys_settings_share_one_start():
    start = {"weight": jnp.asarray(RNG.normal(size=3)), "bias": jnp.zeros(())}
    run = rf.train(
        rf.neuron(), (X, Y), optimizer=optax.sgd, settings={"learning_rate": [0.1, 0.2]}, params=start, steps=1
    )
    assert run.axes.names == ("learning_rate",)
    moved = np.asarray(run.params["weight"]) - np.asarray(start["weight"])
    np.testing.assert_allclose(moved[1], 2 * moved[0], rtol=1e-12)
    assert np.abs(moved).min() > 0


def test_seeds_in_pieces_are_the_ones_alone(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    keys = jax.random.split(jax.random.key(1), 50)
    arguments = {"optimizer": optax.sgd(0.05, momentum=0.9), "batch_size": 4, "steps": 150, "record": 37}
    net = rf.mlp(depth=1, width=5, activation=jnp.tanh)
    many = rf.train(net, (X, Y), key=keys, **arguments)
    assert many.history.loss.shape == (50, 6)
    for i in (0, 15, 16, 33, 49):  # on both sides of where three pieces are cut
        alone = rf.train(net, (X, Y), key=keys[i], **arguments)
        np.testing.assert_allclose(many(X[:5])[i], alone(X[:5]), rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(many.history.loss[i], alone.history.loss, rtol=1e-9)


def test_what_is_drawn_is_of_the_step_whatever_is_recorded():
    task = rf.tasks.single_neuron(3, bias=-1.0)
    often, seldom = (
        rf.train(rf.neuron(), task, batch_size=4, optimizer=optax.sgd(0.1), steps=150, key=KEYS[0], record=record)
        for record in (7, [100])
    )
    np.testing.assert_array_equal(often.params["weight"], seldom.params["weight"])


def test_float32_runs_stay_float32():
    data = X.astype(np.float32), Y.astype(np.float32)
    run = rf.train(rf.neuron(), data, optimizer=optax.sgd, settings={"learning_rate": [0.1, 0.2]}, key=KEYS[0], steps=1)
    assert run.params["weight"].dtype == run.history.loss.dtype == np.float32


@pytest.mark.parametrize(
    ("optimizer", "settings", "error", "message"),
    [
        (optax.sgd(0.1), {"learning_rate": [0.1]}, TypeError, "optimizer must be a function of them that makes one"),
        (optax.sgd, None, TypeError, "a function that makes one goes with settings="),
        (optax.sgd, {}, TypeError, "settings must map arguments of the optimizer"),
        (optax.sgd, {"learning_rate": 0.1}, ValueError, r"got shape \[\] for 'learning_rate'"),
        (optax.sgd, {"learning_rate": ["fast"]}, TypeError, "settings must be vectors of numbers"),
        (optax.sgd, {"learning_rate": [np.nan]}, ValueError, "settings must be finite"),
    ],
)
def test_bad_settings_raise(optimizer, settings, error, message):
    with pytest.raises(error, match=message):
        rf.train(rf.neuron(), (X, Y), optimizer=optimizer, settings=settings, key=KEYS[0], steps=1)
