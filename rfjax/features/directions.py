"""Directions of random neurons: stored, or drawn again from their key in every call."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rfjax.features.draws import haar


class Directions(eqx.Module):
    """`count` unit vectors [count, d], uniform on the sphere; in blocks of d at right angles where `orthogonal`."""

    rows: Float[Array, "r d"] | None
    key: PRNGKeyArray | None
    count: int = eqx.field(static=True)
    columns: int = eqx.field(static=True)
    orthogonal: bool = eqx.field(static=True)

    @classmethod
    def of(cls, key: PRNGKeyArray, count: int, columns: int, draw: str, *, stored: bool) -> "Directions":
        """`draw` is "orthogonal" or "iid"; without `stored` only the key is kept."""
        orthogonal = draw == "orthogonal"
        if stored:
            return cls(_drawn(key, count, columns, orthogonal), None, count, columns, orthogonal)
        return cls(None, key, count, columns, orthogonal)

    def ready(self) -> "Directions":
        """The same with its `rows` at hand."""
        if self.rows is not None:
            return self
        assert self.key is not None
        rows = _drawn(self.key, self.count, self.columns, self.orthogonal)
        return Directions(rows, None, self.count, self.columns, self.orthogonal)


def _drawn(key: PRNGKeyArray, count: int, columns: int, orthogonal: bool) -> Float[Array, "r d"]:
    if orthogonal:
        return haar(key, -(-count // columns), columns).reshape(-1, columns)[:count]
    rows = jax.random.normal(key, (count, columns))
    return rows / jnp.linalg.norm(rows, axis=1, keepdims=True)
