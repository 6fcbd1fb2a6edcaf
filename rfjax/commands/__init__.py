"""Subcommands: one file each, a dataclass whose fields are its options and whose `run` does the work."""

from typing import Any

from rfjax.commands.compare import Compare
from rfjax.commands.gram import Gram
from rfjax.commands.report import Report
from rfjax.commands.separation import Separation
from rfjax.commands.version import Version

COMMANDS: dict[str, Any] = {
    "compare": Compare,
    "gram": Gram,
    "report": Report,
    "separation": Separation,
    "version": Version,
}

__all__ = ["COMMANDS", "Compare", "Gram", "Report", "Separation", "Version"]
