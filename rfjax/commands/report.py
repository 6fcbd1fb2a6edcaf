"""`rfjax report`: one HTML page from the stores of experiments."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass
class Report:
    """Write one self-contained HTML page from stores: claims, figures, tables, configuration, versions.

    It opens in any browser, from the disk or a mail, on a phone and in the dark, and loads nothing from elsewhere.
    """

    stores: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """Stores (.sqlite) or folders that hold some at any depth (results)."""
    out: Path = Path("report.html")
    """The page to write."""
    title: str = "rfjax report"
    """Its title."""

    def run(self) -> None:
        """Read the stores, write the page and say where it is."""
        from rfjax.report import page, section
        from rfjax.storage import open_folder, write_whole

        paths = self._paths()
        text = page([section(path) for path in paths], title=self.title)
        open_folder(self.out.absolute().parent)
        write_whole(self.out.absolute(), text.encode())
        print(
            f"{self.out}: {len(paths)} experiment{'s' if len(paths) > 1 else ''}, {len(text) / 1e6:.2g} MB",
            file=sys.stdout,
        )

    def _paths(self) -> list[Path]:
        """The stores that are meant.  Raises ValueError where there is none."""
        found: list[Path] = []
        for given in self.stores or (Path("results"),):
            if not given.exists():
                hint = "" if self.stores else ": name the stores, or run an experiment first (rfjax separation)"
                raise ValueError(f"there is no {given}{hint}")
            inside = sorted(given.rglob("*.sqlite")) if given.is_dir() else [given]
            if not inside:
                raise ValueError(f"there is no store (.sqlite) in {given}")
            found += inside
        return list(dict.fromkeys(found))
