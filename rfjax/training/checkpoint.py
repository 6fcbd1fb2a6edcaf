"""What a long run keeps on disk, through Orbax: a killed run goes on from there, and ends as if nothing had happened."""

import contextlib
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from rfjax.kernels.description import describe
from rfjax.storage import StorageError, fingerprint, open_folder
from rfjax.training.loop import Progressed

SECONDS = 10.0  # between checkpoints, at least


class Checkpoints:
    """A folder with the last state of one run, and the fingerprint of the training that it belongs to."""

    def __init__(self, folder: str | Path, *problem: Any):
        try:
            import orbax.checkpoint as ocp
        except ImportError as error:
            raise ImportError("checkpoint= needs Orbax: pip install 'rfjax[checkpoints]'") from error
        self._folder = open_folder(Path(folder).absolute())
        self._problem = fingerprint({"problem": describe(problem)})
        self._orbax, self._written = ocp, time.monotonic()
        options = ocp.CheckpointManagerOptions(max_to_keep=1, enable_async_checkpointing=False)
        self._manager = ocp.CheckpointManager(self._folder, options=options)

    def read(self, like: Progressed) -> Progressed:
        """What was kept; `like` itself where there is nothing.  Raises StorageError for that of another training."""
        found, args = self._manager.latest_step(), self._orbax.args
        if found is None:
            return like
        wanted = jax.tree.map(_plain, jax.tree.leaves(like))
        try:
            about = self._manager.restore(found, args=args.Composite(about=args.JsonRestore())).about
            if about != {"problem": self._problem}:
                raise StorageError(
                    f"{self._folder} has the checkpoint of another training: remove it, or choose another folder"
                )
            restore = args.StandardRestore(jax.tree.map(self._orbax.utils.to_shape_dtype_struct, wanted))
            leaves = self._manager.restore(found, args=args.Composite(run=restore)).run
        except (OSError, ValueError, KeyError) as error:
            raise StorageError(f"{self._folder} has no checkpoint that can be read: choose another folder") from error
        return jax.tree.unflatten(
            jax.tree.structure(like),
            [_typed(leaf, old) for leaf, old in zip(leaves, jax.tree.leaves(like), strict=True)],
        )

    def write(self, now: Progressed) -> None:
        """Keep it in place of what was there, unless that was done a moment ago."""
        if time.monotonic() - self._written < SECONDS:
            return
        args = self._orbax.args
        run = args.StandardSave(jax.tree.map(_plain, jax.tree.leaves(now)))
        try:
            self._manager.save(
                int(now.record),
                args=args.Composite(run=run, about=args.JsonSave({"problem": self._problem})),
                force=True,
            )
        except OSError as error:
            raise StorageError(f"cannot write to the folder {self._folder}: {error.strerror}") from error
        self._written = time.monotonic()

    def remove(self) -> None:
        """At the end: what this training wrote, and the folder if nothing else is in it."""
        for step in self._manager.all_steps():
            self._manager.delete(step)
        self._manager.close()
        with contextlib.suppress(OSError):
            self._folder.rmdir()


def _plain(leaf: Any) -> Any:
    """Orbax stores arrays; a random key is its data."""
    return jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf


def _typed(leaf: Any, like: Any) -> Any:
    if jnp.issubdtype(like.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(leaf, impl=jax.random.key_impl(like))
    return leaf
