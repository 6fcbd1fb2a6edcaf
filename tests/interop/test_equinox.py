"""Models of Equinox against their own Jacobians."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rfjax as rf
from rfjax.interop.equinox import from_equinox

X = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)))
KEY = jax.random.key(0)


def network(key):
    return eqx.nn.MLP(3, 2, 5, 2, activation=jnp.tanh, key=key)


class Normed(eqx.Module):
    dense: eqx.nn.Linear
    norm: eqx.nn.BatchNorm

    def __call__(self, x, state):
        x, state = self.norm(self.dense(x), state)
        return jnp.tanh(x), state


def test_an_equinox_model_has_the_kernel_of_its_jacobian_and_trains():
    model = from_equinox(network, key=KEY)
    np.testing.assert_array_equal(model.apply(model.params, X), jax.vmap(network(KEY))(X))
    J = jax.tree.leaves(jax.jit(jax.jacfwd(model.apply))(model.params, X))
    J = np.concatenate([np.asarray(leaf).reshape(4, 2, -1) for leaf in J], axis=2)
    expected = np.einsum("iap,jap->ij", J, J) / 2
    k = rf.empirical_ntk(model, model.params, method="structured")
    assert len(k.plan(X).parts[0].kept.factored) == 3
    np.testing.assert_allclose(k(X), expected, rtol=0, atol=1e-12 * expected.max())
    last = rf.empirical_ntk(model, model.params, parameters="layers/2")
    assert {"layers/0", "layers/1", "layers/2"} == set(k.layers())
    assert last.chosen == (False,) * 4 + (True,) * 2
    with jax.numpy_dtype_promotion("standard"):
        run = rf.train(model, (X, jnp.sin(X[:, :2])), optimizer=optax.sgd(0.1), steps=20, key=jax.random.key(1))
    assert float(run.history.loss[-1]) < float(run.history.loss[0])


def test_batch_statistics_are_held_fixed():
    def normed(key):
        return Normed(eqx.nn.Linear(3, 2, key=key), eqx.nn.BatchNorm(2, "batch", mode="ema"))

    made, state = eqx.nn.make_with_state(normed)(KEY)
    with pytest.raises(ValueError, match="inference_mode"):
        from_equinox(made)
    made = eqx.nn.inference_mode(made)
    with pytest.raises(ValueError, match="state="):
        from_equinox(made)
    model = from_equinox(made, state=state)
    expected = jax.vmap(lambda x: made(x, state)[0])(X)
    np.testing.assert_array_equal(model.apply(model.params, X), expected)


def test_what_cannot_be_a_function_is_said():
    with pytest.raises(ValueError, match="Dropout"):
        from_equinox(eqx.nn.Dropout(0.5))
    with pytest.raises(ValueError, match="key is required"):
        from_equinox(network)
    with pytest.raises(ValueError, match="ready-made"):
        from_equinox(network(KEY)).init(KEY)
    with pytest.raises(ValueError, match="3 columns"):
        from_equinox(network(KEY), shape=(3,)).apply(network(KEY), jnp.ones((2, 4)))
    with pytest.raises(TypeError, match=r"eqx\.Module"):
        from_equinox(3)
