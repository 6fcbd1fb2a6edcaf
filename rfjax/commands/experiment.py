"""`rfjax NAME` for every experiment: its settings as options, a progress bar, tables, figures and JSON lines."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from rfjax.commands.progress import cells_bar, compile_quickly
from rfjax.experiments import EXPERIMENTS, load

if TYPE_CHECKING:
    from rfjax.experiments.experiment import Experiment, Table


def _help(text: str, default: Any = None) -> Any:
    return tyro.conf.arg(help=text, help_behavior_hint=None if default is None else f"(preset default: {default})")


@dataclasses.dataclass
class Command:
    """What every experiment's command has; those of `command` add its settings."""

    preset: Annotated[
        Literal["smoke", "default", "full"],
        _help("smoke: some seconds; default: some minutes; full: for a large machine."),
    ] = "default"
    out: Annotated[Path | None, _help("Folder for the store and the figures (results/NAME).")] = None
    json: Annotated[bool, _help("Print one JSON object a line instead of tables.")] = False
    workers: Annotated[int, _help("Cells computed side by side, in threads.")] = 2
    processes: Annotated[int, _help("Processes that compute them instead, where more than one: for many cores.")] = 1

    def run(self) -> None:
        """Measure, then print the tables (or the JSON lines) and say where the figures are."""
        raise NotImplementedError


def command(name: str) -> type[Command]:
    """The command of an experiment: `Command` with the fields of its spec, each None for what the preset says."""
    experiment = load(name)
    settings = [
        (field.name, Annotated[field.type | None, _help(field.metadata["help"], field.default)], None)  # type: ignore[operator]
        for field in dataclasses.fields(experiment.spec)
    ]

    def run(self: Command) -> None:
        _run(self, experiment)

    body = {"run": run, "__doc__": f"{EXPERIMENTS[name]}.\n\n{_HELP.format(name=name)}"}
    return dataclasses.make_dataclass("Settings", settings, bases=(Command,), namespace=body)


def commands(asked: str | None) -> dict[str, type[Command]]:
    """The commands of all experiments by name; in full only the one that is asked for, which takes seconds to load."""
    return {name: command(name) if name == asked else _outline(claim) for name, claim in EXPERIMENTS.items()}


_HELP = """Writes {name}.sqlite and its figures as .png and .svg.  Interrupted and started again, it goes on where it was.
It computes in float64."""


def _outline(claim: str) -> type[Command]:
    return dataclasses.make_dataclass("Outline", [], bases=(Command,), namespace={"__doc__": f"{claim}."})


def _run(self: Command, experiment: "Experiment") -> None:
    if self.preset == "smoke":
        compile_quickly()
    import jax

    jax.config.update("jax_enable_x64", True)
    from rfjax.experiments.processes import processes

    own = {field.name for field in dataclasses.fields(Command)}
    changes = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name not in own}
    spec = experiment.settings(self.preset, **changes)
    out = self.out or Path("results") / experiment.name
    with processes(self.processes) as executor, cells_bar() as report:
        rows = experiment.run(spec, out, workers=self.workers, executor=executor, report=report)
    if self.json:
        for row in rows:
            print(json.dumps({name: row[name] for name in experiment.columns} | row))
    else:
        _show(experiment.tables(rows), experiment.reading)
        print(f"Figures and data: {out}")


def _show(tables: "Any", reading: str) -> None:
    """The tables, and what they say."""
    from rich.console import Console

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 130)
    for table in tables:
        console.print(_drawn(table))
    console.print(reading)


def _drawn(table: "Table") -> Any:
    from rich.table import Table as Drawn

    drawn = Drawn(title=table.title)
    for position, name in enumerate(table.columns):
        words = any(row is not None and not _is_number(row[position]) for row in table.rows)
        drawn.add_column(name, no_wrap=True, justify="left" if words else "right")
    for row in table.rows:
        if row is None:
            drawn.add_section()
        else:
            drawn.add_row(*row)
    return drawn


def _is_number(text: str) -> bool:
    return not text or text[0].isdigit() or text[0] in "+-−."
