"""Seconds, bytes and compilations of calls.

Contestants take turns, repetition by repetition: what slows the machine down for a while slows all of them, and drops out
of their ratios.
"""

import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

Call = Callable[[], Any]
_COMPILED = "/jax/core/compile/backend_compile_duration"


class Times:
    """Seconds of every contestant in every round."""

    def __init__(self, rounds: list[dict[str, float]]):
        self.rounds = rounds

    def seconds(self, name: str) -> float:
        """The median."""
        return median(times[name] for times in self.rounds)

    def ratio(self, name: str, against: str) -> float:
        """The median over rounds of one contestant's seconds by another's in the same round."""
        return median(times[name] / times[against] for times in self.rounds)


def interleaved(contestants: Mapping[str, Call], repetitions: int) -> Times:
    """Time all contestants in turn, `repetitions` times, each call to its end.  One round before that compiles."""
    names = list(contestants)
    for name in names:
        jax.block_until_ready(contestants[name]())
    rounds = []
    for i in range(repetitions):
        turn = names[i % len(names) :] + names[: i % len(names)]  # nobody always runs after the same other
        rounds.append({name: _timed(contestants[name]) for name in turn})
    return Times(rounds)


GEMM = "its multiplications at GEMM rate"


def at_gemm_rate(multiplications: float, dtype: str = "float32", size: int = 2048) -> float:
    """The seconds that so many multiplications with additions take at the rate of a bare matrix product.

    The roofline of work that is too long to be repeated: the rate is measured beside it, on square matrices.
    """
    with jax.enable_x64(dtype == "float64"):
        product = jax.jit(partial(jnp.matmul, precision=lax.Precision.HIGHEST))
        A = jnp.ones((size, size), dtype)
        times = interleaved({GEMM: lambda: product(A, A)}, 5)
    return multiplications * times.seconds(GEMM) / size**3


def compiled(function: Callable[..., Any], *arguments: Any) -> tuple[Call, int | None]:
    """The jitted call, compiled, and what it holds beside its arguments and result by the compiler's own account."""
    program = jax.jit(function).lower(*arguments).compile()
    analysis = program.memory_analysis()
    return partial(program, *arguments), None if analysis is None else int(analysis.temp_size_in_bytes)


def peak_rss_bytes() -> int:
    """The most memory the process has held until now."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@contextmanager
def compilations() -> Iterator[list[str]]:
    """A list that has one entry for every program compiled inside."""
    events: list[str] = []

    def listen(event: str, duration_secs: float, **_: str | int) -> None:
        if event == _COMPILED:
            events.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield events
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def _timed(call: Call) -> float:
    start = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - start
