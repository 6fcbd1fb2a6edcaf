"""Gradient descent of one ReLU neuron on another, in the population: three numbers, whatever the dimension.

    starts = rf.theory.random_starts(1000, 200, seed=0)
    run = rf.theory.neuron_descent(task, starts, steps=2000, target=1e-6)
    run.reached, run.failure_rate, run.failure_stderr

f(x) = σ(⟨w, x⟩ + b) has a risk that depends on w only through its parts along and across the target's direction, so that
the gradient lies in the plane of both, and exact descent never leaves it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import ArrayLike, Bool, Float, Int

from rfjax import checks
from rfjax.activations import LeakyReLU
from rfjax.tasks import SingleNeuron, Task
from rfjax.tasks.neuron import single_neuron_only
from rfjax.theory.neuron_moments import PlaneNeuron, risk_and_slope

_ASLEEP = -4.75  # bias/‖w‖ below which a ReLU fires for less than one Gaussian input in a million


class NeuronState(NamedTuple):
    """Neurons f(x) = σ(⟨w, x⟩ + bias) in the coordinates of the task; host arrays of one shape [...]."""

    parallel: Float[np.ndarray, "..."]
    """⟨w, v⟩, v the task's direction."""
    orthogonal: Float[np.ndarray, "..."]
    """The length of w's part across v; its sign tells the sides apart."""
    bias: Float[np.ndarray, "..."]
    """b."""


@dataclass(frozen=True, eq=False)
class NeuronDescent:
    """Descent from starts of shape [...]; made by `neuron_descent`."""

    steps: Int[np.ndarray, " T"]
    """The steps recorded: 0, evenly spread ones, and the last."""
    path: NeuronState
    """The neurons at those steps, [..., T]."""
    risk: Float[np.ndarray, "... T"]
    """E(f − g)²/Var g at those steps; below 1e-15·E g²/Var g it is rounding."""
    reached: Int[np.ndarray, "..."]
    """The first step at which the relative risk is at most the target; −1 where it is at none."""

    @property
    def failed(self) -> Bool[np.ndarray, "..."]:
        """Whether the target was not reached."""
        return self.reached < 0

    @property
    def collapsed(self) -> Bool[np.ndarray, "..."]:
        """Whether the neuron ended as the zero function: b/‖w‖ < −4.75, where it fires once in a million inputs."""
        parallel, orthogonal, bias = (record[..., -1] for record in self.path)
        return self.failed & (bias < _ASLEEP * np.hypot(parallel, orthogonal))

    @property
    def failure_rate(self) -> float:
        """The part p of all starts that failed."""
        return float(self.failed.mean())

    @property
    def failure_stderr(self) -> float:
        """Its binomial standard error, √(p(1−p)/s), with one more failure and one more success in p (never 0)."""
        count = self.reached.size
        p = (float(self.failed.sum()) + 1) / (count + 2)
        return float((p * (1 - p) / count) ** 0.5)


def random_starts(d: int, count: int, *, seed: int, norm: float = 1.0, bias: float = 0.0) -> NeuronState:
    """`count` starts by the law of `rf.neuron(norm=norm)` in d dimensions: a uniform direction of this length.

        parallel = norm·z/ℓ,   orthogonal = norm·χ/ℓ,   ℓ² = z² + χ²,   z ~ N(0, 1),  χ² ~ chi-square of d − 1

    Drawn on the host by `np.random.default_rng(seed)`.

    **Raises** ValueError or TypeError for sizes below 1, a norm that is not positive or a bias that is not finite.
    """
    d, count = checks.count("d", d), checks.count("count", count)
    norm, bias = float(checks.number("norm", norm, above=0.0)), float(checks.number("bias", bias))
    rng = np.random.default_rng(checks.count("seed", seed, least=0))
    along = rng.normal(size=count)
    across = np.sqrt(rng.chisquare(d - 1, count)) if d > 1 else np.zeros(count)
    length = np.hypot(along, across)
    return NeuronState(norm * along / length, norm * across / length, np.full(count, bias))


def neuron_descent(
    task: Task,
    start: NeuronState | tuple[ArrayLike, ArrayLike, ArrayLike],
    *,
    steps: int,
    learning_rate: float = 1.0,
    target: float = 1e-6,
    records: int = 100,
) -> NeuronDescent:
    """Exact population gradient descent of one neuron on ½E(f − g)², for all starts at once, at one cost for any d.

        (parallel, orthogonal, bias) ← (parallel, orthogonal, bias) − learning_rate·∇½E(f − g)²

    It is `rf.train(rf.neuron(), task, exact=True, optimizer=optax.sgd(learning_rate))` to rounding, in the coordinates
    of `NeuronState`, on the host in float64: about a millisecond a step for a hundred starts.  The neuron's activation is the
    task's.  It stops when every start has reached `target`, a relative risk, and after `steps`; `records` steps of the
    path are kept.  A start that diverges (the rate is too large) counts as failed, with a risk of inf or NaN.

    **Raises** TypeError for a task that is not a single neuron; ValueError when its activation is no (leaky) ReLU, for
    steps or records below 1, a learning rate or target that is not positive, starts that are not finite or whose shapes
    differ.
    """
    neuron = _relu_only(task)
    steps, records = checks.count("steps", steps), checks.count("records", records)
    rate = float(checks.number("learning_rate", learning_rate, above=0.0))
    limit = float(checks.number("target", target, above=0.0)) * neuron.variance
    state = _start(start)
    shape, current = state.bias.shape, np.stack([part.ravel() for part in state])
    goal = PlaneNeuron(float(neuron.norm), 0.0, float(neuron.bias))
    slopes = neuron.activation.relu_slopes
    assert slopes is not None
    spacing = -(-steps // records)
    reached = np.full(current.shape[1], -1)
    times, path, risks = [], [], []
    for step in range(steps + 1):
        with np.errstate(over="ignore", invalid="ignore"):  # of starts that diverge
            risk, slope = risk_and_slope(PlaneNeuron(*current), goal, slopes)
            after = current - rate * slope
        reached = np.where((reached < 0) & (risk <= limit), step, reached)
        last = step == steps or bool((reached >= 0).all())
        if last or step % spacing == 0:
            times.append(step)
            path.append(current)
            risks.append(risk)
        if last:
            break
        current = after
    record = np.moveaxis(np.stack(path), 0, -1).reshape(3, *shape, len(times))
    relative = np.stack(risks, axis=-1).reshape(*shape, len(times)) / neuron.variance
    return NeuronDescent(np.array(times), NeuronState(*record), np.maximum(relative, 0), reached.reshape(shape))


def _relu_only(task: Task) -> SingleNeuron:
    neuron = single_neuron_only(task)
    if not isinstance(neuron.activation, LeakyReLU):
        raise ValueError(f"task must be a (leaky) ReLU neuron, got {type(neuron.activation).__name__}")
    return neuron


def _start(start: NeuronState | tuple[ArrayLike, ArrayLike, ArrayLike]) -> NeuronState:
    parts = [np.asarray(part, dtype=np.float64) for part in start]
    if len(parts) != 3 or len({part.shape for part in parts}) > 1:
        raise ValueError(f"start must be three arrays of one shape, got {[list(part.shape) for part in parts]}")
    if not all(np.isfinite(part).all() for part in parts):
        raise ValueError("start must be finite, got NaN or inf")
    return NeuronState(*parts)
