"""Subcommands: one file each, a dataclass whose fields are its options and whose `run` does the work."""

from typing import Any

from rfjax.commands.compare import Compare
from rfjax.commands.experiment import commands as experiments
from rfjax.commands.gram import Gram
from rfjax.commands.report import Report
from rfjax.commands.version import Version


def commands(asked: str | None) -> dict[str, Any]:
    """All subcommands by name, those of experiments in full only where `asked` names them."""
    return {"compare": Compare, "gram": Gram, **experiments(asked), "report": Report, "version": Version}


__all__ = ["Compare", "Gram", "Report", "Version", "commands"]
