"""Two processes of two devices each, joined by jax.distributed on loopback, give the products and the fit of one."""

import os
import socket
import subprocess
import sys

PROGRAM = """
import sys

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

import rfjax as rf

jax.config.update("jax_enable_x64", True)
jax.distributed.initialize(f"127.0.0.1:{sys.argv[1]}", 2, int(sys.argv[2]))
assert (jax.process_count(), jax.device_count(), jax.local_device_count()) == (2, 4, 2)
rng = np.random.default_rng(0)
X, Z, y = rng.normal(size=(16, 3)), rng.normal(size=(5, 3)), rng.normal(size=16)
mesh = jax.make_mesh((4,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))
rows = NamedSharding(mesh, PartitionSpec("rows"))
spread, targets = (jax.make_array_from_callback(v.shape, rows, lambda place, v=v: v[place]) for v in (X, y))
K, C = (np.exp(-((left[:, None] - X) ** 2).sum(-1) / (2 * 1.5**2)) for left in (X, Z))
alpha = np.linalg.solve(K + 0.1 * np.eye(16), y)
half = slice(8 * int(sys.argv[2]), 8 * int(sys.argv[2]) + 8)  # the rows that lie in this process


def own(values):
    shards = sorted(values.addressable_shards, key=lambda shard: shard.index[0].start)
    return np.concatenate([shard.data for shard in shards])


k = rf.rbf(1.5)
np.testing.assert_allclose(own(k.matvec(spread, None, targets)), (K @ y)[half], rtol=0, atol=1e-12)
solver = rf.solvers.ConjugateGradients(rank=4, tolerance=1e-10)
fit = rf.ridge_regression(k, spread, targets, ridge=0.1, solver=solver)
np.testing.assert_allclose(own(fit.coefficients), alpha[half], rtol=0, atol=1e-8)
np.testing.assert_allclose(np.asarray(fit(Z)), C @ alpha, rtol=0, atol=1e-8)
print("same")
"""


def test_two_processes_are_as_one():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", PROGRAM, port]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running = [subprocess.Popen([*command, str(i)], env=environment, **pipes) for i in range(2)]
    try:
        for process in running:
            out, err = process.communicate(timeout=300)
            assert process.returncode == 0, err
            assert out.strip().endswith("same")
    finally:
        for process in running:
            process.kill()
