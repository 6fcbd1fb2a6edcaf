"""What a benchmark measured: rows, the file that holds them, and the table that shows them."""

import dataclasses
import datetime
import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.timing import GEMM, Times, at_gemm_rate, peak_rss_bytes
from rfjax.experiments.cells import environment
from rfjax.storage import write_whole


@dataclass(frozen=True)
class Row:
    """One measurement.

    seconds: of a call, median of `repetitions`.  ratio: those by the seconds of `against`, in the same rounds.
    temp_bytes: of the compiled call, beside arguments and result.  peak_rss_bytes: of the process, until then.
    compilations: during the timed calls.  error: worst, in units of √(k(x,x)k(y,y)).  target: the most that the fields
    named there may be.
    """

    group: str
    name: str
    settings: dict[str, Any]
    seconds: float | None = None
    repetitions: int | None = None
    against: str | None = None
    ratio: float | None = None
    temp_bytes: int | None = None
    peak_rss_bytes: int | None = None
    compilations: int | None = None
    error: float | None = None
    target: dict[str, float] = field(default_factory=dict)
    note: str | None = None

    @property
    def met(self) -> bool | None:
        """Whether every target is met; None without any, or where one was not measured."""
        values = [(getattr(self, name), most) for name, most in self.target.items()]
        if not values or any(value is None for value, _ in values):
            return None
        return all(value <= most for value, most in values)


def beside(
    group: str, name: str, settings: dict[str, Any], times: Times, one: str, other: str, target: dict[str, float]
) -> Row:
    """The row of `one` contestant against the `other`."""
    return Row(
        group,
        name,
        settings,
        seconds=times.seconds(one),
        repetitions=len(times.rounds),
        against=other,
        ratio=times.ratio(one, other),
        peak_rss_bytes=peak_rss_bytes(),
        target=target,
    )


def at_roofline(row: Row, multiplications: float) -> Row:
    """The same call beside the least that its `multiplications` could take, in the precision of its settings."""
    least = at_gemm_rate(multiplications, row.settings["dtype"])
    assert row.seconds is not None
    return dataclasses.replace(row, against=GEMM, ratio=row.seconds / least, target={}, note=None)


def header() -> dict[str, Any]:
    """When, of which code, and on what: nothing that names the machine or a folder of it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "cpu": _cpu(),
        "cores": cores,
        "tunables": os.environ.get("GLIBC_TUNABLES"),  # of the allocator: huge pages halve the cost of large results
        **environment(),
    }


def record(path: Path, about: dict[str, Any], rows: list[Row]) -> None:
    """Write the file, whole.  Raises StorageError when the folder cannot be written."""
    content = {**about, "rows": [dataclasses.asdict(row) | {"met": row.met} for row in rows]}
    write_whole(path, (json.dumps(content, indent=1) + "\n").encode())


def table(about: dict[str, Any], rows: list[Row]) -> None:
    """Print the rows, a line each, under what they were measured on."""
    from rich.console import Console
    from rich.table import Table

    width = None if sys.stdout.isatty() else 160
    console, device, versions = Console(width=width), about["device"], about["versions"]
    console.print(f"{device['kind']} x {device['count']}, {about['cpu']}, {about['cores']} cores", highlight=False)
    console.print(
        f"rfjax {versions['rfjax']} ({about['commit']}), jax {versions['jax']}, {about['date']}", highlight=False
    )
    columns = Table("group", "what", "settings", box=None)
    for name in ("seconds", "ratio", "temp MiB", "error"):
        columns.add_column(name, justify="right")
    for name in ("target", "met"):
        columns.add_column(name)
    for row in rows:
        settings = " ".join(f"{name}={value}" for name, value in row.settings.items() if name not in ("dtype", "m"))
        columns.add_row(
            row.group,
            row.name,
            settings,
            "" if row.seconds is None else f"{row.seconds:.3g}",
            "" if row.ratio is None else f"{row.ratio:.2f}",
            "" if row.temp_bytes is None else f"{row.temp_bytes / 2**20:.1f}",
            "" if row.error is None else f"{row.error:.1e}",
            row.note or ", ".join(f"{name} ≤ {most:.3g}" for name, most in row.target.items()),
            {None: "", True: "yes", False: "no"}[row.met],
        )
    console.print(columns)


def rendered(files: list[dict[str, Any]]) -> str:
    """Everything that was measured as one page of Markdown: a table a file, under the machine, versions and commit."""
    text = "# Measured\n\nWritten by `python -m benchmarks --render` from the files in docs/measured; what the groups\n"
    text += "are, and what a row says: [benchmarks](benchmarks.md).\n"
    for about in files:
        device, versions, only = about["device"], about["versions"], about.get("only")
        text += f"\n## {about['suite']}{f', {only}' if only else ''}\n\n"
        text += (
            f"{device['kind']} x {device['count']}, {about['cpu']}, {about['cores']} cores; rfjax {versions['rfjax']} "
        )
        text += f"({about['commit']}), jax {versions['jax']}, {about['date'][:10]}"
        text += f"; {about['tunables']}.\n\n" if about.get("tunables") else ".\n\n"
        text += "| group | what | settings | seconds | ratio | of | error | target | met |\n" + "|---" * 9 + "|\n"
        text += "".join(_line(row) for row in about["rows"])
    return text


def _line(row: dict[str, Any]) -> str:
    """A row of a Markdown table."""
    cells = [
        row["group"],
        row["name"],
        " ".join(f"{name}={value}" for name, value in row["settings"].items() if name not in ("dtype", "stderr")),
        "" if row["seconds"] is None else f"{row['seconds']:.3g}",
        "" if row["ratio"] is None else f"{row['ratio']:.2f}",
        row["against"] or "",
        "" if row["error"] is None else f"{row['error']:.2g}",
        ", ".join(f"{name} ≤ {most:.3g}" for name, most in row["target"].items()),
        {None: "", True: "yes", False: "no"}[row["met"]],
    ]
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |\n"


def _commit() -> str | None:
    """The commit, with a + where tracked files have changed since; None outside a repository."""
    commit = _git("rev-parse", "--short=12", "HEAD")
    return commit and commit + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _cpu() -> str:
    """The processor's model."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
