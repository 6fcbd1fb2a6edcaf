"""Models of Flax against their own Jacobians."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rfjax as rf

pytest.importorskip("flax")
from flax import linen, nnx

from rfjax.interop.flax import from_linen, from_nnx

X = jnp.asarray(np.random.default_rng(0).normal(size=(4, 16)), jnp.float32)
KEY = jax.random.key(0)


@pytest.fixture(autouse=True)
def _promotion():
    with jax.numpy_dtype_promotion("standard"):  # flax needs it
        yield


class Convolutional(nnx.Module):
    def __init__(self, rngs):
        self.convolution = nnx.Conv(1, 3, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(3, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.dense = nnx.Linear(48, 2, rngs=rngs)

    def __call__(self, x):
        x = self.dropout(jnp.tanh(self.norm(self.convolution(x))))
        return self.dense(x.reshape(x.shape[0], -1))


class Dense(linen.Module):
    train: bool = False
    rate: float = 0.0

    @linen.compact
    def __call__(self, x):
        x = linen.BatchNorm(use_running_average=not self.train)(linen.Dense(5)(x))
        x = linen.Dropout(self.rate, deterministic=False)(jnp.tanh(x))
        return linen.Dense(2)(x)


class Plain(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.Dense(1)(jnp.tanh(linen.Dense(5)(x)))


def by_jacobian(f, params):
    J = jax.tree.leaves(jax.jit(jax.jacfwd(f))(params, X))
    J = np.concatenate([np.asarray(leaf, np.float64).reshape(len(X), 2, -1) for leaf in J], axis=2)
    return np.einsum("iap,jap->ij", J, J) / 2


def test_a_convolutional_nnx_model_has_the_kernel_of_its_jacobian():
    own = Convolutional(nnx.Rngs(KEY))
    own.eval()
    model = from_nnx(own, shape=(4, 4, 1))
    np.testing.assert_array_equal(model.apply(model.params, X), own(X.reshape(-1, 4, 4, 1)))
    k = rf.empirical_ntk(model, model.params, method="structured")
    kept = k.plan(X).parts[0].kept
    assert [use.convolution for use in sorted(kept.factored + kept.formed)] == [True, False]
    expected = by_jacobian(model.apply, model.params)
    np.testing.assert_allclose(k(X), expected, rtol=0, atol=1e-5 * expected.max())
    with pytest.raises(ValueError, match="ready-made"):
        model.init(KEY, 16)


def test_a_linen_model_keeps_its_statistics():
    variables = Dense().init(KEY, X)
    variables["batch_stats"] = jax.tree.map(lambda v: v + 0.3, variables["batch_stats"])
    model = from_linen(Dense(), variables=variables)
    np.testing.assert_array_equal(model.apply(model.params, X), Dense().apply(variables, X))
    expected = by_jacobian(model.apply, model.params)
    np.testing.assert_allclose(rf.empirical_ntk(model, model.params)(X), expected, rtol=0, atol=1e-5 * expected.max())


def test_flax_models_train_and_are_drawn_from_keys():
    y = jnp.sin(X[:, 0])
    model = from_linen(Plain(), 16, key=KEY)
    run = rf.train(model, (X, y), optimizer=optax.sgd(0.1), steps=20, params=model.params)
    assert float(run.history.loss[-1]) < float(run.history.loss[0])
    again = from_nnx(Convolutional, key=KEY, shape=(4, 4, 1))
    drawn, first = again.init(jax.random.key(1), 16), again.params
    assert jax.tree.structure(drawn) == jax.tree.structure(first)
    assert not np.allclose(drawn["dense"]["kernel"], first["dense"]["kernel"])
    linear = rf.linearize(model, model.params)
    np.testing.assert_allclose(linear(model.params, X), model.apply(model.params, X), rtol=1e-6)


def train(module, **settings):
    return rf.train(module, (X, X[:, 0]), optimizer=optax.sgd(0.1), steps=1, **settings)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: from_nnx(Convolutional(nnx.Rngs(KEY))), r"model\.eval\(\)"),
        (lambda: from_nnx(nnx.Dropout(0.5, rngs=nnx.Rngs(KEY))), "Dropout"),
        (lambda: from_nnx(Convolutional), "key is required"),
        (lambda: from_linen(Dense(), 16, key=KEY), "state beside"),
        (lambda: from_linen(Plain(), 16), "variables="),
        (lambda: from_linen(Plain(), key=KEY), "in_dim"),
        (lambda: from_linen(Dense(rate=0.5), 16, variables=Dense().init(KEY, X)), "Dropout"),
        (lambda: from_linen(Dense(train=True), 16, variables=Dense().init(KEY, X)), "batch statistics"),
        (lambda: from_nnx(Convolutional, key=KEY, shape=(4, 4, 1)).init(KEY, 17), "in_dim must be 16"),
        (lambda: rf.empirical_ntk(Dense(), Dense().init(KEY, X)), "batch statistics"),
        (lambda: rf.linearize(Dense(), Dense().init(KEY, X)), "batch statistics"),
        (lambda: train(Dense(), params=Dense().init(KEY, X)), "batch statistics"),
        (lambda: train(Plain(), key=KEY), "from_linen"),
    ],
)
def test_what_cannot_be_a_function_is_said(make, says):
    with pytest.raises(ValueError, match=says):
        make()
