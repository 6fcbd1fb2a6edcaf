"""Figures as files: one look for all, the same bytes for the same data."""

import io
from collections.abc import Callable, Mapping
from typing import Any

import matplotlib
from matplotlib.figure import Figure

_STYLE: Any = {"font.size": 10, "svg.fonttype": "none", "svg.hashsalt": "rfjax", "axes.axisbelow": True}


def rendered(draw: Callable[[], Mapping[str, Figure]]) -> dict[str, bytes]:
    """File names and contents, NAME.png and NAME.svg, of the figures that `draw()` returns by name."""
    with matplotlib.rc_context(_STYLE):
        return {f"{name}.{kind}": _bytes(figure, kind) for name, figure in draw().items() for kind in ("png", "svg")}


def _bytes(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
    return buffer.getvalue()
