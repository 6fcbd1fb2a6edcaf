"""Cells in processes of their own: an Executor in which a process that dies takes one cell with it and no other."""

import multiprocessing
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from rfjax import checks


class Processes(Executor):
    """`workers` spawned processes.  Where one dies (out of memory, killed) its call raises BrokenProcessPool, and the
    next call gets a new process; concurrent.futures' own pool would give up all calls.

    A program that uses it needs the usual `if __name__ == "__main__":`, for spawned processes import it.
    """

    def __init__(self, workers: int):
        self._threads = ThreadPoolExecutor(checks.count("workers", workers))
        self._own = threading.local()
        self._started: set[ProcessPoolExecutor] = set()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """Call fn(*args, **kwargs) in one of the processes; all of it must pickle."""
        return self._threads.submit(self._call, fn, args, kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls.  Without `wait` what is being computed is given up."""
        pools = list(self._started)
        if not wait:
            for process in [process for pool in pools for process in (pool._processes or {}).values()]:
                process.terminate()
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)
        for pool in list(self._started):
            pool.shutdown(wait=wait)

    def _call(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        pool = getattr(self._own, "pool", None)
        if pool is None:
            pool = self._own.pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
            self._started.add(pool)
        try:
            return pool.submit(fn, *args, **kwargs).result()
        except BrokenProcessPool:
            self._own.pool = None
            self._started.discard(pool)
            pool.shutdown(wait=False)
            raise


@contextmanager
def processes(workers: int) -> Iterator[Processes | None]:
    """So many processes, gone afterwards; None for one worker, which is this process."""
    if checks.count("workers", workers) == 1:
        yield None
        return
    executor = Processes(workers)
    try:
        yield executor
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    executor.shutdown()
