"""The risk of one biased ReLU neuron against another and its slope, in closed form, on the host in float64.

With a = ‖w‖, β = b/a; R = ‖v‖, γ = c/R; ρ the cosine between w and v, s = √(1−ρ²), h = (γ−ρβ)/s, k = (β−ργ)/s:

    E(⟨w,x⟩+b)₊(⟨v,x⟩+c)₊ = aR·{(βγ+ρ)Φ₂(β,γ;ρ) + γφ(β)Φ(h) + βφ(γ)Φ(k) + (s/2π)e^{−(β²+h²)/2}}
    ∂_w = v·Φ₂ + (w/a)·R·φ(β)·s·(hΦ(h) + φ(h)),   ∂_b = R·{γΦ₂ + ρφ(β)Φ(h) + φ(γ)Φ(k)}

by Gaussian integration by parts (E x F(x) = E ∇F(x)).  `rfjax.numerics.relu_pair_moment` is the same on the device; a
thousand steps of three variables are a hundred times faster here.
"""

from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Float


class PlaneNeuron(NamedTuple):
    """σ(p·x₁ + q·x₂ + b)."""

    p: Float[np.ndarray, " s"] | float
    q: Float[np.ndarray, " s"] | float
    b: Float[np.ndarray, " s"] | float


def risk_and_slope(
    f: PlaneNeuron, g: PlaneNeuron, slopes: tuple[float, float]
) -> tuple[Float[np.ndarray, " s"], Float[np.ndarray, "3 s"]]:
    """E(f − g)² and the gradient of half of it in (p, q, b), for σ(z) = slopes[0]·(z)₊ + slopes[1]·(−z)₊."""
    product = own = square = np.zeros(1)
    by_product = by_own = np.zeros((3, 1))
    sides = [(slope, sign) for slope, sign in zip(slopes, (1, -1), strict=True) if slope]
    for mine, sign in sides:
        half, slope = _own_moment(f, sign)
        own, by_own = own + mine**2 * half, by_own + mine**2 * slope
        square = square + 2 * mine**2 * _own_moment(PlaneNeuron(*map(np.asarray, g)), sign)[0]
        for other, side in sides:
            value, slope = _pair_moment(f, g, sign, side)
            product, by_product = product + mine * other * value, by_product + mine * other * slope
    return 2 * own - 2 * product + square, by_own - by_product


def _own_moment(f: PlaneNeuron, sign: int) -> tuple[Float[np.ndarray, " s"], Float[np.ndarray, "3 s"]]:
    """½E(z)₊² of z = sign·(p x₁ + q x₂ + b), and its gradient: E(z)₊x = w·P(z > 0)."""
    a = np.maximum(np.hypot(f.p, f.q), 1e-300)
    beta = sign * f.b / a
    cdf, pdf = scipy.special.ndtr(beta), _pdf(beta)
    mean = a * (beta * cdf + pdf)
    return a**2 * ((1 + beta**2) * cdf + beta * pdf) / 2, np.stack([f.p * cdf, f.q * cdf, sign * mean])


def _pair_moment(
    f: PlaneNeuron, g: PlaneNeuron, sign: int, side: int
) -> tuple[Float[np.ndarray, " s"], Float[np.ndarray, "3 s"]]:
    """E(z)₊(y)₊ of z = sign·f's and y = side·g's argument, and its gradient in f's (p, q, b)."""
    a, R = np.maximum(np.hypot(f.p, f.q), 1e-300), np.hypot(g.p, g.q)
    beta, gamma = sign * f.b / a, side * g.b / R
    both = sign * side
    rho, s = both * (f.p * g.p + f.q * g.q) / (a * R), np.abs(f.p * g.q - f.q * g.p) / (a * R)
    less = s**2 / (1 + np.abs(rho))  # 1 − |ρ|
    turn = np.where(rho < 0, -1.0, 1.0)
    h, k = _over(gamma - turn * beta + less * turn * beta, s), _over(beta - turn * gamma + less * turn * gamma, s)
    cdf, left, right = _bivariate(beta, gamma, rho, h, k), scipy.special.ndtr(h), scipy.special.ndtr(k)
    corner = s * np.exp(-(beta**2 + np.minimum(h**2, 1e6)) / 2) / (2 * np.pi)
    at_beta, at_gamma = _pdf(beta), _pdf(gamma)
    value = (beta * gamma + rho) * cdf + gamma * at_beta * left + beta * at_gamma * right + corner
    along = at_beta * (gamma - rho * beta) * left + corner
    return a * R * value, R * np.stack([
        sign * (side * g.p / R * cdf + sign * f.p / a * along),
        sign * (side * g.q / R * cdf + sign * f.q / a * along),
        sign * (gamma * cdf + rho * at_beta * left + at_gamma * right),
    ])  # fmt: skip


def _bivariate(
    beta: Float[np.ndarray, " s"],
    gamma: Float[np.ndarray, " s"] | float,
    rho: Float[np.ndarray, " s"],
    h: Float[np.ndarray, " s"],
    k: Float[np.ndarray, " s"],
) -> Float[np.ndarray, " s"]:
    """Φ₂(β, γ; ρ) by Owen's T; a zero argument counts as positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = scipy.special.owens_t(beta, h / (beta + 0.0)), scipy.special.owens_t(gamma, k / (gamma + 0.0))
    apart = (beta < 0) != (np.asarray(gamma) < 0)
    value = (scipy.special.ndtr(beta) + scipy.special.ndtr(gamma)) / 2 - first - second - apart / 2
    return np.where((beta == 0) & (np.asarray(gamma) == 0), 0.25 + np.arcsin(np.clip(rho, -1, 1)) / (2 * np.pi), value)


def _over(value: Float[np.ndarray, " s"], s: Float[np.ndarray, " s"]) -> Float[np.ndarray, " s"]:
    """value/s: ±∞ where s is 0, and 0 where both are."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(value == 0, 0.0, value / s)


def _pdf(x: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    return np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
