"""Whether neurons have found the teacher's."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from rfjax.features import network_neurons
from rfjax.networks import Layer, Params
from rfjax.numerics import gram, safe_divide
from rfjax.tasks import ReLUTeacher, SingleNeuron, Task
from rfjax.training import Diagnostic


class TeacherAlignment(Diagnostic):
    """For every neuron of the teacher, the largest |cos| of an angle between its weights and a hidden neuron's, [k].

    `task` is a single neuron or an `rf.tasks.relu_teacher`, `net` an `rf.neuron` or a network with one hidden layer and
    one output.

    **Raises** TypeError for other tasks and other networks.
    """

    net: Layer
    directions: Float[Array, "k d"]

    def __init__(self, net: Layer, task: Task):
        if not isinstance(task, (SingleNeuron, ReLUTeacher)):
            raise TypeError(f"task must be made of neurons (single_neuron, relu_teacher), got {type(task).__name__}")
        self.net, self.directions = net, _units(jnp.atleast_2d(task.weight))

    def _measure(self, params: Params, start: Params) -> Float[Array, " k"]:
        found: Any = network_neurons(self.net, params)
        if found is None:
            raise TypeError("net must be rf.neuron or a network with one hidden layer and one output")
        weights = _units(found[0].weight)
        return jnp.abs(gram(self.directions.astype(weights.dtype), weights)).max(axis=1)


def _units(W: Float[Array, "r d"]) -> Float[Array, "r d"]:
    return safe_divide(W, jnp.linalg.norm(W, axis=1, keepdims=True))
