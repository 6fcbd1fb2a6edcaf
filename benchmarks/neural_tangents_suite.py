"""neural-tangents' own tests, from its wheel, on this JAX: `python -m benchmarks.neural_tangents_suite`.

A seeded sample of its cases, module by module in turn, until the minutes are spent; a time limit each.  It needs flax,
more-itertools and absl-py beside neural-tangents.  A case that fails is run again with the random bits of older JAX
(`jax_threefry_partitionable` off): if that passes, it was written for those.  Cases that it calls large skip themselves on
a CPU; `--large` runs them.
"""

import argparse
import collections
import importlib
import itertools
import json
import pkgutil
import random
import signal
import sys
import time
import types
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax

import rfjax.interop.neural_tangents  # noqa: F401  (brings it back)
from benchmarks.report import header
from rfjax.interop.neural_tangents.overlay import Restoration, imported_over, overlays
from rfjax.interop.neural_tangents.restorations import RESTORATIONS
from rfjax.storage import write_whole

PACKAGES = ("tests", "examples")  # their names in site-packages
OWN = (
    Restoration("jax", "tree_map", lambda: jax.tree.map, "removed; jax.tree.map"),
    Restoration("jax.lax", "zeros_like_array", lambda: jax.numpy.zeros_like, "removed; jax.numpy.zeros_like"),
)
PASSED, SKIPPED, LIMIT, BITS = "passed", "skipped", "time limit", "newer random bits"


@dataclass(frozen=True)
class Outcome:
    """What became of a case: `passed`, `skipped`, or `failed` and why."""

    module: str
    case: str
    status: str
    seconds: float
    cause: str = ""
    detail: str = ""


class TimeLimit(BaseException):
    """A case took longer than it may."""


def main(arguments: list[str] | None = None) -> None:
    """Run what `arguments` (default: the command line) ask for, write JSON, print the table as markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.neural_tangents_suite", description=__doc__)
    parser.add_argument("--minutes", type=float, default=18, help="of wall time, in all")
    parser.add_argument("--limit", type=float, default=60, help="seconds, each case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--large", action="store_true", help="also what skips itself on a CPU for speed")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/neural-tangents-suite.json"))
    asked = parser.parse_args(arguments)
    modules = load()
    if asked.large:
        vars(sys.modules["tests.test_utils"])["skip_test"] = lambda case, msg="", platforms=(): None
    cases = [case for case in drawn(modules, asked.seed) if asked.only in case.id()]
    outcomes: list[Outcome] = []
    end = time.monotonic() + 60 * asked.minutes
    for case in cases:
        if time.monotonic() > end:
            break
        outcomes.append(outcome(case, asked.limit))
        print(outcomes[-1], file=sys.stderr, flush=True)
        content = {"cases": len(cases), "seed": asked.seed, "limit_s": asked.limit, **header()}
        content["outcomes"] = [asdict(o) for o in outcomes]
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(asked.out, (json.dumps(content, indent=1) + "\n").encode())
    print(table(outcomes, len(cases)))


def load() -> list[types.ModuleType]:
    """The test modules, over the same names as the package itself; not those that need TensorFlow or its data sets."""
    sys.argv = sys.argv[:1]  # they read the command line
    needed = [restoration for restoration in (*RESTORATIONS, *OWN) if restoration.needed]
    with imported_over(PACKAGES, overlays(needed), {}):
        package = importlib.import_module("tests")
        names = [info.name for info in pkgutil.walk_packages(package.__path__, "tests.")]
        loaded = [_loaded(name) for name in names if name.endswith("_test") and "experimental" not in name]
    from absl import flags

    flags.FLAGS(sys.argv)
    jax.config.update("jax_numpy_rank_promotion", "allow")
    return [module for module in loaded if module is not None]


def _loaded(name: str) -> types.ModuleType | None:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in ("tensorflow", "tensorflow_datasets"):
            raise
        return None


def drawn(modules: list[types.ModuleType], seed: int) -> list[unittest.TestCase]:
    """All cases in a random order, one of each module in turn."""
    rng = random.Random(seed)
    piles = []
    for module in modules:
        pile = list(_cases(unittest.defaultTestLoader.loadTestsFromModule(module)))
        rng.shuffle(pile)
        piles.append(pile)
    return [case for turn in itertools.zip_longest(*piles) for case in turn if case is not None]


def _cases(suite: Any) -> Iterator[unittest.TestCase]:
    if isinstance(suite, unittest.TestCase):
        yield suite
    else:
        for inner in suite:
            yield from _cases(inner)


def outcome(case: unittest.TestCase, limit: float) -> Outcome:
    """Run one case, and once more with the older random bits if it fails."""
    module, _, name = case.id().partition(" ")[0].partition("_test.")
    start = time.monotonic()
    status, detail = _run(case, limit)
    cause = detail
    if status == "failed" and cause != LIMIT:
        with jax.threefry_partitionable(False):
            if _run(case, 2 * limit)[0] == PASSED:
                cause = BITS
    return Outcome(module.removeprefix("tests."), name, status, round(time.monotonic() - start, 1), cause, detail)


def _run(case: unittest.TestCase, limit: float) -> tuple[str, str]:
    result = unittest.TestResult()
    try:
        with _time_limit(limit), jax.numpy_rank_promotion("raise"):
            case.run(result)
    except TimeLimit:
        return "failed", LIMIT
    wrong = result.errors + result.failures
    if wrong:
        trace = wrong[0][1]
        return "failed", LIMIT if "TimeLimit" in trace else _cause(trace)
    return (SKIPPED, result.skipped[0][1]) if result.skipped else (PASSED, "")


def _cause(trace: str) -> str:
    """The line of the exception, or the first of several."""
    lines = trace.strip().splitlines()
    start = next((i for i, line in enumerate(lines) if line[:1].isalpha() and not line.startswith("Traceback")), -1)
    return " ".join(" ".join(lines[start:]).split())[:300]


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise TimeLimit

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def table(outcomes: list[Outcome], total: int) -> str:
    """Rows of modules, and the causes of what failed."""
    lines = [
        f"{len(outcomes)} of {total} cases.",
        "",
        "| tests | run | passed | skipped | failed |",
        "|---|---|---|---|---|",
    ]
    for module, found in itertools.groupby(sorted(outcomes, key=lambda o: o.module), key=lambda o: o.module):
        lines.append(_row(module, list(found)))
    lines += [_row("all", outcomes), ""]
    causes = collections.Counter(o.cause for o in outcomes if o.status == "failed")
    lines += ["| why it failed | cases |", "|---|---|"] + [f"| {c} | {n} |" for c, n in causes.most_common()]
    return "\n".join(lines)


def _row(name: str, outcomes: list[Outcome]) -> str:
    count = collections.Counter(o.status for o in outcomes)
    return f"| {name} | {len(outcomes)} | {count[PASSED]} | {count[SKIPPED]} | {count['failed']} |"


if __name__ == "__main__":
    main()
