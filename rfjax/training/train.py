"""The gradient-descent baseline: any model, any optax optimiser, one compiled loop, many runs at once."""

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from rfjax import checks
from rfjax.networks import Function, Layer, Params, as_function, has_dropout
from rfjax.progress import Progress, reporter
from rfjax.tasks import Task
from rfjax.training.axes import SEED, plan, starts
from rfjax.training.checkpoint import Checkpoints
from rfjax.training.history import History
from rfjax.training.loop import Loop, Optimizer, Progressed, Runs, begin, descend
from rfjax.training.metrics import Metric
from rfjax.training.objectives import ExactRisk, half_mean_square
from rfjax.training.run import Run
from rfjax.training.source import Source

RECORDS = 100  # in a history, when nothing is said
_AHEAD = 64  # steps that are drawn for at once, at most
_PIECES, _PIECE = 8, 16  # of the vector of runs: at most so many, as each lengthens the program, of so many at least


def train(
    net: Layer | Function | Any,
    data: tuple[Float[Array, "n d"], Float[Array, "n ..."]] | Task,
    *,
    optimizer: Optimizer,
    steps: int,
    key: PRNGKeyArray | None = None,
    params: Params | None = None,
    settings: Mapping[str, Any] | None = None,
    batch_size: int | None = None,
    loss: Callable[[Array, Array], Float[Array, ""]] = half_mean_square,
    exact: bool = False,
    task: Task | None = None,
    target_risk: float | None = None,
    validation: tuple[Float[Array, "m d"], Float[Array, "m ..."]] | None = None,
    patience: int | None = None,
    record: int | Sequence[int] | None = None,
    metrics: Mapping[str, Metric] | None = None,
    checkpoint: str | Path | None = None,
    progress: bool | Progress = False,
) -> Run:
    """Train a network, or any f(params, X), with any optax optimiser, in one compiled loop.

        rf.train(net, (X, y), ...)                       full batch; with batch_size, rows drawn uniformly each step
        rf.train(net, task, batch_size=512, ...)         a fresh batch of the task every step
        rf.train(neuron, task, exact=True, ...)          descent on ½E(f − g)² itself, no samples: one hidden layer of
                                                         (leaky) ReLU neurons on a task that is a sum of such neurons

    The loss is ½·mean‖f(x) − y‖² unless `loss(predictions, y)` says otherwise.  Training starts at `params`, or at
    net.init(key, d).

    **Many runs in one program.**  A `key` of shape [s] trains s seeds (given `params` then have a leading axis s).
    `settings` maps arguments of `optimizer`, which then is a function that makes one, to vectors of values: all of them
    with all, and with all seeds.  Everything in the run gains the leading axes (seed, *settings), in this order; without a
    vector of keys all settings share one start and its batches.

        rf.train(net, data, optimizer=optax.sgd, settings={"learning_rate": [0.1, 0.3], "momentum": [0.0, 0.9]}, ...)

    Computation follows the arrays: keys (or a setting's values) sharded over devices split the runs, X sharded by rows
    splits a full batch.

    **Records.**  Step 0, the last step and those in between that `record` asks for: an int is every so many steps, a
    sequence those steps, None about a hundred.  `metrics` maps names to functions of the parameters or to
    `rfjax.diagnostics`.  The exact population risk is recorded where it exists: data is a task, or `task` names the one
    behind (X, y), and the model is one hidden layer of (leaky) ReLUs.  Dropout draws new masks at every step; what is
    recorded, and the run's predictions, are without it.

    **Stops.**  `target_risk`: when a recorded risk (absolute, without ½) is at or below it.  `patience`: when the loss on
    `validation` (X, y) has not improved for so many records; the run's parameters and steps then are those of its least.
    A loss that is NaN or infinite: the run keeps the last good parameters recorded, sets `run.diverged_at`, and warns.

    `checkpoint` names a folder for the state, kept at records some ten seconds apart: the same call after a kill goes on
    from there, ends bit for bit where it would have ended, and removes it (Orbax, the extra `checkpoints`).
    `progress` True shows a bar; a function of (step, steps) is called at every record.

    It jits and vmaps (but for `checkpoint`); its loop has no reverse-mode derivative.

    **Raises** TypeError or ValueError for bad data or settings: no key where one is needed, a stream without
    batch_size, exact=True or target_risk where no exact risk exists; StorageError for a folder that cannot be written or
    holds the checkpoint of another training.
    """
    steps = checks.count("steps", steps)
    recorded = _schedule(record, steps)
    if target_risk is not None:
        checks.number("target_risk", target_risk, least=0.0)
    for name, metric in (metrics or {}).items():
        if not callable(metric):
            raise TypeError(f"metrics must map names to functions of the parameters, got {metric!r} for {name!r}")
    _check_optimizer(optimizer, settings)
    function, source = as_function(net), Source(data, batch_size, loss, exact, task)
    if key is None and (params is None or source.random or has_dropout(net)):
        raise ValueError(
            "key is required: initial parameters, batches or Dropout are random (pass key=jax.random.key(seed))"
        )
    key = jax.random.key(0) if key is None else checks.prng_key("key", key, batched=True)
    params = _initial(net, params, key, source.columns, source.dtype)
    one = jax.tree.map(lambda leaf: leaf[0], params) if key.ndim else params
    axes, keys, varied = plan(key, settings, jax.tree.leaves(params)[0].dtype)
    runs = Runs(starts(axes, params), keys, varied)
    objective = source.objective(function, net, one)
    risk = ExactRisk.of(net, source.task, one)
    if target_risk is not None and risk is None:
        raise ValueError(
            "target_risk needs an exact population risk: a task of (leaky) ReLU neurons (data or task=) and one hidden "
            "layer of such neurons as the model"
        )
    held_out = None if validation is None else source.validation(function, validation)
    if patience is not None:
        checks.count("patience", patience)
        if held_out is None:
            raise ValueError("patience counts records without a better validation loss: pass validation=(X, y)")
    limit = jnp.asarray(-jnp.inf if target_risk is None else target_risk, float)
    named_metrics = tuple((metrics or {}).items())
    ahead = 1 if checks.is_traced(runs) else _AHEAD  # under vmap runs may be at different steps, and draw at each
    loop = Loop(objective, held_out, risk, limit, named_metrics, optimizer, patience, ahead, _pieces(runs))
    schedule = jnp.asarray(recorded)
    with reporter(progress, steps, "training") as report:
        end = _descent(loop, runs, schedule, report, checkpoint)
        if report is not None:
            jax.block_until_ready(end)
    model = net if isinstance(net, Layer) else function
    last, taken = (end.params, end.taken) if end.best is None else (end.best.params, end.best.step)
    written = None if checks.is_traced(end) else int(end.record)  # of records; all of them where that is not known yet
    records = jax.tree.map(lambda record: jnp.moveaxis(record[:written], 0, -1), end.records)
    named = {name: value for (name, _), value in zip(loop.metrics, records.metrics, strict=True)}
    folded = axes.fold({"loss": records.loss, "risk": records.risk, "validation": records.validation, "metrics": named})
    history = History(schedule[:written], axes=axes, **folded)
    final, start, taken, lost = axes.fold((last, runs.start, taken, end.diverged_at))
    run = Run(model, final, start, history, taken, lost, source.columns, source.trailing)
    if not checks.is_traced(run):
        _warn_of_divergence(run)
    return run


def _descent(
    loop: Loop, runs: Runs, schedule: Int[Array, " T"], report: Any, checkpoint: str | Path | None
) -> Progressed:
    """From the first record to the last: at once, or, where the state is kept, from record to record."""
    now, count = begin(loop, runs, schedule), schedule.shape[0]
    if checkpoint is None:
        return descend(loop, runs, now, schedule, jnp.asarray(count), report)
    if checks.is_traced(now):
        raise TypeError("checkpoint= writes files and works outside of compiled functions alone")
    kept = Checkpoints(checkpoint, loop, runs, schedule)
    now = kept.read(now)
    while int(now.record) < count and not bool(now.stopped.all()):
        now = descend(loop, runs, now, schedule, now.record + 1, report)
        kept.write(now)
    kept.remove()
    return now


def _warn_of_divergence(run: Run) -> None:
    if bool(run.diverged.any()):
        kind = "seeds" if run.axes.names == (SEED,) else "runs"
        which = f" in {int(run.diverged.sum())} of {run.diverged.size} {kind}" if run.axes.names else ""
        warnings.warn(
            f"training diverged{which}: the loss was NaN or infinite at step {_at(run.diverged_at, run.diverged)}; the "
            f"parameters of step {_at(run.steps, run.diverged)}, the last recorded before, are kept (a smaller learning "
            "rate?)",
            RuntimeWarning,
            stacklevel=3,
        )


def _at(steps: Int[Array, "..."], some: Bool[Array, "..."]) -> str:
    return ", ".join(map(str, np.asarray(steps)[np.asarray(some)][:8])) + (", …" if int(some.sum()) > 8 else "")


def _check_optimizer(optimizer: Any, settings: Mapping[str, Any] | None) -> None:
    if settings is None:
        if not isinstance(optimizer, optax.GradientTransformation):
            raise TypeError(
                f"optimizer must be an optax optimiser (optax.adam(1e-2)), got {type(optimizer).__name__}; a function that "
                "makes one goes with settings="
            )
        return
    if not isinstance(settings, Mapping) or not settings:
        raise TypeError(f"settings must map arguments of the optimizer to vectors of values, got {settings!r}")
    if isinstance(optimizer, optax.GradientTransformation) or not callable(optimizer):
        raise TypeError(
            "with settings, optimizer must be a function of them that makes one (optax.sgd for "
            f'{{"learning_rate": [0.1, 0.3]}}), got {type(optimizer).__name__}'
        )


def _initial(net: Any, params: Params | None, keys: PRNGKeyArray, columns: int, dtype: Any) -> Params:
    drawn = params is None
    if drawn:
        if not hasattr(net, "init"):
            raise ValueError("params= is required: a plain function f(params, X) has no init to draw them")
        if any(base.__module__.startswith("flax.") for base in type(net).__mro__):
            raise ValueError(
                "params= is required: a Flax module is drawn by rfjax.interop.flax.from_linen(module, in_dim)"
            )
        params = (
            net.init(keys, columns)
            if isinstance(net, Layer) or not keys.ndim
            else jax.vmap(lambda k: net.init(k, columns))(keys)
        )
    params = jax.tree.map(lambda leaf: checks.floating("every parameter", leaf), checks.no_statistics(params))
    if drawn:
        params = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
    for leaf in jax.tree.leaves(params):
        if keys.ndim and (leaf.ndim == 0 or leaf.shape[0] != keys.shape[0]):
            raise ValueError(
                f"with key of shape [{keys.shape[0]}] every parameter must have a leading axis of that size, "
                f"got shape {list(leaf.shape)}"
            )
    return params


def _pieces(runs: Runs) -> int:
    """One a core, of many runs on a CPU, where the products of a batch are done on one core; otherwise one."""
    if not runs.keys.ndim or checks.is_traced(runs) or jax.default_backend() != "cpu":
        return 1
    if any(len(leaf.devices()) > 1 for leaf in jax.tree.leaves(runs)):  # they are split already
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, _PIECES, runs.keys.shape[0] // _PIECE))


def _schedule(record: int | Sequence[int] | None, steps: int) -> Int[np.ndarray, " T"]:
    """The steps to record: 0, those asked for, and the last."""
    if record is None:
        record = max(1, steps // RECORDS)
    if isinstance(record, (int, np.integer)):
        asked = np.arange(0, steps, checks.count("record", record))
    elif not isinstance(record, Sequence | np.ndarray) or isinstance(record, str):
        raise TypeError(f"record must be an integer or a sequence of steps, got {record!r}")
    else:
        asked = np.asarray([checks.count("record", value, least=0) for value in record], dtype=int)
        if asked.size and asked.max() > steps:
            raise ValueError(f"record must name steps up to steps={steps}, got {asked.max()}")
    return np.unique(np.concatenate([[0], asked, [steps]])).astype(np.int32)
