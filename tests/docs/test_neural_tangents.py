"""The code of docs/neural_tangents.md runs top to bottom, and the two sides of its examples agree."""

import re
from pathlib import Path

import jax
import numpy as np

PAGE = Path(__file__).parents[2] / "docs/neural_tangents.md"


def test_the_page_runs_and_both_sides_agree():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.S)
    assert len(blocks) == 5
    code = "\n".join(blocks).replace(":200]", ":60]").replace("200:300", "200:240")  # the code is tested, not its time
    space: dict = {}
    with jax.numpy_dtype_promotion("standard"):
        exec(compile(code, str(PAGE), "exec"), space)
    assert space["accuracy"] > 0.7
    np.testing.assert_allclose(space["theirs"], space["ours"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(space["theirs_finite"], space["ours_finite"], rtol=0, atol=1e-10)
    assert space["drawn"].shape == (20, 20)
    trained = space["weights"](space["X"][:20])
    np.testing.assert_allclose(trained, space["functions"], rtol=0, atol=0.1)
    assert np.abs(trained - space["labels"]).max() < 1.1 * np.abs(space["labels"]).max()
