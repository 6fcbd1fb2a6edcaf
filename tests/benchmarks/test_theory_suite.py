"""`python -m benchmarks theory`: a group runs and sets predictions beside simulations."""

from benchmarks import theory


def test_a_prediction_beside_its_simulation():
    (row,) = next(iter(theory.cases(theory.PRESETS["smoke"], "kernel")))()
    assert row.settings["predicted"] > 0
    assert row.settings["simulated"] > 0
    assert row.settings["draws"] == 4
    assert row.error < 1
    assert row.met is not None


def test_every_group_has_cases():
    for group in theory.GROUPS:
        assert theory.cases(theory.PRESETS["smoke"], group)
