"""One wording for bad input: every message names the argument, what it was and what it must be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfjax import checks

KEY = jax.random.key(0)
NAN = float("nan")


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: checks.floating("X", np.ones(3, int)), TypeError, "X must have a floating dtype, got int64"),
        (lambda: checks.floating("X", [True, False]), TypeError, "X must have a floating dtype, got bool"),
        (lambda: checks.floating("X", [1j]), TypeError, "X must have a floating dtype, got complex128"),
        (lambda: checks.floating("X", "text"), TypeError, "X must"),
        (lambda: checks.floating("X", None), TypeError, "X must"),
        (lambda: checks.floating("X", [[1.0], [1.0, 2.0]]), TypeError, "X must be an array of floats, got list"),
        (lambda: checks.points("X", np.ones(3)), ValueError, r"X must have shape \[n, d\], got \[3\]"),
        (lambda: checks.points("X", np.float64(1.0)), ValueError, r"X must have shape \[n, d\], got \[\]"),
        (lambda: checks.points("X", np.ones((0, 2))), ValueError, r"one row and one column, got shape \[0, 2\]"),
        (
            lambda: checks.points("Y", np.ones((2, 3)), columns=4),
            ValueError,
            r"Y must have 4 columns, got shape \[2, 3\]",
        ),
        (
            lambda: checks.points("X", np.array([[NAN, 1.0, np.inf]])),
            ValueError,
            "X must be finite, got 2 NaN or inf among 3",
        ),
        (lambda: checks.targets("y", np.ones((2, 2, 2)), rows=2), ValueError, r"y must have shape \[n\] or \[n, c\]"),
        (lambda: checks.targets("y", np.ones((2, 0)), rows=2), ValueError, "c >= 1"),
        (lambda: checks.targets("y", np.ones(3), rows=2), ValueError, "got 3 rows for 2 points"),
        (lambda: checks.targets("y", np.array([NAN, 0.0]), rows=2), ValueError, "y must be finite"),
        (
            lambda: checks.outputs("net", np.ones((4, 2)), like=(5,)),
            ValueError,
            r"shape \[4, 2\], and y has shape \[5\]",
        ),
        (lambda: checks.outputs("net", np.ones(4), like=(5, 3)), ValueError, "net gives outputs"),
        (lambda: checks.outputs("net", np.ones((4, 1)), like=(5, 2)), ValueError, "net gives outputs"),
        (
            lambda: checks.number("ridge", -1.0, least=0.0),
            ValueError,
            r"ridge must be a finite number >= 0.0, got -1.0",
        ),
        (lambda: checks.number("s", 0.0, above=0.0), ValueError, "s must be a finite number > 0.0, got 0.0"),
        (lambda: checks.number("s", 2.0, above=0.0, most=1.0), ValueError, "> 0.0 and <= 1.0, got 2.0"),
        (lambda: checks.number("s", NAN), ValueError, "s must be a finite number, got nan"),
        (lambda: checks.number("s", np.inf), ValueError, "s must be a finite number, got inf"),
        (lambda: checks.number("s", True), TypeError, "s must be a real number, got True"),
        (lambda: checks.number("s", "1"), TypeError, "s must be a real number, got '1'"),
        (lambda: checks.number("s", [1.0]), TypeError, "s must be a real number"),
        (lambda: checks.number("s", 1 + 1j), TypeError, "s must be a real number"),
        (lambda: checks.number("s", 1 + 0j), TypeError, "s must be a real number"),
        (lambda: checks.number("s", None), TypeError, "s must be a real number, got None"),
        (lambda: checks.count("n", 0), ValueError, "n must be at least 1, got 0"),
        (lambda: checks.count("n", 2, least=3), ValueError, "n must be at least 3, got 2"),
        (lambda: checks.count("n", 2.0), TypeError, "n must be an integer, got 2.0"),
        (lambda: checks.count("n", True), TypeError, "n must be an integer, got True"),
        (lambda: checks.count("n", None), TypeError, "n must be an integer, got None"),
        (lambda: checks.choice("kind", "c", ("a", "b")), ValueError, "kind must be one of a, b; got 'c'"),
        (lambda: checks.choice("kind", None, ("a", "b")), ValueError, "kind must be one of a, b; got None"),
        (lambda: checks.prng_key("key", None), ValueError, "key is required here: the answer is random"),
        (lambda: checks.prng_key("key", 0), TypeError, "key must be a JAX random key .*got int"),
        (lambda: checks.prng_key("key", jnp.ones(2)), TypeError, "got an array of float64"),
        (lambda: checks.prng_key("key", jax.random.split(KEY, 3)), ValueError, r"one key .*got shape \[3\]"),
        (
            lambda: checks.prng_key("key", jax.random.split(KEY, (2, 3)), batched=True),
            ValueError,
            r"got shape \[2, 3\]",
        ),
    ],
)
def test_bad_values_are_named(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_good_values_pass_unchanged(dtype):
    X = np.arange(6, dtype=dtype).reshape(3, 2)
    for checked in (checks.floating("X", X), checks.points("X", X, columns=2), checks.targets("y", X, rows=3)):
        assert isinstance(checked, jax.Array) and checked.dtype == dtype
        np.testing.assert_array_equal(checked, X)
    assert checks.targets("y", X[:, 0], rows=3).shape == (3,)
    assert checks.points("X", [[1.0, 2.0]]).shape == (1, 2)  # nested lists of floats are data too
    assert checks.number("s", 0, least=0.0) == 0 and checks.number("s", 1.5, above=0.0, most=1.5) == 1.5
    assert checks.number("s", dtype.type(2.5)) == 2.5 and checks.number("s", jnp.asarray(2.5, dtype)) == 2.5
    assert type(checks.count("n", np.int32(4))) is int
    assert checks.choice("kind", "a", ("a", "b")) == "a"


def test_half_precision_is_floating():
    assert checks.floating("X", jnp.ones(2, jnp.bfloat16)).dtype == jnp.bfloat16
    assert checks.floating("X", np.ones(2, np.float16)).dtype == np.float16


def test_outputs_take_the_shape_of_the_targets():
    values = jnp.arange(4.0)
    assert checks.outputs("net", values, like=(7,)).shape == (4,)
    assert checks.outputs("net", values[:, None], like=(7,)).shape == (4,)
    assert checks.outputs("net", values, like=(7, 1)).shape == (4, 1)
    assert checks.outputs("net", values[:, None], like=(7, 1)).shape == (4, 1)
    assert checks.outputs("net", jnp.ones((4, 3)), like=(7, 3)).shape == (4, 3)


def test_keys_of_both_kinds_come_back_typed():
    for key in (KEY, jax.random.PRNGKey(0)):
        checked = checks.prng_key("key", key)
        assert jnp.issubdtype(checked.dtype, jax.dtypes.prng_key) and checked.shape == ()
        assert jax.random.uniform(checked) == jax.random.uniform(KEY)
    assert checks.prng_key("keys", jax.random.split(KEY, 3), batched=True).shape == (3,)
    assert checks.prng_key("keys", jax.random.split(jax.random.PRNGKey(0), 3), batched=True).shape == (3,)


def test_tracers_are_checked_for_shape_and_not_for_value():
    assert checks.is_traced(1.0, {"a": np.ones(2)}) is False

    @jax.jit
    def inside(X, s):
        assert checks.is_traced({"a": X}, None)
        checks.points("X", X)
        checks.targets("y", X[:, 0], rows=2)
        checks.number("s", s, above=0.0)
        with pytest.raises(ValueError, match="Y must have 3 columns"):
            checks.points("Y", X, columns=3)
        with pytest.raises(TypeError, match="floating"):
            checks.floating("n", jnp.ones(2, int) + X.shape[0])
        return X

    inside(jnp.full((2, 2), jnp.nan), -1.0)
