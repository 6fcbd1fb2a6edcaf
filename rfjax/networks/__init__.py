"""Networks: layers that are drawn (`init`), run (`apply`) and taken to infinite width (`propagate`)."""

from rfjax.networks.base import Layer, Params, State, is_network
from rfjax.networks.dense import Activation, Dense
from rfjax.networks.function import Function, as_function, outputs_2d
from rfjax.networks.neuron import Neuron, neuron
from rfjax.networks.serial import Serial, mlp

__all__ = [
    "Activation",
    "Dense",
    "Function",
    "Layer",
    "Neuron",
    "Params",
    "Serial",
    "State",
    "as_function",
    "is_network",
    "mlp",
    "neuron",
    "outputs_2d",
]
