"""Runs split over eight devices, and rows of a full batch, train as on one device."""

import pytest

PROGRAM = """
import jax
import numpy as np
import optax
from jax.sharding import NamedSharding, PartitionSpec

import rfjax as rf

jax.config.update("jax_enable_x64", True)
assert jax.device_count() == 8
rng = np.random.default_rng(0)
X, y = rng.normal(size=(32, 3)), rng.normal(size=32)
mesh = jax.make_mesh((8,), ("runs",), axis_types=(jax.sharding.AxisType.Auto,))
spread = NamedSharding(mesh, PartitionSpec("runs"))
net, keys = rf.mlp(depth=1, width=4), jax.random.split(jax.random.key(0), 8)
several = {"settings": {"learning_rate": [0.1, 0.3]}, "optimizer": optax.sgd, "steps": 20, "record": 10}
one = rf.train(net, (X, y), key=keys, batch_size=8, **several)
eight = rf.train(net, (X, y), key=jax.device_put(keys, spread), batch_size=8, **several)
weight = eight.params[0]["weight"]
assert weight.shape[:2] == (8, 2)
assert {shard.data.shape[0] for shard in weight.addressable_shards} == {1}, weight.sharding
jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-12), eight.params, one.params)
np.testing.assert_allclose(eight.history.loss, one.history.loss, rtol=1e-11)
np.testing.assert_allclose(eight(X), one(X), rtol=0, atol=1e-12)

rows = jax.device_put(X, spread), jax.device_put(y, spread)
whole = [rf.train(net, data, key=keys[0], optimizer=optax.sgd(0.1), steps=20, record=10) for data in ((X, y), rows)]
np.testing.assert_allclose(whole[1].history.loss, whole[0].history.loss, rtol=1e-11)
print("same")
"""


@pytest.mark.slow
def test_eight_devices_train_as_one(on_eight_devices):
    on_eight_devices(PROGRAM, timeout=600)
