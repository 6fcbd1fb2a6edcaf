"""The code of pages in docs/ runs as it stands, and is true."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest

import rfjax as rf

DOCS = Path(__file__).parents[2] / "docs"


def run(page: str) -> dict:
    """The names that the page's code leaves behind."""
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), flags=re.S)
    space: dict = {}
    with jax.numpy_dtype_promotion("standard"):  # as a reader has it
        exec(compile("\n".join(blocks), page, "exec"), space)
    return space


def test_dynamics():
    space = run("dynamics.md")
    flow, krylov, path = space["flow"], space["krylov"], space["path"]
    assert 0 < int(path.best) < 28
    assert float(path.best_error) < 0.9 * float(path.errors[-1])
    assert float(krylov.error(100.0)) < 1e-6
    np.testing.assert_allclose(krylov(100.0, space["X_val"]), flow(100.0, space["X_val"]), rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        space["descent"](10**9, space["X_val"]), space["ens"].mean(np.inf, space["X_val"]), rtol=0, atol=1e-6
    )


def test_saving(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert isinstance(run("saving.md")["again"], rf.regression.KernelFit)


def test_scikit_learn():
    pytest.importorskip("sklearn")
    assert run("sklearn.md")["search"].best_score_ > 0.3
