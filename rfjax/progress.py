"""A progress bar for long work; off unless asked for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Progress = Callable[[int, int], None]


@contextmanager
def reporter(progress: bool | Progress, total: int, name: str) -> Iterator[Callable[[Any], None] | None]:
    """A function of what is done of `total`, or None for no report at all.  `progress=True` is a bar on stderr.

    **Raises** ImportError, with the line that installs it, when a bar is asked for without rich.
    """
    if callable(progress):
        yield lambda done: progress(int(done), total)
    elif progress:
        try:
            from rich.console import Console
            from rich.progress import Progress as Bar
        except ImportError as error:
            raise ImportError("progress=True needs rich: pip install 'rfjax[experiments]'") from error
        with Bar(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(name, total=total)
            yield lambda done: bar.update(task, completed=int(done))
    else:
        yield None
