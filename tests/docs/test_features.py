"""The code of the page on feature maps runs as it stands, and is true."""

import jax.numpy as jnp
import numpy as np
import pytest


@pytest.mark.slow
def test_the_code_of_the_page_runs_and_is_true(run):
    space = run("docs/features.md")
    X, fit, exact, quadrature = (space[name] for name in ("X", "fit", "exact", "quadrature"))
    assert space["phi"](X).shape == (500, 600)
    assert float(jnp.mean((fit(X) - exact(X)) ** 2)) < 0.02 * float(jnp.var(exact(X)))
    np.testing.assert_allclose(quadrature.kernel(X), quadrature.approximates(X), rtol=0, atol=1e-6)
    assert space["short"](X).shape == space["unstored"](X).shape == (500, 600)
