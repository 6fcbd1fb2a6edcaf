"""A progress bar for long runs; off unless asked for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Progress = Callable[[int, int], None]


@contextmanager
def reporter(progress: bool | Progress, steps: int) -> Iterator[Callable[[Any], None] | None]:
    """A function of the step to call at every record, or None for no report at all.

    **Raises** ImportError, with the line that installs it, when a bar is asked for without rich.
    """
    if callable(progress):
        yield lambda step: progress(int(step), steps)
    elif progress:
        try:
            from rich.progress import Progress as Bar
        except ImportError as error:
            raise ImportError("progress=True needs rich: pip install 'rfjax[experiments]'") from error
        with Bar(transient=True) as bar:
            task = bar.add_task("training", total=steps)
            yield lambda step: bar.update(task, completed=int(step))
    else:
        yield None
