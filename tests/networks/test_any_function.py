"""Anything with values at (params, X) is a network where only values are needed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfjax.networks import as_function, mlp, outputs_2d

X = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)))


def linear(params, X):
    return X @ params


class Applies:
    """Another library's module: it has `apply`."""

    def apply(self, params, X):
        return X @ params


def test_a_network_and_its_function_agree():
    net = mlp(depth=1, width=3, out=3)
    params = net.init(jax.random.key(0), 3)
    np.testing.assert_array_equal(as_function(net)(params, X), net.apply(params, X))


@pytest.mark.parametrize(
    "net", [linear, Applies(), jax.tree_util.Partial(linear)], ids=["function", "apply", "partial"]
)
def test_functions_and_objects_with_apply(net):
    params = jnp.asarray([1.0, -2.0, 0.5])
    function = as_function(net)
    np.testing.assert_allclose(function(params, X), np.asarray(X) @ np.array([1.0, -2.0, 0.5]), rtol=1e-14)
    # It is a pytree, so that it can be an argument of a compiled function.
    np.testing.assert_allclose(jax.jit(lambda f, p, x: f(p, x))(function, params, X), function(params, X), rtol=1e-14)


@pytest.mark.parametrize("bad", [3, None, "net"])
def test_anything_else_raises(bad):
    with pytest.raises(TypeError, match="net must be a network or a function"):
        as_function(bad)


def test_outputs_are_columns():
    assert outputs_2d(linear, jnp.ones(3), X).shape == (4, 1)
    assert outputs_2d(linear, jnp.ones((3, 2)), X).shape == (4, 2)


@pytest.mark.parametrize(
    "function", [lambda p, x: x.sum(), lambda p, x: x[:2], lambda p, x: x[:, :, None], lambda p, x: None]
)
def test_outputs_of_the_wrong_shape_raise(function):
    with pytest.raises(ValueError, match="network must return"):
        outputs_2d(function, None, X)
