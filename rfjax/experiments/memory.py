"""How much memory a piece of work takes: what the process, or its accelerator, holds at most beyond what it held before."""

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import jax

_INTERVAL = 0.01  # seconds between looks


class Peak:
    """`bytes` at most, known when the work is done; None where the machine does not say."""

    bytes: int | None = None


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """Watch the memory that the enclosed work takes, looking a hundred times a second.

    It is that of the whole process: work that runs beside it counts too.
    """
    peak, before, stop = Peak(), _used(release=True), threading.Event()

    def watch() -> None:
        while not stop.is_set():
            look()
            stop.wait(_INTERVAL)

    def look() -> None:
        now = _used()
        if now is not None and before is not None:
            peak.bytes = max(peak.bytes or 0, now - before)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()
        look()


def _used(*, release: bool = False) -> int | None:
    """Bytes in use now; with `release`, once what is free has been given back."""
    if release and sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
    device = jax.local_devices()[0]
    if device.platform != "cpu":
        return (device.memory_stats() or {}).get("bytes_in_use")
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None
