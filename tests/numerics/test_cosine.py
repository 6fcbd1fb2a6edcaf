"""The fast cosine against NumPy's in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfjax.numerics import cosine

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("size", "most"), [(4.0, 4e-7), (1e3, 4e-7), (1e5, 4e-6)])
@pytest.mark.parametrize("half_turns", [0.0, 0.5, -0.5, 1.0])
def test_float32_is_right_to_the_error_that_is_stated(size, most, half_turns):
    z = RNG.uniform(-size, size, 200_000).astype(np.float32)
    expected = np.cos(z.astype(float) - np.pi * half_turns)
    assert np.abs(np.asarray(cosine(z, half_turns)) - expected).max() < most


def test_beyond_the_digits_of_float32_it_errs_as_rounding_its_argument_does():
    z = np.concatenate([RNG.uniform(-1e7, 1e7, 100_000), 10.0 ** RNG.uniform(7, 38, 1000)]).astype(np.float32)
    values = np.asarray(cosine(z))
    assert np.abs(values).max() <= 1 + 4e-7
    error = np.abs(values - np.cos(z.astype(float)))
    assert (error <= 4e-7 + 1.2e-7 * np.abs(z)).all()


def test_both_waves_in_one_pass():
    z = RNG.normal(size=(5, 1, 7)).astype(np.float32)
    both = cosine(z, np.array([[0.0], [0.5]], np.float32))
    np.testing.assert_allclose(both[:, 0], np.cos(z[:, 0]), rtol=0, atol=4e-7)
    np.testing.assert_allclose(both[:, 1], np.sin(z[:, 0]), rtol=0, atol=4e-7)


def test_its_derivatives_are_those_of_the_cosine(dtype):
    z = RNG.normal(size=9).astype(dtype)
    first, second = jax.vmap(jax.grad(cosine)), jax.vmap(jax.grad(jax.grad(cosine)))
    tolerance = 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(first(z), -np.sin(z.astype(float)), rtol=0, atol=tolerance)
    np.testing.assert_allclose(second(z), -np.cos(z.astype(float)), rtol=0, atol=tolerance)
    by_turns = jax.grad(lambda h: cosine(jnp.asarray(0.3, dtype), h))(jnp.asarray(0.2, dtype))
    assert float(by_turns) == pytest.approx(np.pi * np.sin(0.3 - 0.2 * np.pi), rel=1e-5)


def test_float64_is_float64():
    z = RNG.normal(size=9) * 10
    np.testing.assert_allclose(cosine(z, 0.5), np.sin(z), rtol=0, atol=1e-14)
