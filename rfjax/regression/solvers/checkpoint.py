"""What a long solve keeps on disk, so that a kill costs it some steps only."""

import hashlib
import io
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from rfjax.kernels.description import describe
from rfjax.storage import StorageError, fingerprint, write_whole


class Checkpoint(NamedTuple):
    """A file of one array and a count, and the fingerprint of the problem that they belong to; None keeps nothing."""

    path: Path | None
    problem: str

    @classmethod
    def of(cls, path: str | None, *problem: Any) -> "Checkpoint":
        """The checkpoint of this problem, a tree of settings and arrays."""
        if path is None:
            return cls(None, "")
        leaves, tree = jax.tree.flatten(problem)
        digest = hashlib.sha256(b"".join(np.ascontiguousarray(leaf).tobytes() for leaf in leaves)).hexdigest()
        static = [describe(part) for part in problem if not isinstance(part, (jax.Array, np.ndarray))]
        return cls(Path(path), fingerprint({"arrays": digest, "tree": str(tree), "static": static}))

    def read(self) -> tuple[np.ndarray, int] | None:
        """What was kept; None where there is nothing.  Raises StorageError for a file of another problem."""
        if self.path is None or not self.path.exists():
            return None
        try:
            with np.load(self.path, allow_pickle=False) as file:
                problem, values, count = str(file["problem"]), file["values"], int(file["count"])
        except (OSError, ValueError, KeyError) as error:
            raise StorageError(f"{self.path} is no checkpoint of rfjax: choose another path") from error
        if problem != self.problem:
            raise StorageError(f"{self.path} is the checkpoint of another problem: remove it, or choose another path")
        return values, count

    def write(self, values: Any, count: int) -> None:
        """Keep them, in place of what was there."""
        if self.path is not None:
            content = io.BytesIO()
            np.savez(content, problem=self.problem, values=np.asarray(values), count=count)
            write_whole(self.path, content.getvalue())

    def remove(self) -> None:
        """At the end."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
