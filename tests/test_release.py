"""What a release must be: typed, of one version, citable, quick to import, and complete in a bare environment."""

import re
import shutil
import statistics
import subprocess
import sys
import tomllib
from importlib import resources
from pathlib import Path

import pytest

import rfjax as rf
from rfjax.citing import FOUNDATIONS, WORKS, _entries

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def keys(text):
    return set(re.findall(r"^@\w+\{([^,]+),", text, flags=re.M))


def test_one_version_and_typed():
    assert rf.__version__ == PROJECT["version"]
    assert f"version: {rf.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert resources.files("rfjax").joinpath("py.typed").is_file()


def test_every_work_has_an_entry_and_every_entry_is_used():
    used = {key for works in WORKS.values() for key in works} | set(FOUNDATIONS)
    assert used == set(_entries())
    for entry in _entries().values():
        assert entry.count("{") == entry.count("}")
        assert re.search(r"\byear = \{\d{4}\},", entry) and "author = " in entry and "title = " in entry


def test_cite_follows_what_a_thing_is_made_of():
    net = rf.mlp(depth=1, width=4, activation=rf.activations.gelu)
    assert keys(rf.cite()) == {"rfjax", *FOUNDATIONS}
    assert keys(rf.cite(net)) == {"rfjax", "hendrycks2016"}
    assert keys(rf.cite(rf.ntk(net))) == {"rfjax", "jacot2018", "hendrycks2016"}
    assert keys(rf.cite(2.0 * rf.nngp(net) + rf.rbf())) == {"rfjax", "neal1996", "lee2018", "hendrycks2016"}
    assert keys(rf.cite(rf.ridge_path, "nystrom")) == {"rfjax", "allen1974", "golub1979", "williams2001", "rudi2017"}
    assert rf.__version__ in rf.cite()
    with pytest.raises(ValueError, match="'magic'"):
        rf.cite("magic")


def test_importing_takes_no_extras():
    slow = ("matplotlib", "pandas", "rich", "tyro", "sklearn")
    slow += ("rfjax.theory", "rfjax.diagnostics")  # on first use
    code = f"import sys, rfjax; print([name for name in {slow} if name in sys.modules]); rfjax.theory.spectrum"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.slow
def test_importing_costs_little_beside_the_dependencies():
    def seconds(code):
        timed = f"import time; begin = time.process_time(); {code}; print(time.process_time() - begin)"
        return float(subprocess.run([sys.executable, "-c", timed], capture_output=True, text=True, check=True).stdout)

    core = ", ".join(re.match(r"[\w-]+", line)[0].replace("-", "_") for line in PROJECT["dependencies"])
    pairs = [(seconds(f"import {core}, jax.numpy"), seconds("import rfjax")) for _ in range(5)]
    assert statistics.median(ours / theirs for theirs, ours in pairs) < 1.3


@pytest.mark.slow
def test_a_users_code_passes_the_type_checker(tmp_path):
    pytest.importorskip("mypy")
    (tmp_path / "snippet.py").write_text(
        "import jax\nimport optax  # type: ignore[import-untyped]\nimport rfjax as rf\n\n"
        "net = rf.mlp(depth=1, width=64, b_std=0.1)\n"
        "X = jax.random.normal(jax.random.key(0), (50, 3))\n"
        "kernel: rf.Kernel = 2.0 * rf.ntk(net) + rf.rbf(1.5)\n"
        "fit = rf.ridge_regression(kernel, X, X[:, 0], ridge=0.1)\n"
        "values: jax.Array = fit(X[:5])\n"
        "run: rf.Run = rf.train(net, (X, X[:, 0]), optimizer=optax.adam(1e-2), steps=10, key=jax.random.key(1))\n"
        "text: str = rf.cite(kernel, fit)\n"
        "wrong: int = rf.cite()\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "snippet.py"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert re.findall(r"snippet.py:(\d+): error", found.stdout) == ["12"], found.stdout + found.stderr


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("uv") is None, reason="needs uv")
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_it_installs_and_runs_in_a_bare_environment(tmp_path, kind):
    def run(*command, **settings):
        found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, **settings)
        return found.returncode, found.stdout + found.stderr

    code, said = run("uv", "build", f"--{kind}", "--out-dir", str(tmp_path / "dist"), str(ROOT))
    assert code == 0, said
    (built,) = (path for path in (tmp_path / "dist").iterdir() if path.suffix in (".whl", ".gz"))
    run("uv", "venv", "--python", sys.executable, "bare")
    code, said = run("uv", "pip", "install", "--python", "bare", str(built))
    if code:
        pytest.skip(f"packages cannot be installed here: {said[-300:]}")
    code, said = run(
        "bare/bin/python", "-c", "import rfjax; rfjax.rbf()(__import__('jax').numpy.eye(3)); print(rfjax.cite())"
    )
    assert code == 0 and "jacot2018" in said, said
    code, said = run("bare/bin/rfjax")
    assert code == 2 and "pip install 'rfjax[experiments]'" in said
