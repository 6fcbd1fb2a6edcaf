"""Networks: layers that are drawn (`init`), run (`apply`) and taken to infinite width (`propagate`)."""

from rfjax.networks.base import Layer, Params, State, is_network
from rfjax.networks.dense import Activation, Dense
from rfjax.networks.dropout import Dropout, has_dropout
from rfjax.networks.function import Function, as_function, outputs_2d
from rfjax.networks.neuron import Neuron, neuron
from rfjax.networks.normalization import LayerNorm
from rfjax.networks.parallel import Parallel, Residual
from rfjax.networks.repeat import Repeat
from rfjax.networks.serial import Serial, mlp

__all__ = [
    "Activation",
    "Dense",
    "Dropout",
    "Function",
    "Layer",
    "LayerNorm",
    "Neuron",
    "Parallel",
    "Params",
    "Repeat",
    "Residual",
    "Serial",
    "State",
    "as_function",
    "has_dropout",
    "is_network",
    "mlp",
    "neuron",
    "outputs_2d",
]
