"""The compiled loop: descend from one recorded step to the next, measure, and stop where there is reason to."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from rfjax.networks import Params
from rfjax.training.metrics import Diagnostic, Metric
from rfjax.training.objectives import ExactRisk, Objective, Samples

_DRAWN = 2**21  # bytes of what is drawn at once

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
    ahead: int = eqx.field(static=True)  # for at most how many steps is drawn at once

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
    their parameters from record to record.
    """
    data_keys = runs.each(_data_key, (0,))(runs.keys)
    step, measure = runs.each(loop.step, (0, 0, 0, 0)), runs.each(loop.measure, (0, 0, 0, None))
    draw = jax.vmap(runs.each(loop.draw, (0, None)), (None, 0))
    # Draws for a step alone cost as much in calls as in numbers.
    each = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(jax.eval_shape(draw, data_keys, schedule[:1])))
    block = max(1, min(loop.ahead, _DRAWN // max(each, 1)))

    def advance(now: Progressed) -> Progressed:
        begin, end = schedule[jnp.maximum(now.record - 1, 0)], schedule[now.record]

        def some(carry: tuple[Array, Params, Any, Array]) -> tuple[Array, Params, Any, Array]:
            start = carry[0]
            drawn = draw(data_keys, start + jnp.arange(block, dtype=start.dtype))

            def once(t: Int[Array, ""], carry: tuple[Params, Any, Array]) -> tuple[Params, Any, Array]:
                params, state, value = step(*carry[:2], runs.settings, jax.tree.map(lambda v: v[t - start], drawn))
                return params, state, jnp.where(jnp.isfinite(value), carry[2], jnp.minimum(carry[2], t))

            stop = jnp.minimum(start + block, end)
            return (stop, *lax.fori_loop(start, stop, once, carry[1:]))

        first = jnp.broadcast_to(end, now.taken.shape)
        _, params, state, first = lax.while_loop(lambda c: c[0] < end, some, (begin, now.params, now.state, first))
        measured: Measured = measure(params, runs.start, data_keys, end)
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
        return Progressed(
            now.record + 1,
            _pick(good, params, now.params),
            _pick(good, state, now.state),
            now.stopped | stop,
            jnp.where(active & ~finite, first, now.diverged_at),
            jnp.where(good, end, now.taken),
            records,
            best,
        )

    return lax.while_loop(lambda now: (now.record < until) & ~now.stopped.all(), advance, now)


def _like(condition: Bool[Array, "..."], value: Array) -> Bool[Array, "..."]:
    """The condition of each run, with as many axes as the value."""
    return condition.reshape(condition.shape + (1,) * (jnp.ndim(value) - condition.ndim))


def _pick(condition: Bool[Array, "..."], new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(_like(condition, a), a, b), new, old)


def _floating(value: Array) -> Float[Array, "..."]:
    """A metric as a float, for NaN marks where there is none: counts and truths become floats."""
    value = jnp.asarray(value)
    return value if jnp.issubdtype(value.dtype, jnp.floating) else value.astype(float)


def _data_key(key: PRNGKeyArray) -> PRNGKeyArray:
    """Batches draw from their own stream: the run's key itself has drawn the initial parameters."""
    return jax.random.fold_in(key, 0xDA7A)
