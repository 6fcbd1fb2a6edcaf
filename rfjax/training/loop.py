"""The compiled loop: descend from one recorded step to the next, measure, and stop where there is reason to."""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from rfjax.networks import Params
from rfjax.training.metrics import Diagnostic, Metric
from rfjax.training.objectives import ExactRisk, Objective, Samples

_DRAWN = 2**18  # bytes of what is drawn at once at most: they stay in a core's cache

Settings = dict[str, Array]
Optimizer = optax.GradientTransformation | Callable[..., optax.GradientTransformation]


class Measured(NamedTuple):
    """What one record holds."""

    loss: Float[Array, "..."]
    risk: Float[Array, "..."] | None
    validation: Float[Array, "..."] | None
    metrics: tuple[Float[Array, "..."], ...]


class Best(NamedTuple):
    """The parameters of the least validation loss so far, and for how many records it has not been bettered."""

    params: Params
    loss: Float[Array, "..."]
    step: Int[Array, "..."]
    waited: Int[Array, "..."]


class Drawn(NamedTuple):
    """What is random in the steps of the block of this number, for every piece of the runs."""

    number: Int[Array, ""]
    values: tuple[Any, ...]


class Progressed(NamedTuple):
    """Where a run is, before the record of this number: all that a loop carries, and all that a checkpoint has to keep."""

    record: Int[Array, ""]
    params: Params
    state: Any
    stopped: Bool[Array, "..."]
    diverged_at: Int[Array, "..."]
    taken: Int[Array, "..."]
    records: Measured
    best: Best | None


class Loop(eqx.Module):
    """Everything a run is made of but its start: two runs with equal static parts share one compilation."""

    objective: Objective
    validation: Samples | None
    risk: ExactRisk | None
    limit: Float[Array, ""]
    metrics: tuple[tuple[str, Metric], ...]
    optimizer: Optimizer = eqx.field(static=True)
    patience: int | None = eqx.field(static=True)
    ahead: int = eqx.field(static=True)  # steps that are drawn for at once, at most
    pieces: int = eqx.field(static=True)  # of the vector of runs, whose steps are taken side by side

    def method(self, settings: Settings) -> optax.GradientTransformation:
        """The optimiser of one run."""
        optimizer: Any = self.optimizer
        return optimizer(**settings) if settings else optimizer

    def draw(self, key: PRNGKeyArray, time: Int[Array, ""]) -> Any:
        """What is random in the step of this number."""
        return self.objective.draw(jax.random.fold_in(key, time))

    def step(self, params: Params, state: Any, settings: Settings, drawn: Any) -> tuple[Params, Any, Float[Array, ""]]:
        """One update of the optimiser, and the loss before it."""
        value, gradient = jax.value_and_grad(self.objective.loss)(params, drawn)
        updates, state = optax.with_extra_args_support(self.method(settings)).update(
            gradient,
            state,
            params,
            value=value,
            grad=gradient,
            value_fn=lambda p: self.objective.loss(p, drawn),
        )
        return optax.apply_updates(params, updates), state, value

    def measure(self, params: Params, start: Params, key: PRNGKeyArray, time: Int[Array, ""]) -> Measured:
        """Loss, risk, validation loss and metrics of the current parameters."""
        loss = self.objective.report(params, jax.random.fold_in(jax.random.fold_in(key, 1), time))
        risk = None if self.risk is None else self.risk.risk(params)
        if isinstance(self.objective, ExactRisk):
            risk = 2 * loss  # computing it again would only lengthen the program
        validation = None if self.validation is None else self.validation.report(params, key)
        values = [
            metric(params, start) if isinstance(metric, Diagnostic) else metric(params) for _, metric in self.metrics
        ]
        return Measured(loss, risk, validation, tuple(_floating(value) for value in values))


class Runs(eqx.Module):
    """One run, or a vector of them: where they start, their keys and their settings, all of one leading axis."""

    start: Params
    keys: PRNGKeyArray
    settings: Settings

    def each(self, function: Callable[..., Any], axes: tuple[int | None, ...]) -> Callable[..., Any]:
        """The function for every run."""
        return jax.vmap(function, axes) if self.keys.ndim else function

    def drawing(self) -> "Runs":
        """Those whose keys are for batches, which draw from their own stream: a run's key has drawn its parameters."""
        return eqx.tree_at(
            lambda runs: runs.keys, self, self.each(partial(jax.random.fold_in, data=0xDA7A), (0,))(self.keys)
        )


@eqx.filter_jit
def begin(loop: Loop, runs: Runs, schedule: Int[Array, " T"]) -> Progressed:
    """Before the first record."""
    state = runs.each(lambda params, settings: loop.method(settings).init(params), (0, 0))(runs.start, runs.settings)
    measure = runs.each(loop.measure, (0, 0, 0, None))
    shapes = jax.eval_shape(measure, runs.start, runs.start, runs.keys, schedule[0])
    blank = jax.tree.map(lambda leaf: jnp.full((schedule.shape[0], *leaf.shape), jnp.nan, leaf.dtype), shapes)
    idle, zero = jnp.zeros(runs.keys.shape, bool), jnp.zeros(runs.keys.shape, schedule.dtype)
    best = None
    if loop.patience is not None:
        best = Best(runs.start, jnp.full(idle.shape, jnp.inf, shapes.validation.dtype), zero, zero)
    return Progressed(jnp.zeros((), schedule.dtype), runs.start, state, idle, zero - 1, zero, blank, best)


@eqx.filter_jit
def descend(
    loop: Loop,
    runs: Runs,
    now: Progressed,
    schedule: Int[Array, " T"],
    until: Int[Array, ""],
    report: Callable[[Any], None] | None,
) -> Progressed:
    """On to the record number `until`, or to where all runs have stopped.

    The loop itself is over unbatched step counts, so that runs pay no selects inside it; those that have stopped keep
    their parameters from record to record.  What is random is drawn for a block of steps: for a step alone it costs as much
    in calls as in numbers.
    """
    runs = runs.drawing()
    step, measure = runs.each(loop.step, (0, 0, 0, 0)), runs.each(loop.measure, (0, 0, 0, None))
    draw = jax.vmap(runs.each(loop.draw, (0, None)), (None, 0))
    each = sum(
        leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(jax.eval_shape(draw, runs.keys, schedule[:1]))
    )
    block = max(1, min(loop.ahead, _DRAWN // max(1, each)))
    pieces = _cut(runs, loop.pieces)

    def draws(number: Int[Array, ""]) -> Drawn:
        times = number * block + jnp.arange(block, dtype=number.dtype)
        return Drawn(number, tuple(draw(piece.keys, times) for piece in pieces))

    def once(t: Int[Array, ""], carry: tuple[Drawn, tuple[Any, ...]]) -> tuple[Drawn, tuple[Any, ...]]:
        held = lax.cond(carry[0].number != t // block, lambda: draws(t // block), lambda: carry[0])
        moved = []
        for piece, drawn, (params, state, lost) in zip(pieces, held.values, carry[1], strict=True):
            own = jax.tree.map(lambda values: values[t % block], drawn)
            params, state, value = step(params, state, piece.settings, own)
            moved.append((params, state, jnp.where(jnp.isfinite(value), lost, jnp.minimum(lost, t))))
        return held, tuple(moved)

    def advance(carry: tuple[Progressed, Drawn]) -> tuple[Progressed, Drawn]:
        now, held = carry
        begin, end = schedule[jnp.maximum(now.record - 1, 0)], schedule[now.record]
        states = _cut((now.params, now.state, jnp.broadcast_to(end, now.taken.shape)), loop.pieces)
        held, states = lax.fori_loop(begin, end, once, (held, states))
        params, state, first = _glued(states)
        measured: Measured = measure(params, runs.start, runs.keys, end)
        active, finite = ~now.stopped, jnp.isfinite(measured.loss)
        good = active & finite
        records = jax.tree.map(
            lambda record, value: record.at[now.record].set(jnp.where(_like(active, value), value, jnp.nan)),
            now.records,
            measured,
        )
        if report is not None:
            jax.debug.callback(report, end)
        stop = ~finite
        if measured.risk is not None:
            stop |= measured.risk <= loop.limit.astype(measured.risk.dtype)
        best = now.best
        if best is not None and loop.patience is not None and measured.validation is not None:
            better = good & (measured.validation < best.loss)
            fresh = Best(params, measured.validation, jnp.broadcast_to(end, better.shape), jnp.zeros_like(best.waited))
            best = _pick(better, fresh, best._replace(waited=best.waited + 1))
            stop |= best.waited >= loop.patience
        now = Progressed(
            now.record + 1,
            _pick(good, params, now.params),
            _pick(good, state, now.state),
            now.stopped | stop,
            jnp.where(active & ~finite, first, now.diverged_at),
            jnp.where(good, end, now.taken),
            records,
            best,
        )
        return now, held

    none = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(draws, schedule[0]))
    start = (now, none._replace(number=none.number - 1))
    return lax.while_loop(lambda carry: (carry[0].record < until) & ~carry[0].stopped.all(), advance, start)[0]


def _like(condition: Bool[Array, "..."], value: Array) -> Bool[Array, "..."]:
    """The condition of each run, with as many axes as the value."""
    return condition.reshape(condition.shape + (1,) * (jnp.ndim(value) - condition.ndim))


def _pick(condition: Bool[Array, "..."], new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(_like(condition, a), a, b), new, old)


def _floating(value: Array) -> Float[Array, "..."]:
    """A metric as a float, for NaN marks where there is none: counts and truths become floats."""
    value = jnp.asarray(value)
    return value if jnp.issubdtype(value.dtype, jnp.floating) else value.astype(float)


def _cut(tree: Any, pieces: int) -> tuple[Any, ...]:
    """The pieces along the leading axis of all leaves, as nearly equal as can be."""
    if pieces == 1:
        return (tree,)
    bounds = np.arange(pieces + 1) * jax.tree.leaves(tree)[0].shape[0] // pieces
    return tuple(jax.tree.map(lambda leaf, i=i, j=j: leaf[i:j], tree) for i, j in itertools.pairwise(bounds))


def _glued(pieces: tuple[Any, ...]) -> Any:
    """The tree that was cut."""
    return pieces[0] if len(pieces) == 1 else jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *pieces)
