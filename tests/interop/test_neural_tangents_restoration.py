"""What bringing neural-tangents back changes: nothing that others see; and what it says where it cannot."""

import importlib.metadata
import re
import subprocess
import sys

import jax
import jax.extend.core
import pytest

import rfjax.interop.neural_tangents as interop
from rfjax.interop.neural_tangents.restore import INSTALL, restore

SNAPSHOT = """
import sys, types
import jax, jax.numpy as jnp, scipy.linalg
import jax.api_util, jax.core, jax.extend.core, jax.extend.linear_util, jax.interpreters.ad
from jax.example_libraries import stax  # what neural-tangents imports besides, its own way
from jax.experimental import ode
import equinox, jaxtyping, optax  # which add primitives of their own

WATCHED = [m for n, m in sorted(sys.modules.items()) if n.partition(".")[0] in ("jax", "scipy", "builtins")]
CLASSES = [jax.extend.core.Primitive, jax.extend.core.Jaxpr, jax.extend.core.JaxprEqn, jax.stages.Compiled, jax.Array]

def state():
    found = {m.__name__: {k: id(v) for k, v in vars(m).items() if not isinstance(v, types.ModuleType)} for m in WATCHED}
    found |= {repr(c): {k: id(v) for k, v in vars(c).items()} for c in CLASSES}
    rules = {k: id(v) for k, v in jax.interpreters.ad.primitive_transposes.items()}
    jvps = {k: id(v) for k, v in jax.interpreters.ad.primitive_jvps.items()}
    return found | {"transposes": rules, "jvps": jvps, "meta_path": dict(enumerate(map(id, sys.meta_path)))}

def changed(before):
    after = state()
    return sorted(
        (name, str(key))
        for name in before
        for key in before[name].keys() | after[name].keys()
        if before[name].get(key) != after[name].get(key) and not str(key).startswith("_")
    )

def programs():
    def f(x):
        left, right = jnp.split(jnp.tanh(x @ x.T), 2)
        return jax.jit(jnp.sin)(left) * right[::-1]
    x = jnp.arange(8.0).reshape(4, 2)
    linear = jax.linearize(f, x)[1]
    transposed = lambda c: jax.linear_transpose(linear, x)(c)
    calls = [jax.grad(lambda x: f(x).sum()), jax.vmap(f), linear, jax.jit(jax.jacfwd(f))]
    texts = [str(jax.make_jaxpr(c)(v)) for c, v in zip(calls, (x, x[None], x, x))]
    return [*texts, str(jax.make_jaxpr(transposed)(f(x)))]
"""


def test_only_the_declared_attribute_is_added_to_jax():
    program = """
texts, before = programs(), state()
import rfjax
assert "neural_tangents" not in sys.modules and not any("interop" in name for name in sys.modules)
print(changed(before))
import rfjax.interop.neural_tangents
import neural_tangents as nt
print(changed(before))
print(programs() == texts)
print(nt._src.empirical.jax is not jax and not hasattr(jax.core, "DShapedArray"))
"""
    done = subprocess.run([sys.executable, "-c", SNAPSHOT + program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    alone, restored, same, apart = done.stdout.splitlines()
    assert alone == "[]"
    added = "[(\"<class 'jax._src.core.Primitive'>\", 'map_primitive')]"
    assert restored in (added, "[]")
    assert (same, apart) == ("True", "True")


@pytest.fixture
def forgotten():
    """neural-tangents as if it had never been imported."""
    held = {name: module for name, module in sys.modules.items() if name.startswith("neural_tangents")}
    for name in held:
        del sys.modules[name]
    yield
    sys.modules.update(held)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        pytest.param(jax.extend.core, "Var", id="of a restoration"),
        pytest.param(jax, "eval_shape", id="imported"),
        pytest.param(jax.lax, "reduce_window", id="read when a function runs"),
    ],
)
def test_an_unknown_jax_is_named_and_left_alone(forgotten, monkeypatch, module, name):
    monkeypatch.delattr(module, name)
    before, finders = dict(vars(jax.core)), list(sys.meta_path)
    with pytest.raises(ImportError, match=rf"does not work on JAX .*{name}.* has changed nothing"):
        restore()
    assert dict(vars(jax.core)) == before
    assert sys.meta_path == finders
    assert not any(name.startswith("neural_tangents") for name in sys.modules)


def test_it_is_imported_once(forgotten):
    assert "jax.core.Jaxpr: moved to jax.extend.core" in restore()
    assert restore() == ()


@pytest.mark.parametrize("name", ["neural_tangents", "frozendict"])
def test_absent_is_the_line_that_installs_it(forgotten, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=f"{name} is not installed.*without TensorFlow: {re.escape(INSTALL)}"):
        restore()


def test_another_version_is_refused(forgotten, monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.6.4")
    with pytest.raises(ImportError, match=r"must be 0\.6\.5, got 0\.6\.4"):
        restore()


def test_it_says_what_it_restored():
    lines = interop.restored()
    assert len(lines) == len(set(lines)) >= 15
    assert "jax.core.Jaxpr: moved to jax.extend.core" in lines
    assert all(": " in line for line in lines)


def test_the_tensorflow_part_says_that_it_is_left_out():
    import neural_tangents as nt

    assert nt.__version__ == "0.6.5"
    with pytest.raises(AttributeError, match="needs TensorFlow"):
        nt.experimental.empirical_ntk_fn_tf  # noqa: B018
