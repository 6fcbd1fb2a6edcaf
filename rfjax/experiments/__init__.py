"""Experiments: one file a claim, from a spec over cells and stored rows to a figure."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rfjax.experiments.experiment import Experiment

# By name, each with its claim in a line: what `rfjax --help` shows without loading them.
EXPERIMENTS = {
    "separation": "what each view of a network can learn of one ReLU neuron, beside the bound for any fixed features",
    "polynomials": "random features and the NTK learn degree l of a polynomial from d^l features or samples",
    "coupling": "wide networks stay near their random features in the NTK scaling, and not in the maximal-update one",
    "double-descent": "random features have their peak of error at features = samples, and theory has the whole curve",
    "learning-curves": "the error of kernel regression at n samples, predicted without any, and from half of the data",
    "feature-learning": "on functions of a few directions kernels need d^degree samples, and trained networks fewer",
    "magnitude": "with random features a small error asks for many of them or for large coefficients",
    "hard-starts": "gradient descent learns one ReLU neuron from most starts: where it fails, and how often",
}


def load(name: str) -> "Experiment":
    """The experiment of that name.  Raises KeyError for an unknown one."""
    if name not in EXPERIMENTS:
        raise KeyError(f"no experiment {name!r}: there are {', '.join(EXPERIMENTS)}")
    return importlib.import_module(f"rfjax.experiments.{name.replace('-', '_')}").EXPERIMENT
