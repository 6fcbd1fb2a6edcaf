"""The lower bound, averaged over directions, holds for every predictor whose functions were chosen without the direction.

And it does not hold for trained networks, as it need not.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rfjax as rf
from rfjax import activations, tasks
from rfjax.theory import risk_lower_bound

D, N, DIRECTIONS, TEST = 20, 60, 48, 4000


def family(bias=0.0, activation=activations.relu):
    """One neuron in many directions: a task, and its values [n, directions] on X."""
    task = tasks.single_neuron(D, bias=bias, activation=activation)
    w = jax.random.normal(jax.random.key(7), (DIRECTIONS, D))
    w = w / jnp.linalg.norm(w, axis=1, keepdims=True)
    return task, lambda X: activation(X @ w.T + bias)


def stairs(leaps):
    task = tasks.staircase(D, leaps)
    keys = jax.random.split(jax.random.key(7), DIRECTIONS)
    turned = [tasks.staircase(D, leaps, key=key) for key in keys]
    return task, lambda X: jnp.stack([t(X) for t in turned], axis=1)


def error(model, target, variance, *, n, ridge, key):
    """Relative error over directions of a ridge fit of all of them at once, and its standard error."""
    X = jax.random.normal(jax.random.key(key), (n, D))
    X_test = jax.random.normal(jax.random.key(key + 1), (TEST, D))
    fit = rf.ridge_regression(model, X, target(X), ridge=ridge)
    squares = np.asarray((fit(X_test) - target(X_test)) ** 2) / variance
    return squares.mean(), math.hypot(
        squares.mean(axis=0).std() / DIRECTIONS**0.5, squares.mean(axis=1).std() / TEST**0.5
    )


def holds(model, r, task, target, *, n, ridge=1e-3, key=0, idle=8.0):
    found, stderr = error(model, target, task.variance, n=n, ridge=ridge, key=key)
    bound = risk_lower_bound(task, r)
    assert stderr < 0.1 * found
    assert found > bound - 3 * stderr, (found, bound, stderr)
    assert idle is None or found < idle * bound, "the bound says nothing here"


def features(kind, width, key=1):
    net = rf.mlp(depth=1, width=width, b_std=0.3)
    if kind == "frozen":
        return rf.random_features(net, D, key=jax.random.key(key)), width + 1
    params = rf.mlp(depth=1, width=width, b_std=0.3).init(jax.random.key(key), D)
    return rf.tangent_features(net, params), sum(leaf.size for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize(("kind", "width"), [pytest.param("frozen", 40, marks=pytest.mark.slow), ("tangent", 6)])
def test_fixed_features(kind, width):
    task, target = family()
    model, r = features(kind, width)
    holds(model, r, task, target, n=1500)


def test_kernel_ridge_regression():
    task, target = family(-0.5)
    holds(rf.rbf(4.0), N, task, target, n=N, ridge=1e-2)


def test_a_trained_neuron_breaks_it():
    """On the samples on which no kernel gets below the bound, gradient descent finds the neuron."""
    d, n = 30, 300
    task = tasks.single_neuron(d, bias=-0.5, key=jax.random.key(0))
    X, y = task.sample(jax.random.key(1), n)
    run = rf.train(rf.neuron(), (X, y), optimizer=optax.sgd(1.0), steps=400, key=jax.random.key(2))
    bound = risk_lower_bound(task, n)
    assert bound > 0.1
    assert float(rf.population_risk(run, task).relative) < 0.01 * bound


kernels = {
    "rbf": lambda: rf.rbf(3.0),
    "laplace": lambda: rf.laplace(5.0),
    "polynomial": lambda: rf.polynomial(3, 0.1),
    "nngp": lambda: rf.nngp(rf.mlp(depth=1, width=1, b_std=0.3)),
    "ntk": lambda: rf.ntk(rf.mlp(depth=2, width=1, b_std=0.3)),
    "erf": lambda: rf.ntk(rf.mlp(depth=1, width=1, activation=activations.erf)),
}
targets = {
    "relu": family,
    "biased": lambda: family(-1.0),
    "step": lambda: family(0.3, activations.step),
    "stairs": lambda: stairs((1, 1)),
    "jump": lambda: stairs((1, 2)),
}


@pytest.mark.slow
@pytest.mark.parametrize("kernel", kernels)
@pytest.mark.parametrize("target", targets)
def test_every_kernel_and_target(kernel, target):
    task, values = targets[target]()
    for n in (20, 200):
        for ridge in (1e-3, 1.0):
            holds(kernels[kernel](), n, task, values, n=n, ridge=ridge, key=n, idle=None)


@pytest.mark.slow
@pytest.mark.parametrize("target", targets)
def test_every_feature_map_and_target(target):
    task, values = targets[target]()
    for kind, width in (("frozen", 10), ("frozen", 150), ("tangent", 4), ("tangent", 16)):
        model, r = features(kind, width)
        holds(model, r, task, values, n=3000, key=width, idle=None)
