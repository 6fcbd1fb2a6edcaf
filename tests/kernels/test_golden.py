"""Infinite-width kernels against values of neural-tangents, float32 against float64 at the same points."""

import jax
import mpmath as mp
import numpy as np
import pytest

from rfjax import activations
from rfjax.networks import Serial, mlp

SHALLOW = {"exp(0.5)", "monomial(3)", "rectified_monomial(2)", "rectified_monomial(3)"}  # of depth 1 alone
DEEP = {
    "relu",
    "leaky_relu(0.1)",
    "abs",
    "erf",
    "sign",
    "sigmoid_like",
    "gelu",
    "sin",
    "cos",
    "rbf(1.0)",
    "gaussian",
    "gabor",
}


def member(name: str) -> activations.Nonlinearity:
    """The activation of this name, such as `relu` or `leaky_relu(0.1)`."""
    return eval(name, {"__builtins__": {}}, {n: getattr(activations, n) for n in activations.__all__})


def network(record, activation) -> Serial:
    return mlp(depth=record["depth"], width=1, activation=activation, w_std=record["w_std"], b_std=record["b_std"])


@pytest.fixture(scope="module")
def computed(golden, readings, scales):
    """How the kernels are computed -> name -> (record, both kernels at x and y [2, 6, 4], their scales).

    The data of all records are one Gram matrix for all networks, so that there is one compilation a dtype.
    """
    records = golden
    rounded = [r | {side: r[side].astype(np.float32) for side in ("x", "y")} for r in records]
    # In float32 the deeper network of each activation, which holds the shallower one; test_near_pairs has the others.
    deepest = {r["act"]: r for r in rounded if r["act"] not in ("relu", "abs", "erf")}
    return {
        "exact": evaluate(readings, scales, records, "float64"),
        "rounded": evaluate(readings, scales, rounded, "float64"),
        "single": evaluate(readings, scales, list(deepest.values()), "float32"),
    }


def evaluate(readings, scales, records, dtype: str):
    # The longest points of all records take an exponential out of the range of float32.
    alone = [r for r in records if r["act"] == "exp(0.5)"]
    together = [r for r in records if r["act"] != "exp(0.5)"]
    return blocks(readings, scales, alone, dtype) | blocks(readings, scales, together, dtype)


def blocks(readings, scales, records, dtype: str):
    Z = np.concatenate([np.concatenate([r["x"], r["y"]]) for r in records]).astype(dtype)
    found = {}
    values = readings([network(r, member(r["act"])) for r in records], Z)
    for i, r in enumerate(records):
        block = values[i, :, 10 * i : 10 * i + 10, 10 * i : 10 * i + 10]
        found[f"{r['act']}, depth {r['depth']}"] = (r, block[:, :6, 6:], scales(block)[:, :6, 6:])
    return found


def test_the_named_activations_are_all_there(computed):
    expected = {f"{name}, depth {depth}" for name in DEEP for depth in (1, 2)} | {
        f"{name}, depth 1" for name in SHALLOW
    }
    assert expected == set(computed["exact"])


def test_float64_is_within_the_budget(computed, mp_kernels):
    for name, (record, values, scale) in computed["exact"].items():
        expected = np.stack([record["nngp"], record["ntk"]])
        if record["act"] == "sign":
            # At the near-coincident pair the reference has lost the angle, more so at every layer (2e-10, 4e-7).
            settings = (record["depth"], record["w_std"], record["b_std"])
            expected[:, 2, 2] = [float(v) for v in mp_kernels(record["x"][2], record["y"][2], "sign", *settings)]
        if record["act"].startswith("rectified_monomial"):
            # At its coincident and antipodal pairs the reference is NaN or −inf; at the near one it lost the derivative.
            for i in range(3):
                expected[:, i, i] = rectified(record["x"][i], record["y"][i], int(record["act"][-2]), record["w_std"])
        assert (np.abs(values - expected) / scale).max() < 1e-9, name


def rectified(x, y, order: int, w_std: float) -> list[float]:
    """(NNGP, NTK) of one hidden layer of rectified monomials of order 2 or 3, without bias, after Cho & Saul."""

    def moment(k: int) -> mp.mpf:
        angular = {
            1: mp.sin(t) + (mp.pi - t) * mp.cos(t),
            2: 3 * mp.sin(t) * mp.cos(t) + (mp.pi - t) * (1 + 2 * mp.cos(t) ** 2),
            3: 15 * mp.sin(t) - 11 * mp.sin(t) ** 3 + (mp.pi - t) * (9 * mp.cos(t) + 6 * mp.cos(t) ** 3),
        }
        return size**k * angular[k] / (2 * mp.pi)

    with mp.workdps(60):
        x, y = ([mp.mpf(float(v)) for v in row] for row in (x, y))
        q11, q12, q22 = (mp.mpf(w_std) ** 2 * mp.fdot(a, b) / len(x) for a, b in ((x, x), (x, y), (y, y)))
        size = mp.sqrt(q11 * q22)
        t = mp.acos(max(-1, min(1, q12 / size)))
        nngp, ntk = moment(order), moment(order) + order**2 * moment(order - 1) * q12
        return [float(mp.mpf(w_std) ** 2 * v) for v in (nngp, ntk)]


def test_float32_is_within_the_budget(computed):
    worst = {}
    for name, (_, single, scale) in computed["single"].items():
        worst[name] = (np.abs(single - computed["rounded"][name][1]) / scale).max()
    # A sign after a sign turns an angle θ into one of √θ: with biases, where norms differ by 1e-6, it sees their rounding.
    budgets = dict.fromkeys(worst, 1e-5) | {"sign, depth 2": 2e-5}
    assert {name: error for name, error in worst.items() if not error < budgets[name]} == {}


def test_any_function_meets_the_reference_by_quadrature(golden, readings, scales):
    (record,) = [r for r in golden if r["act"] == "gelu" and r["depth"] == 1]
    gelu = activations.Quadrature(lambda x: jax.nn.gelu(x, approximate=False))
    (values,) = readings([network(record, gelu)], np.concatenate([record["x"], record["y"]]))
    expected = np.stack([record["nngp"], record["ntk"]])
    assert (np.abs(values[:, :6, 6:] - expected) / scales(values)[:, :6, 6:]).max() < 1e-9
