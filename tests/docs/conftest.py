"""How the code of a page is run: all its blocks, top to bottom, as a reader has them."""

import re
from pathlib import Path

import jax
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run():
    """A function of a page, and of what is made shorter in its code; it returns the names that the code leaves behind."""

    def run(page: str, shorter: dict[str, str] | None = None) -> dict:
        code = "\n".join(re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), flags=re.S))
        for old, new in (shorter or {}).items():
            assert old in code
            code = code.replace(old, new)
        space: dict = {}
        with jax.numpy_dtype_promotion("standard"):  # optax needs it
            exec(compile(code, page, "exec"), space)
        return space

    return run
