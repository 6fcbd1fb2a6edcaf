"""The fits of `python -m benchmarks regression --only data`, on data made up."""

import pytest

from benchmarks import real_data
from benchmarks.datasets import made_up

DATA = made_up(400, 100)


def test_scikit_learn_doubles_its_components_within_the_time():
    pytest.importorskip("sklearn")
    fits = real_data._nystroem(DATA, 1e3)
    assert [fit.name for fit in fits] == ["100 components", "200 components", "400 components"]
    assert all(fit.seconds > 0 and 0 < fit.error < 1 and fit.multiplications == 0 for fit in fits)


@pytest.mark.slow
def test_gpytorch_trains_until_the_time_is_up():
    pytest.importorskip("gpytorch")
    fits = real_data._svgp(DATA, 1.0)
    assert fits[0].name == "1 epochs"
    assert fits[-1].error < fits[0].error


@pytest.mark.slow
@pytest.mark.parametrize("kind", real_data.OURS)
def test_our_fits_count_their_multiplications(kind):
    fit = real_data._timed(kind, real_data.OURS[kind], DATA, 50)
    assert fit.error < 0.9
    assert fit.multiplications >= 50 * len(DATA.X) * (8 + 2)
