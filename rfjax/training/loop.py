"""The compiled loop: descend from one recorded step to the next, measure, and stop where there is reason to."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from rfjax.networks import Params
from rfjax.training.objectives import ExactRisk, Objective
from rfjax.training.run import History

Metric = Callable[[Params], Float[Array, ""]]
Measured = tuple[Float[Array, "..."], Float[Array, "..."], tuple[Float[Array, "..."], ...]]


class Loop(eqx.Module):
    """Everything a run is made of but its start: two runs with equal static parts share one compilation."""

    objective: Objective
    risk: ExactRisk | None
    limit: Float[Array, ""]
    optimizer: optax.GradientTransformation = eqx.field(static=True)
    metrics: tuple[tuple[str, Metric], ...] = eqx.field(static=True)
    report: Callable[[Any], None] | None = eqx.field(static=True)

    def step(self, params: Params, state: Any, key: PRNGKeyArray, time: Int[Array, ""]) -> tuple[Params, Any]:
        """One update of the optimiser."""
        value, gradient = jax.value_and_grad(self.objective.loss)(params, jax.random.fold_in(key, time))
        updates, state = optax.with_extra_args_support(self.optimizer).update(
            gradient,
            state,
            params,
            value=value,
            grad=gradient,
            value_fn=lambda p: self.objective.loss(p, jax.random.fold_in(key, time)),
        )
        return optax.apply_updates(params, updates), state

    def measure(self, params: Params, key: PRNGKeyArray, time: Int[Array, ""]) -> Measured:
        """Loss, risk (NaN where there is none) and metrics of the current parameters."""
        loss = self.objective.report(params, jax.random.fold_in(jax.random.fold_in(key, 1), time))
        if isinstance(self.objective, ExactRisk):
            risk = 2 * loss  # computing it again would only lengthen the program
        else:
            risk = jnp.full_like(loss, jnp.nan) if self.risk is None else self.risk.risk(params)
        return loss, risk, tuple(_floating(metric(params)) for _, metric in self.metrics)


class _Carry(eqx.Module):
    index: Int[Array, ""]
    params: Params
    state: Any
    stopped: Bool[Array, "..."]
    diverged: Bool[Array, "..."]
    taken: Int[Array, "..."]
    records: Measured


@eqx.filter_jit
def descend(
    loop: Loop, params: Params, keys: PRNGKeyArray, schedule: Int[Array, " T"]
) -> tuple[Params, History, Int[Array, "..."], Bool[Array, "..."], Int[Array, ""]]:
    """Parameters, history, steps taken, whether diverged, and how many records were written.

    With a vector of keys every parameter has a leading axis.  The loop itself is over unbatched step counts, so that
    seeds pay no selects inside it; those that have stopped keep their parameters from record to record.
    """
    seeds = keys.ndim == 1
    data_keys = jax.vmap(_data_key)(keys) if seeds else _data_key(keys)
    step = jax.vmap(loop.step, (0, 0, 0, None)) if seeds else loop.step
    measure = jax.vmap(loop.measure, (0, 0, None)) if seeds else loop.measure
    state = jax.vmap(loop.optimizer.init)(params) if seeds else loop.optimizer.init(params)

    def keep(condition: Bool[Array, "..."], new: Any, old: Any) -> Any:
        def pick(a: Array, b: Array) -> Array:
            return jnp.where(condition.reshape(condition.shape + (1,) * (jnp.ndim(a) - condition.ndim)), a, b)

        return jax.tree.map(pick, new, old)

    def advance(carry: _Carry) -> _Carry:
        begin, end = schedule[jnp.maximum(carry.index - 1, 0)], schedule[carry.index]
        new_params, new_state = lax.fori_loop(
            begin, end, lambda t, ps: step(ps[0], ps[1], data_keys, t), (carry.params, carry.state)
        )
        measured = measure(new_params, data_keys, end)
        active, finite = ~carry.stopped, jnp.isfinite(measured[0])
        records = jax.tree.map(
            lambda record, value: record.at[carry.index].set(jnp.where(active, value, jnp.nan)), carry.records, measured
        )
        if loop.report is not None:
            jax.debug.callback(loop.report, end)
        reached = measured[1] <= loop.limit.astype(measured[1].dtype)
        return _Carry(
            carry.index + 1,
            keep(active & finite, new_params, carry.params),
            keep(active & finite, new_state, carry.state),
            carry.stopped | reached | ~finite,
            carry.diverged | (active & ~finite),
            jnp.where(active & finite, end, carry.taken),
            records,
        )

    shapes = jax.eval_shape(measure, params, data_keys, schedule[0])
    blank = jax.tree.map(lambda leaf: jnp.full((schedule.shape[0], *leaf.shape), jnp.nan, leaf.dtype), shapes)
    idle = jnp.zeros(keys.shape, bool)
    start = _Carry(
        jnp.zeros((), schedule.dtype), params, state, idle, idle, jnp.zeros(keys.shape, schedule.dtype), blank
    )
    end = lax.while_loop(lambda c: (c.index < schedule.shape[0]) & ~c.stopped.all(), advance, start)
    loss, risk, metrics = jax.tree.map(lambda record: jnp.moveaxis(record, 0, -1), end.records)
    named = {name: value for (name, _), value in zip(loop.metrics, metrics, strict=True)}
    history = History(schedule, loss, None if loop.risk is None else risk, named)
    return end.params, history, end.taken, end.diverged, end.index


def _floating(value: Array) -> Float[Array, "..."]:
    """A metric as a float, for NaN marks where there is none: counts and truths become floats."""
    value = jnp.asarray(value)
    return value if jnp.issubdtype(value.dtype, jnp.floating) else value.astype(float)


def _data_key(key: PRNGKeyArray) -> PRNGKeyArray:
    """Batches draw from their own stream: the run's key itself has drawn the initial parameters."""
    return jax.random.fold_in(key, 0xDA7A)
