"""Subcommands: one file each, a dataclass whose fields are its options and whose `run` does the work."""

from typing import Any

from rfjax.commands.gram import Gram
from rfjax.commands.separation import Separation
from rfjax.commands.version import Version

# Every subcommand by the name that it has in a shell.
COMMANDS: dict[str, Any] = {"gram": Gram, "separation": Separation, "version": Version}

__all__ = ["COMMANDS", "Gram", "Separation", "Version"]
