"""Features of rows that lie on eight devices are those of one device, and stay where their rows are."""

import pytest

PROGRAM = """
import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

import rfjax as rf

jax.config.update("jax_enable_x64", True)
assert jax.device_count() == 8
rng = np.random.default_rng(0)
X, y, key = rng.normal(size=(16, 3)), rng.normal(size=16), jax.random.key(0)
mesh = jax.make_mesh((8,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))
rows = NamedSharding(mesh, PartitionSpec("rows"))
spread, targets = jax.device_put(X, rows), jax.device_put(y, rows)
net = rf.mlp(depth=1, width=4)
maps = {
    "sobol": rf.features.fourier(rf.matern(1.5), 3, 10, key=key, draw="sobol"),
    "unstored": rf.features.fourier(rf.rbf(), 3, 10, key=key, stored=False),
    "structured": rf.features.fourier(rf.rbf(), 3, 10, key=key, draw="structured", form="phase"),
    "gegenbauer": rf.features.gegenbauer(rf.ntk(net), 3, 12, key=key),
    "neurons": rf.features.arc_cosine_neurons(1, 3, 10, key=key),
    "sketch": rf.features.tensor_sketch(rf.polynomial(2), 3, 10, key=key),
    "maclaurin": rf.features.maclaurin(rf.polynomial(2), 3, 10, key=key),
    "positive": rf.features.positive(rf.exponential(0.2), 3, 10, key=key),
    "nystrom": rf.features.nystrom(rf.rbf(), X, features=6, key=key),
    "sum": rf.approximate(rf.rbf() + rf.laplace(), 10, key=key, in_dim=3),
    "product": rf.approximate(rf.rbf() * rf.laplace(), 10, key=key, in_dim=3),
    "network": rf.random_features(net, params=net.init(key, 3)),
}
for name, phi in maps.items():
    found = phi(spread)
    assert {shard.data.shape[0] for shard in found.addressable_shards} == {2}, (name, found.sharding)
    np.testing.assert_allclose(found, phi(X), rtol=0, atol=1e-12, err_msg=name)
one, eight = (rf.ridge_regression(maps["sobol"], *data, ridge=0.1) for data in ((X, y), (spread, targets)))
np.testing.assert_allclose(eight(X), one(X), rtol=0, atol=1e-10)
print("same")
"""


@pytest.mark.slow
def test_eight_devices_are_as_one(on_eight_devices):
    on_eight_devices(PROGRAM)
