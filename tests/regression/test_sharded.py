"""Data sharded by rows over several devices give the Gram matrix and the fit of one device."""

import pytest

PROGRAM = """
import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

import rfjax as rf

jax.config.update("jax_enable_x64", True)
assert jax.device_count() == 8
rng = np.random.default_rng(0)
X, Z, y = rng.normal(size=(16, 3)), rng.normal(size=(5, 3)), rng.normal(size=16)
mesh = jax.make_mesh((8,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))
rows = NamedSharding(mesh, PartitionSpec("rows"))
spread, targets = jax.device_put(X, rows), jax.device_put(y, rows)
k = rf.ntk(rf.mlp(depth=1, width=8))
assert len(k(spread).sharding.device_set) == 8
np.testing.assert_allclose(k(spread), k(X), rtol=0, atol=1e-13)
one, eight = (rf.ridge_regression(k, points, values, ridge=0.1) for points, values in ((X, y), (spread, targets)))
np.testing.assert_allclose(eight.coefficients, one.coefficients, rtol=0, atol=1e-11)
np.testing.assert_allclose(eight(Z), one(Z), rtol=0, atol=1e-11)

# Products go round the devices, and the iterative solver with them.
V, W = rng.normal(size=(16, 2)), rng.normal(size=5)
heavy = jax.device_put(V, rows)
both = rf.rbf(1.0)
K, C = np.asarray(both(X)), np.asarray(both(Z, X))
product = both.matvec(spread, None, heavy)
assert product.sharding == rows
np.testing.assert_allclose(product, K @ V, rtol=0, atol=1e-12)
np.testing.assert_allclose(both.matvec(spread, spread, heavy), K @ V, rtol=0, atol=1e-12)
np.testing.assert_allclose(both.matvec(Z, spread, heavy), C @ V, rtol=0, atol=1e-12)
np.testing.assert_allclose(both.matvec(spread, Z, W), C.T @ W, rtol=0, atol=1e-12)
solver = rf.solvers.ConjugateGradients(rank=6, tolerance=1e-10)
many = rf.ridge_regression(both, spread, targets, ridge=0.1, solver=solver)
assert len(many.coefficients.sharding.device_set) == 8
np.testing.assert_allclose(many(Z), C @ np.linalg.solve(K + 0.1 * np.eye(16), y), rtol=0, atol=1e-8)
print("same")
"""


@pytest.mark.slow
def test_eight_devices_are_as_one(on_eight_devices):
    on_eight_devices(PROGRAM)
