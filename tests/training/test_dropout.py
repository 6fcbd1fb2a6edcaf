"""Training a network with Dropout: new masks at every step, and none in what is recorded or predicted."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rfjax as rf

X = np.array([[1.0, -0.5, 0.3], [0.2, 0.8, -1.1]])
Y = np.array([0.7, -0.4])
RATE, LEARNING_RATE, SEEDS = 0.4, 0.1, 4000
NET = rf.Serial(rf.Dropout(RATE), rf.Dense(1, 3**0.5))  # f(x) = ⟨w, x⟩, its inputs dropped
W = np.array([0.5, -1.0, 0.8])


def train(net=NET, data=(X, Y), *, seeds, **settings):
    weight = jnp.broadcast_to(jnp.asarray(W), (seeds, 1, 3))
    settings = {"key": jax.random.split(jax.random.key(0), seeds), "steps": 1} | settings
    return rf.train(net, data, optimizer=optax.sgd(LEARNING_RATE), params=({}, {"weight": weight}), **settings)


@pytest.mark.parametrize("batch_size", [None, 2])
def test_a_step_descends_on_the_expected_loss(batch_size, monte_carlo):
    run = train(seeds=SEEDS, batch_size=batch_size)
    # E over masks of ½·mean (f − y)² is that of the whole network plus ½·rate/keep·Σ_j w_j²·mean x_j² (Wager et al. 2013).
    residual = X @ W - Y
    gradient = X.T @ residual / 2 + RATE / (1 - RATE) * W * (X**2).mean(axis=0)
    monte_carlo(run.params[1]["weight"][:, 0], W - LEARNING_RATE * gradient, resolution=0.01)
    np.testing.assert_allclose(run.history.loss[:, 0], (residual**2).mean() / 2, rtol=1e-12)
    after = np.einsum("nd,sd->sn", X, np.asarray(run.params[1]["weight"])[:, 0])
    np.testing.assert_allclose(run(X), after, rtol=1e-12)


def test_masks_are_new_at_every_step_and_repeatable():
    runs = [train(seeds=50, steps=3, record=1) for _ in range(2)]
    np.testing.assert_array_equal(runs[0].params[1]["weight"], runs[1].params[1]["weight"])
    losses = np.asarray(runs[0].history.loss)
    counts = [np.unique(column).size for column in losses.T]
    assert counts[0] == 1 and counts[1] > 10  # 64 pairs of masks for the two points
    assert counts[2] > 40  # and as many again for the second step


def test_dropout_needs_a_key():
    with pytest.raises(ValueError, match="key is required: initial parameters, batches or Dropout are random"):
        train(seeds=1, key=None)
