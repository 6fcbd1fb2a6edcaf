"""What every experiment promises: presets, cells of their own, figures and tables from rows, and going on where it was."""

import dataclasses
import json

import jax
import pytest

from rfjax.cli import main
from rfjax.experiments import EXPERIMENTS, load

OTHERS = [name for name in EXPERIMENTS if name != "separation"]  # which has a file of its own


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_it_is_complete(name):
    experiment = load(name)
    assert experiment.name == name
    assert list(experiment.presets) == ["smoke", "default", "full"]
    for field in dataclasses.fields(experiment.spec):
        assert field.metadata["help"].endswith((".", ")"))
    for spec in experiment.presets.values():
        cells = list(experiment.cells(spec))
        assert len({cell.key for cell in cells}) == len(cells)
        assert all(cell.settings["experiment"] for cell in cells)
    smoke = list(experiment.cells(experiment.settings("smoke", seed=7)))
    assert {cell.key for cell in smoke}.isdisjoint(cell.key for cell in experiment.cells(experiment.presets["smoke"]))
    with pytest.raises(ValueError, match="preset must be one of smoke, default, full"):
        experiment.settings("huge")
    with pytest.raises(ValueError, match="seed must be at least 0"):
        experiment.settings("smoke", seed=-1)


@pytest.fixture
def standard_promotion():
    """As users have it, in threads too: optax's schedules multiply counts by floats."""
    strict = jax.config.jax_numpy_dtype_promotion
    jax.config.update("jax_numpy_dtype_promotion", "standard")
    yield
    jax.config.update("jax_numpy_dtype_promotion", strict)


@pytest.mark.parametrize("name", OTHERS)
def test_the_smoke_preset_runs_and_goes_on_where_it_was(name, tmp_path, capsys, standard_promotion):
    command = [name, "--preset", "smoke", "--out", str(tmp_path)]
    main(command)
    shown = capsys.readouterr().out
    assert load(name).reading[:20] in shown.replace("\n", " ")
    files = {path.name for path in tmp_path.iterdir()}
    assert files >= {f"{name}.sqlite", f"{name}.png", f"{name}.svg"}
    main([*command, "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows
    for row in rows:
        assert list(row)[: len(load(name).columns)] == list(load(name).columns)
        assert row["seconds"] >= 0


def test_an_unknown_experiment_is_named():
    with pytest.raises(KeyError, match="no experiment 'magic': there are separation"):
        load("magic")
