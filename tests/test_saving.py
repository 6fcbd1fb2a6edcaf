"""Saving and loading: everything comes back bit for bit, what cannot is refused, and so are files that are not sound."""

import functools
import json
import zipfile

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rfjax as rf
from rfjax.storage import StorageError

RNG = np.random.default_rng(0)
X, Y, Z = RNG.normal(size=(6, 3)), RNG.normal(size=6), RNG.normal(size=(4, 3))
KEY = jax.random.key(0)
NET = rf.mlp(depth=1, width=4, b_std=0.1)
PARAMS = {"weight": jnp.asarray(RNG.normal(size=3)), "bias": jnp.asarray(0.0)}
ACTIVATIONS = [getattr(rf.activations, name) for name in rf.activations.__all__]
ACTIVATIONS = [value for value in ACTIVATIONS if isinstance(value, rf.activations.Nonlinearity)]

# One entry a kind of thing; each makes it, so that collecting the tests compiles nothing.
THINGS = {
    "activations": lambda: [*ACTIVATIONS, rf.activations.polynomial([1.0, 0.0, 2.0]), rf.activations.rbf(0.3)],
    "rbf": lambda: rf.rbf(0.1),
    "ARD": lambda: rf.rbf([1.0, 0.2, np.pi]),
    "stationary": lambda: [rf.laplace(2.0), rf.matern(2.5, 1 / 3), rf.rational_quadratic(0.3, 2.0)],
    "dot product": lambda: [rf.polynomial(3, 0.1, 1e-300), rf.arc_cosine(2), rf.angular()],
    "algebra": lambda: 0.1 * rf.rbf(1.0) + jnp.asarray(2.0) * rf.ntk(NET) * rf.laplace().on([0, 2]) + 0.5,
    "normalised": lambda: rf.kernels.Normalised(rf.nngp(NET)),
    "layers": lambda: rf.Serial(
        rf.Dense(4, parameterization="standard"),
        rf.Repeat(rf.Residual(rf.LayerNorm(), rf.Activation(rf.activations.gelu), rf.Dense(4)), 3),
        rf.Dropout(0.1),
        rf.Parallel(rf.Dense(2), rf.Dense(2)),
        rf.Activation(jnp.tanh),
    ),
    "parameters": lambda: NET.init(KEY, 3),
    "empirical": lambda: rf.empirical_ntk(NET, NET.init(KEY, 3), outputs="full"),
    "features": lambda: (rf.random_features(NET, 3, key=KEY), rf.random_neurons(3, 5, key=KEY)),
    "tangent": lambda: (rf.tangent_features(NET, NET.init(KEY, 3)), rf.linearize(NET, NET.init(KEY, 3))),
    "tasks": lambda: [rf.tasks.single_neuron(3, bias=-1.0)],
    "fit": lambda: rf.ridge_regression(rf.rbf(1.0), X, Y, ridge=0.1),
    "fit from a fit": lambda: rf.ridge_regression(
        rf.rbf(1.0), X, Y, ridge=0.1, start=rf.ridge_regression(rf.rbf(1.0), X, Y, ridge=1.0)
    ),
    "fit of features": lambda: rf.ridge_regression(rf.random_neurons(3, 5, key=KEY), X, Y, ridge=0.1),
    "float32 fit": lambda: rf.ridge_regression(rf.rbf(1.0), X.astype("f"), Y.astype("f"), ridge=jnp.float32(0.1)),
    "flow": lambda: rf.gradient_flow(rf.rbf(1.0), X, Y),
    "Krylov flow": lambda: rf.gradient_flow(rf.rbf(1.0), X, Y, solver="lanczos"),
    "descent": lambda: rf.gradient_descent(rf.rbf(1.0), X, Y, learning_rate=0.1, momentum=0.5, nesterov=True),
    "ensemble": lambda: rf.ensemble(rf.nngp(NET), rf.rbf(1.0), X, Y),
    "run": lambda: rf.train(rf.neuron(), (X, Y), optimizer=optax.sgd(0.1), steps=3, params=PARAMS),
    "history": lambda: rf.dynamics.StoppingPath(jnp.asarray([0.0, jnp.inf]), jnp.asarray([1.0, jnp.nan])),
    "named tuple": lambda: rf.kernels.Tiling(1, 2, 3, 4),
    "leaves": lambda: {
        "floats": [0.1, 1.0, -0.0, np.inf, -np.inf, 5e-324],
        "others": (None, True, 3, 2**70, "θ", [], ()),
        "keys": (KEY, jax.random.split(KEY, 3), jax.random.key(1, impl="rbg")),
        "low": (jnp.asarray([1.5, -2.0], jnp.bfloat16), jnp.asarray(0.1, jnp.float16), jnp.float8_e4m3fn(0.5)),
        "arrays": (X, X.T, np.float32(0.1), np.arange(3), jnp.arange(3) > 1, jnp.ones((0, 2)), jnp.asarray(1.0)),
    },
}


def bits(leaf):
    """A leaf's type, dtype, shape and bits."""
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return str(jax.random.key_impl(leaf)), np.asarray(jax.random.key_data(leaf)).tobytes(), leaf.shape
    if isinstance(leaf, (jax.Array, np.ndarray, np.generic)):
        weak = isinstance(leaf, jax.Array) and leaf.weak_type
        kind = jax.Array if isinstance(leaf, jax.Array) else type(leaf)
        return kind, leaf.dtype, leaf.shape, np.asarray(leaf).tobytes(), weak
    return type(leaf), repr(leaf)


@pytest.mark.parametrize("thing", THINGS.values(), ids=THINGS)
def test_everything_comes_back_bit_for_bit(thing, tmp_path):
    value = thing()
    rf.save(tmp_path / "it", value)
    loaded = rf.load(str(tmp_path / "it"))
    # The structure has all that is static; equal ones share what was compiled.
    assert jax.tree.structure(loaded) == jax.tree.structure(value)
    assert type(loaded) is type(value)
    assert [bits(leaf) for leaf in jax.tree.leaves(loaded)] == [bits(leaf) for leaf in jax.tree.leaves(value)]
    assert [path.name for path in tmp_path.iterdir()] == ["it"]


def test_loaded_fits_predict_the_same_bits(tmp_path):
    for name, call in (("fit from a fit", lambda f: f(Z)), ("flow", lambda f: f([1.0, 2.0], Z))):
        value = THINGS[name]()
        rf.save(tmp_path / "it", value)  # over the one before
        np.testing.assert_array_equal(call(rf.load(tmp_path / "it")), call(value))


def test_numpy_reads_the_arrays(tmp_path):
    rf.save(tmp_path / "it.npz", THINGS["fit"]())
    with np.load(tmp_path / "it.npz", allow_pickle=False) as archive:
        assert any(np.array_equal(archive[name], X) for name in archive.files if name != "structure.json")


class Own(eqx.Module):
    """A class of the user's."""

    value: float = 1.0

    def __call__(self, X):
        return X[:, 0] * self.value


REFUSED = {
    "start": (
        lambda: rf.gradient_flow(rf.rbf(1.0), X, Y, start=lambda X: X[:, 0]),
        r"GradientFlow.start is a function",
    ),
    "start of a class": (lambda: rf.gradient_flow(rf.rbf(1.0), X, Y, start=Own()), r"GradientFlow.start is a function"),
    "activation": (
        lambda: rf.ntk(rf.mlp(depth=1, width=4, activation=jnp.sinc)),
        r"InfiniteWidth.network.layers\[1\].function.function is a function \(sinc\)",
    ),
    "network": (
        lambda: rf.empirical_ntk(lambda p, X: X * p, jnp.ones(3)),
        r"EmpiricalNTK.net is a function \(<lambda>\)",
    ),
    "partial": (lambda: [functools.partial(max, 1)], r"list\[0\] is a function \(max\)"),
    "class": (lambda: {"a": Own}, r"dict\['a'\] is a function"),
    "set": (lambda: ({1},), r"tuple\[0\] is a set"),
    "keys": (lambda: {1: 2}, "dict is a dict"),
    "objects": (lambda: np.array([None]), "is an array of Python objects"),
    "complex": (lambda: 1j, "complex is a complex"),
}


@pytest.mark.parametrize(("thing", "says"), REFUSED.values(), ids=REFUSED)
def test_what_a_file_without_code_cannot_hold_is_refused_before_writing(thing, says, tmp_path):
    value = thing()
    with pytest.raises(TypeError, match=says):
        rf.save(tmp_path / "it", value)
    assert list(tmp_path.iterdir()) == []


def test_folders_and_files_that_are_not_there(tmp_path):
    with pytest.raises(StorageError, match=r"cannot write .*No such file"):
        rf.save(tmp_path / "nowhere" / "it", 1.0)
    with pytest.raises(StorageError, match=r"cannot read .*No such file"):
        rf.load(tmp_path / "it")
    with pytest.raises(StorageError, match=r"cannot read .*directory"):
        rf.load(tmp_path)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "it"
    rf.save(path, {"kernel": rf.rbf(0.25), "X": X})
    return path


def test_a_file_cut_short_or_with_a_changed_byte_is_refused(good, tmp_path):
    content, broken = good.read_bytes(), tmp_path / "broken"
    for size in (0, 10, len(content) // 2, len(content) - 1):
        broken.write_bytes(content[:size])
        with pytest.raises(StorageError, match="damaged"):
            rf.load(broken)
    at = content.index(X.tobytes())
    for place in (at, at + X.nbytes - 1, content.index(b"0.25")):
        broken.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(StorageError, match="damaged"):
            rf.load(broken)


def altered(good, path, change):
    """The good file with another structure, as someone might write it."""
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(path, "w") as new:
        structure = json.loads(old.read("structure.json"))
        change(structure)
        new.writestr("structure.json", json.dumps(structure))
        new.writestr("0.npy", old.read("0.npy"))
    return path


def with_class(name, fields=None):
    def change(structure):
        kernel = structure["value"]["dict"][0][1]
        kernel["class"] = name
        kernel["fields"] = kernel["fields"] if fields is None else fields

    return change


ALTERED = {
    "newer": (lambda s: s.update(version=2), "its format is version 2, and this rfjax reads 1"),
    "format": (lambda s: s.update(format="other"), "it was not written by rf.save"),
    "unknown class": (with_class("rfjax.kernels.Other"), "it holds a rfjax.kernels.Other, which this version"),
    "unknown room": (with_class("rfjax.elsewhere.RBF"), "it holds a rfjax.elsewhere.RBF, which this version"),
    "class of others": (with_class("subprocess.Popen"), "it holds a subprocess.Popen, which this version"),
    "imported class": (with_class("rfjax.storage.Path"), "it holds a rfjax.storage.Path"),
    "function": (with_class("rfjax.save"), "it holds a rfjax.save"),
    "fields": (
        with_class("rfjax.kernels.RBF", {"scale": 1.0}),
        "another version of rfjax, whose rfjax.kernels.RBF differs",
    ),
    "node": (lambda s: s.update(value={"pickle": "gASV"}), "it holds something that this version"),
    "array": (lambda s: s.update(value={"array": 7, "kind": "jax"}), "damaged"),
    "nothing": (lambda s: s.pop("value"), "damaged"),
}


@pytest.mark.parametrize(("change", "says"), ALTERED.values(), ids=ALTERED)
def test_other_structures_are_refused(good, tmp_path, change, says):
    with pytest.raises(StorageError, match=says):
        rf.load(altered(good, tmp_path / "altered", change))


def test_an_archive_of_others_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", X=X)
    with pytest.raises(StorageError, match=r"was not written by rf.save"):
        rf.load(tmp_path / "other.npz")


def test_float64_is_not_rounded_behind_ones_back(tmp_path):
    rf.save(tmp_path / "it", jnp.asarray(X))
    with jax.enable_x64(False), pytest.raises(StorageError, match=r"it holds float64: jax.config.update"):
        rf.load(tmp_path / "it")


def test_an_error_half_way_leaves_the_old_file(tmp_path, monkeypatch):
    rf.save(tmp_path / "it", 1.0)

    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", fail)
    with pytest.raises(StorageError, match="No space left"):
        rf.save(tmp_path / "it", X)
    assert rf.load(tmp_path / "it") == 1.0
    assert [path.name for path in tmp_path.iterdir()] == ["it"]
