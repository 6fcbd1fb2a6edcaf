"""The README's code runs as it stands, top to bottom, and says what its comments say."""

import re
from pathlib import Path

import numpy as np

README = Path(__file__).parents[2] / "README.md"


def test_readme_code_runs_and_is_true(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where it writes K.npy
    # Fewer samples and steps: the code is what is tested, not the figures that it makes.
    space = run("README.md", {"key(0), 1000)": "key(0), 300)", "steps=2000": "steps=300"})
    rf, task, X, params, net = (space[name] for name in ("rf", "task", "X", "params", "net"))
    assert space["risk"].stderr == 0.0
    assert float(rf.population_risk(space["neuron"], task).relative) < 0.05
    assert space["flow"](np.array([1.0, 2.0, np.inf]), X[:5]).shape == (3, 5)
    assert rf.population_risk(space["runs"], task).relative.shape == (8,)
    assert space["out"].shape == (300, 1)
    additive, y = space["additive"], space["y"]
    np.testing.assert_allclose(space["v"], np.asarray(additive(X)) @ y, rtol=0, atol=1e-11 * float(np.abs(y).sum()))
    np.testing.assert_allclose(np.diag(np.load("K.npy")), 1, rtol=1e-12)
    psi, k = space["psi"](X[:20]), rf.empirical_ntk(net, params)(X[:20])
    np.testing.assert_allclose(psi @ psi.T, k, rtol=0, atol=1e-9 * float(np.abs(k).max()))


def test_files_that_the_readme_names_exist():
    for target in re.findall(r"\]\(([^)]+)\)", README.read_text()):
        assert (README.parent / target).exists(), target
