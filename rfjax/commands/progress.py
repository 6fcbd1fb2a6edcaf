"""What the commands of experiments share: a progress bar over cells, and quick compilation."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rfjax.experiments.cells import Progress


def compile_quickly() -> None:
    """Nearly all of a smoke preset is compilation: have XLA do less of it.  The user's own XLA_FLAGS come first."""
    flags = "--xla_backend_optimization_level=0"
    if version("jaxlib").startswith("0.10."):  # XLA stops at a flag that it does not know
        flags += " --xla_cpu_use_fusion_emitters=false"
    os.environ.setdefault("XLA_FLAGS", flags)


@contextmanager
def cells_bar() -> "Iterator[Callable[[Progress], None]]":
    """A progress bar on stderr over the cells."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description:<44}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)

        def report(progress: "Progress") -> None:
            bar.update(task, completed=progress.done, total=progress.total, description=progress.name)

        yield report
