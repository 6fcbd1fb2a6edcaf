"""How an empirical NTK is computed: which algorithm, in which blocks, within which memory.

The time of an algorithm is modelled as flops + balance·bytes, in floating operations, where `balance` is how many the
device does while it moves a byte; its memory is what one tile keeps.  Both are counted from the jaxpr of the model:

    structured       forward and backward once a point and output; then for every weight, two Gram matrices of its
                     factors, or its derivative formed and contracted, whichever is less
    contraction      the same with every derivative formed by reverse mode, and contracted: 2·n·m·c·P
    vector_products  a backward pass for every y and output, a forward-mode pass for every x, y and output
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

from rfjax.tangent.rows import Kept
from rfjax.tangent.uses import Layout, Use

METHODS = ("structured", "contraction", "vector_products")
BALANCE = {"cpu": 8.0}  # flops a byte: a core does some 50 GF/s and shares some 10 GB/s
_ACCELERATOR_BALANCE = 20.0  # an H100 does 67 TF/s of float32 and moves 3.35 TB/s
_CONVOLUTION = {"cpu": 20.0}  # a convolution's own derivative for its weights, one a point, has no fast code on a CPU


class Part(NamedTuple):
    """The kernel of some of the parameters: what is kept of them, and the blocks of a tile.

    `rows` and `columns` points a tile, `outputs` of them at once, `chunk` points whose derivatives are taken together.
    """

    kept: Kept
    vectors: bool
    rows: int
    columns: int
    outputs: int
    chunk: int


class Plan(NamedTuple):
    """Parts that sum to the kernel, by one method."""

    method: str
    parts: tuple[Part, ...]


class Problem(NamedTuple):
    """What is asked for: n x m points, `outputs` kept apart how, and the device that it is for."""

    layout: Layout
    n: int
    m: int
    symmetric: bool
    seeds: int
    mode: str
    itemsize: int
    bound: int
    device: str

    @property
    def pairs(self) -> int:
        """Of outputs at one pair of points."""
        return self.seeds**2 if self.mode == "full" else self.seeds

    @property
    def points(self) -> int:
        """Where derivatives are needed."""
        return self.n if self.symmetric else self.n + self.m


def plan(problem: Problem, method: str) -> Plan:
    """The quickest way that fits, or the one that `method` names.

    **Raises** ValueError when one row does not fit the bound.
    """
    found: list[tuple[float, Plan]] = []
    least = math.inf
    for name in METHODS if method == "auto" else (method,):
        time, parts, needed = _within(problem, name)
        least = min(least, needed)
        if parts:
            found.append((time, Plan(name, parts)))
    if not found:
        raise ValueError(
            f"the memory bound of {problem.bound} bytes is too small for one row of this empirical NTK: at least "
            f"{int(least) + 1} bytes are needed (rf.kernels.memory_bound), or a subset of the parameters (parameters=)"
        )
    return min(found, key=lambda candidate: candidate[0])[1]


def seconds(problem: Problem, method: str) -> float:
    """The modelled time of a method without a memory bound, in floating operations of the device."""
    return _time(problem, method, _kept(problem, method, range(len(problem.layout.sizes))))


def _kept(problem: Problem, method: str, leaves: range) -> Kept:
    layout = problem.layout
    inside = [use for use in layout.uses if use.leaf in leaves]
    if method != "structured":
        return Kept((), (), tuple(leaves))
    factored = tuple(use for use in inside if _factored(problem, use) < _formed(problem, use))
    formed = tuple(use for use in inside if use not in factored)
    return Kept(factored, formed, tuple(i for i in layout.rest if i in leaves))


def _balance(problem: Problem) -> float:
    return BALANCE.get(problem.device, _ACCELERATOR_BALANCE) * problem.itemsize


def _factored(problem: Problem, use: Use) -> float:
    """The time of a weight's two Gram matrices, and of what they read and write."""
    places = problem.n * problem.m * use.groups * use.places**2
    kept = problem.points * use.groups * use.places * (use.inputs + problem.seeds * use.outputs)
    held = places * (1 + (problem.pairs if problem.mode != "sum" else 1))
    return 2 * places * (use.inputs + problem.pairs * use.outputs) + _balance(problem) * (held + kept)


def _formed(problem: Problem, use: Use) -> float:
    """The time of forming a weight's derivatives from its factors, and of contracting them."""
    made = problem.points * problem.seeds * use.entries
    return 2 * made * use.places + _contracted(problem, use.entries)


def _contracted(problem: Problem, entries: int) -> float:
    """The time of writing and reading derivatives, and of their products."""
    moved = 2 * problem.points * problem.seeds * entries
    return 2 * problem.n * problem.m * problem.pairs * entries + _balance(problem) * moved


def _time(problem: Problem, method: str, kept: Kept) -> float:
    layout, balance = problem.layout, _balance(problem)
    passes = (1 + problem.seeds) * (layout.flops + balance * layout.held)
    if method == "vector_products":
        P = sum(layout.sizes[i] for i in kept.rest)
        pull = problem.m * (passes + problem.seeds * (layout.flops + balance * P))
        push = problem.n * problem.m * problem.seeds * (2 * layout.flops + 2 * balance * layout.held)
        return pull + push + balance * 2 * problem.m * problem.seeds * P
    time = problem.points * passes
    time += sum(_factored(problem, use) for use in kept.factored) + sum(_formed(problem, use) for use in kept.formed)
    plain = [use for use in layout.uses if use.leaf in kept.rest]
    slow = _CONVOLUTION.get(problem.device, 1.0)
    for use in plain:
        own = 2 * problem.points * problem.seeds * use.entries * use.places
        time += own * (slow if use.convolution else 1.0)
    return time + sum(_contracted(problem, layout.sizes[i]) for i in kept.rest)


def _within(problem: Problem, method: str) -> tuple[float, tuple[Part, ...], float]:
    """Time, parts (none where one row does not fit) and the bytes that one row needs, for the best division into parts."""
    best: tuple[float, tuple[Part, ...]] = (math.inf, ())
    least = math.inf
    for groups in _groups(problem.layout, method):
        time, parts, needed = 0.0, [], 0.0
        for group in groups:
            kept = _kept(problem, method, group)
            part, repeats, own = _blocks(problem, method, kept)
            needed = max(needed, own)
            if part is not None:
                parts.append(part)
                time += _time(problem, method, kept) * repeats
        least = min(least, needed)
        # A part is a program of its own: several only where they save much.
        if len(parts) == len(groups) and time * (1.3 if len(parts) > 1 else 1.0) < best[0]:
            best = (time, tuple(parts))
        if best[1] and best[0] < 1.01 * _time(
            problem, method, _kept(problem, method, range(len(problem.layout.sizes)))
        ):
            break  # all at once: nothing to save
    return *best, least


def _groups(layout: Layout, method: str) -> Iterator[list[range]]:
    """The leaves in 1, 2, 4, … consecutive groups, of sizes as nearly equal as leaves allow."""
    count, total = len(layout.sizes), sum(layout.sizes)
    wanted, made = 1, 0
    while made < count:
        groups: list[range] = []
        start, filled = 0, 0
        for i, size in enumerate(layout.sizes):
            filled += size
            if filled >= (len(groups) + 1) * total / wanted or i == count - 1:
                groups.append(range(start, i + 1))
                start = i + 1
        made = count if wanted >= count else len(groups)
        yield groups if wanted < count else [range(i, i + 1) for i in range(count)]
        wanted *= 2
        if method == "vector_products":
            return


def _blocks(problem: Problem, method: str, kept: Kept) -> tuple[Part | None, float, float]:
    """The largest blocks within the bound, how often they repeat the work, and the bytes that the smallest need."""
    best: tuple[float, Part | None] = (math.inf, None)
    least = math.inf
    for outputs in _halves(problem.seeds):
        bands = -(-problem.seeds // outputs)
        for size in _halves(max(problem.n, problem.m)):
            rows, columns = min(size, problem.n), min(size, problem.m)
            if method == "vector_products":
                rows = problem.n
            fixed, chunk = _memory(problem, method, kept, rows, columns, outputs)
            needed = (fixed + chunk) * problem.itemsize
            least = min(least, needed)
            if needed > problem.bound:
                continue
            together = min(max(rows, columns), int((problem.bound / problem.itemsize - fixed) // max(chunk, 1)))
            down, across = -(-problem.n // rows), -(-problem.m // columns)
            tiles = down * (across + 1) / 2 if problem.symmetric else down * across
            repeats = tiles / (down if problem.symmetric else 1) * (bands if problem.mode == "full" else 1)
            repeats = max(1.0, repeats) * (1 + 0.1 * (bands - 1))
            if repeats < best[0]:
                part = Part(kept, method == "vector_products", rows, columns, outputs, max(1, together))
                best = (repeats, part)
            break  # smaller tiles repeat more
    return best[1], best[0], least


def _halves(count: int) -> Iterator[int]:
    while count > 1:
        yield count
        count = -(-count // 2)
    yield 1


def _memory(problem: Problem, method: str, kept: Kept, rows: int, columns: int, outputs: int) -> tuple[float, float]:
    """Entries that a tile of rows x columns keeps, and those that each point whose derivatives are taken adds."""
    layout = problem.layout
    uses = kept.factored + kept.formed
    plain = sum(layout.sizes[i] for i in kept.rest) + sum(use.entries for use in kept.formed)
    tile = rows * columns * (outputs**2 if problem.mode == "full" else outputs if problem.mode == "diagonal" else 1)
    held = 2 * layout.held + outputs * 3 * layout.largest
    if method == "vector_products":
        return (
            columns * outputs * plain + tile + rows * 2 * layout.held,
            held + outputs * plain + rows * 2 * layout.held,
        )
    factors = sum(use.groups * use.places * (use.inputs + outputs * use.outputs) for use in kept.factored)
    single = problem.symmetric and rows == problem.n
    per_pair = (outputs**2 if problem.mode == "full" else outputs if problem.mode == "diagonal" else 1) + 1
    squares = max((use.groups * use.places**2 * per_pair for use in kept.factored), default=0)
    points = rows if single else rows + columns
    taken = sum(use.groups * use.places * (use.inputs + outputs * use.outputs) for use in uses)
    return points * (factors + outputs * plain) + 2 * tile + rows * columns * squares, held + taken + outputs * plain
