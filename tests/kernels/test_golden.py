"""Infinite-width kernels against values of neural-tangents, float32 against float64 at the same points."""

import jax
import numpy as np
import pytest

from rfjax import activations
from rfjax.networks import Serial, mlp

COVERED = {"relu", "leaky_relu(0.1)", "abs", "erf", "sign", "sigmoid_like"}


def member(name: str) -> activations.Nonlinearity | None:
    """The activation of this name, such as `relu` or `leaky_relu(0.1)`; None where rfjax has no such member."""
    try:
        return eval(name, {"__builtins__": {}}, {n: getattr(activations, n) for n in activations.__all__})
    except NameError:
        return None


def network(record, activation) -> Serial:
    return mlp(depth=record["depth"], width=1, activation=activation, w_std=record["w_std"], b_std=record["b_std"])


@pytest.fixture(scope="module")
def computed(golden, readings, scales):
    """How the kernels are computed -> name -> (record, both kernels at x and y [2, 6, 4], their scales).

    The data of all records are one Gram matrix for all networks, so that there is one compilation a dtype.
    """
    records = [r for r in golden if member(r["act"]) is not None]
    rounded = [r | {side: r[side].astype(np.float32) for side in ("x", "y")} for r in records]
    # In float32 the deeper network of each activation, which holds the shallower one; test_near_pairs has the others.
    deepest = {r["act"]: r for r in rounded if r["act"] not in ("relu", "abs", "erf")}
    return {
        "exact": evaluate(readings, scales, records, "float64"),
        "rounded": evaluate(readings, scales, rounded, "float64"),
        "single": evaluate(readings, scales, list(deepest.values()), "float32"),
    }


def evaluate(readings, scales, records, dtype: str):
    Z = np.concatenate([np.concatenate([r["x"], r["y"]]) for r in records]).astype(dtype)
    values, found = readings([network(r, member(r["act"])) for r in records], Z), {}
    for i, r in enumerate(records):
        block = values[i, :, 10 * i : 10 * i + 10, 10 * i : 10 * i + 10]
        found[f"{r['act']}, depth {r['depth']}"] = (r, block[:, :6, 6:], scales(block)[:, :6, 6:])
    return found


def test_the_named_activations_are_all_there(computed):
    expected = {f"{name}, depth {depth}" for name in COVERED for depth in (1, 2)}
    assert expected <= set(computed["exact"])


def test_float64_is_within_the_budget(computed, mp_kernels):
    for name, (record, values, scale) in computed["exact"].items():
        expected = np.stack([record["nngp"], record["ntk"]])
        if record["act"] == "sign":
            # At the near-coincident pair the reference has lost the angle, more so at every layer (2e-10, 4e-7).
            settings = (record["depth"], record["w_std"], record["b_std"])
            expected[:, 2, 2] = [float(v) for v in mp_kernels(record["x"][2], record["y"][2], "sign", *settings)]
        known = np.isfinite(expected)  # rectified monomials are NaN at coincident points there
        assert np.isfinite(values).all(), name
        assert (np.abs(values - expected) / scale)[known].max() < 1e-9, name


def test_float32_is_within_the_budget(computed):
    worst = {}
    for name, (_, single, scale) in computed["single"].items():
        worst[name] = (np.abs(single - computed["rounded"][name][1]) / scale).max()
    # A sign after a sign turns an angle θ into one of √θ: at angles of 1e-7 it sees the rounding of normalised inputs.
    budgets = dict.fromkeys(worst, 1e-5) | {"sign, depth 2": 1e-4}
    assert {name: error for name, error in worst.items() if not error < budgets[name]} == {}


def test_any_function_meets_the_reference_by_quadrature(golden, readings, scales):
    (record,) = [r for r in golden if r["act"] == "gelu" and r["depth"] == 1]
    gelu = activations.Quadrature(lambda x: jax.nn.gelu(x, approximate=False))
    (values,) = readings([network(record, gelu)], np.concatenate([record["x"], record["y"]]))
    expected = np.stack([record["nngp"], record["ntk"]])
    assert (np.abs(values[:, :6, 6:] - expected) / scales(values)[:, :6, 6:]).max() < 1e-9
