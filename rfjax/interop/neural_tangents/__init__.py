"""neural-tangents 0.6.5 on today's JAX: importing this module makes `import neural_tangents` work, and right.

    import rfjax.interop.neural_tangents as interop
    import neural_tangents as nt
    from neural_tangents import stax

    k = interop.as_kernel(kernel_fn, "ntk")  # an rfjax kernel

`interop.nt` is `neural_tangents` too, for those whose imports are sorted.

The package is not edited, and needs no TensorFlow.  What it misses in JAX it sees and nobody else does; `restored()` says
what that was.  Its `experimental` part, which is for TensorFlow, stays out.

**Raises** ImportError where neural-tangents is not installed (with the line that installs it) or needs names that this JAX
does not have; then nothing has changed.
"""

from rfjax.interop.neural_tangents.kernel import NeuralTangentsKernel, as_kernel
from rfjax.interop.neural_tangents.restore import restore

__all__ = ["NeuralTangentsKernel", "as_kernel", "nt", "restored"]

_RESTORED = restore()

import neural_tangents as nt  # noqa: E402


def restored() -> tuple[str, ...]:
    """What neural-tangents was given: "name: what became of it", a line each; none where it had been imported before."""
    return _RESTORED
