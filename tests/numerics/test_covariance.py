"""2×2 covariances at nearly equal and nearly opposite pairs, against 50-digit arithmetic on the same inputs."""

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from rfjax.numerics import Covariance

LEFT = np.array([1.0, 0.3, 2.0, 1.7, 1.0, 1e-4])
RIGHT = np.array([1.0, 0.3000001, 2.5, 0.1, 1.00001, 3.0])
ANGLES = np.array([0.0, 1e-6, 1e-4, 1e-2, 0.7, 2.0])


def pairs(dtype: np.dtype, flip: bool) -> Covariance:
    """All of LEFT × ANGLES as one vector of pairs; `flip` makes the near-equal ones near-opposite."""
    left, theta = (v.ravel() for v in np.meshgrid(LEFT, ANGLES))
    right, _ = (v.ravel() for v in np.meshgrid(RIGHT, ANGLES))
    size = np.sqrt(left * right)
    below, above = 2 * size * np.sin(theta / 2) ** 2, 2 * size * np.cos(theta / 2) ** 2
    if flip:
        below, above = above, below
    return Covariance(*(jnp.asarray(v, dtype) for v in (left, right, below, above)))


@pytest.mark.parametrize("flip", [False, True], ids=["near-equal", "near-opposite"])
@pytest.mark.parametrize("shift", [0.0, 0.1, 2.0])
def test_affine_keeps_small_angles(dtype, flip, shift):
    scale = 1.25
    before = pairs(dtype, flip)
    after = jax.jit(Covariance.affine)(before, scale, shift)
    assert after.below.dtype == dtype
    before, after = jax.tree.map(np.asarray, (before, after))
    eps = np.finfo(dtype).eps
    with mp.workdps(50):
        for i in range(before.left.size):
            left, right, small = (
                mp.mpf(float(v[i])) for v in (before.left, before.right, (before.above if flip else before.below))
            )
            # The pair that (left, right, the small one) describe exactly; the large one follows.
            cross = mp.sqrt(left * right) - small
            cross = -cross if flip else cross
            new = [scale**2 * q + mp.mpf(shift) ** 2 for q in (left, cross, right)]
            size = mp.sqrt(new[0] * new[2])
            exact = {"left": new[0], "right": new[2], "below": size - new[1], "above": size + new[1]}
            for name, value in exact.items():
                error = abs(mp.mpf(float(getattr(after, name)[i])) - value)
                # `below` loses only what the difference of the two radii has lost in the given left and right.
                radii = abs(mp.sqrt(left) - mp.sqrt(right)) * eps * mp.sqrt(left) * 8
                assert error <= 8 * eps * value + radii, (name, i, float(error / value))


READINGS = ("cross", "geometric", "angle", "correlation", "below", "above")


@jax.jit
def readings(pair: Covariance) -> dict[str, jax.Array]:
    return {name: getattr(pair, name) for name in READINGS}


def test_readings():
    theta = 0.9
    moments = (jnp.asarray(v) for v in ([4.0, 0.0], [6 * np.cos(theta), 0.0], [9.0, 1.0]))
    read = readings(Covariance.from_moments(*moments))
    exact = {"cross": 6 * np.cos(theta), "geometric": 6, "angle": theta, "correlation": np.cos(theta)}
    for name, value in exact.items():
        np.testing.assert_allclose(read[name], [value, 0.0], rtol=1e-14)  # where u vanishes there is no angle
    same = readings(Covariance.of_equal(jnp.asarray([2.0, 0.0])))
    np.testing.assert_array_equal(same["cross"], [2.0, 0.0])
    np.testing.assert_array_equal(same["angle"], 0.0)
    np.testing.assert_array_equal(same["correlation"], [1.0, 0.0])


def test_moments_beyond_cauchy_schwarz_by_rounding_give_no_angle(dtype):
    q = np.array([1.0, 0.3, 7.0], dtype)
    over = np.nextafter(q, np.array(np.inf, dtype))
    pair = jax.jit(Covariance.from_moments)(np.tile(q, 2), np.concatenate([over, -over]), np.tile(q, 2))
    read = readings(pair)
    atol = 4 * np.sqrt(np.finfo(dtype).eps)
    np.testing.assert_allclose(read["angle"], [0] * 3 + [np.pi] * 3, rtol=0, atol=atol)
    assert (read["below"] >= 0).all()
    assert (read["above"] >= 0).all()


def test_derivatives_of_affine_at_equal_opposite_and_zero_pairs():
    @jax.jit
    @jax.vmap
    def slopes(q11, q12, q22):
        def cross(scale, shift, *moments):
            return Covariance.from_moments(*moments).affine(scale, shift).cross

        return jax.grad(cross, argnums=(0, 1, 2, 3, 4))(1.5, 0.5, q11, q12, q22)

    q12 = np.array([1.0, -1.0, 0.0, 0.3])
    by = slopes(np.array([1.0, 1.0, 0.0, 2.0]), q12, np.array([1.0, 1.0, 0.0, 1.0]))
    assert np.isfinite(by).all()
    # cross' = scale²·q12 + shift², whatever the pair; in q12 itself only where |q12| < √(q11 q22) is it free to move.
    np.testing.assert_allclose(by[0], 3 * q12, rtol=0, atol=1e-14)
    np.testing.assert_allclose(by[1], 1.0, rtol=0, atol=1e-14)
    np.testing.assert_allclose([v[3] for v in by[2:]], [0, 2.25, 0], rtol=0, atol=1e-14)


def mp_pair(pair: Covariance, i: int, flip: bool) -> tuple[mp.mpf, mp.mpf, mp.mpf]:
    """(E u², E uv, E v²) that left, right and the small one of below and above describe exactly."""
    left, right, small = (mp.mpf(float(v[i])) for v in (pair.left, pair.right, pair.above if flip else pair.below))
    cross = mp.sqrt(left * right) - small
    return left, -cross if flip else cross, right


@pytest.mark.parametrize("flip", [False, True], ids=["near-equal", "near-opposite"])
def test_sums_and_normalisation_keep_small_angles(dtype, flip):
    one = pairs(dtype, flip)
    other = jax.tree.map(lambda v: v[::-1], one)  # every length and angle meets another

    def shifted(scale):
        return jax.tree.map(lambda v: jnp.asarray(scale, dtype) * v, one)

    @jax.jit
    def both(one, other, near):
        return one + other, one + near, one.normalize(), one.normalize(0.3)

    results = jax.tree.map(np.asarray, both(one, other, shifted(0.37)))
    one, other, near = (jax.tree.map(np.asarray, pair) for pair in (one, other, shifted(0.37)))
    eps = np.finfo(dtype).eps

    def compare(after, i, left, cross, right, slack):
        size = mp.sqrt(left * right)
        for name, value in {"left": left, "right": right, "below": size - cross, "above": size + cross}.items():
            assert getattr(after, name).dtype == dtype
            error = abs(mp.mpf(float(getattr(after, name)[i])) - value)
            assert error <= 12 * eps * abs(value) + slack + mp.mpf("1e-40"), (name, i, float(error / size))

    with mp.workdps(50):
        for i in range(one.left.size):
            a, b, c = (mp_pair(pair, i, flip) for pair in (one, other, near))
            for after, d in ((results[0], b), (results[1], c)):
                left, cross, right = (x + y for x, y in zip(a, d, strict=True))
                # What (√(l r') − √(l' r))² loses when its two roots agree to rounding.
                roots = mp.sqrt(a[0] * d[2]), mp.sqrt(d[0] * a[2])
                size = mp.sqrt(left * right)
                slack = (abs(roots[0] - roots[1]) * 16 * eps + 64 * eps**2 * max(roots)) * max(roots) / size
                compare(after, i, left, cross, right, slack)
            for after, shift in ((results[2], 0), (results[3], mp.mpf(float(dtype.type(0.3))))):
                root = mp.sqrt((a[0] + shift) * (a[2] + shift))
                # Its radial part is what normalising by eps leaves of two lengths; the rest is relative.
                left, right = a[0] / (a[0] + shift), a[2] / (a[2] + shift)
                compare(after, i, left, a[1] / root, right, 0)


def test_derivatives_of_sums_are_finite_and_right():
    @jax.jit
    @jax.vmap
    def slopes(q11, q12, q22):
        def cross(*moments):
            pair = Covariance.from_moments(*moments)
            return ((pair + pair) + Covariance.of_equal(jnp.zeros(()))).cross

        def normal(*moments):
            return Covariance.from_moments(*moments).normalize().cross

        return jax.grad(cross, argnums=(0, 1, 2))(q11, q12, q22), jax.grad(normal, argnums=(0, 1, 2))(q11, q12, q22)

    by, normal = slopes(
        np.array([1.0, -1.0, 0.0, 2.0, 0.0]) ** 2, np.array([1.0, -1, 0, 0.3, 0]), np.array([1.0, 1, 0, 1, 3])
    )
    assert np.isfinite(by).all()
    assert np.isfinite(normal).all()
    np.testing.assert_allclose([v[3] for v in by], [0, 2, 0], rtol=0, atol=1e-14)
    expected = [-0.3 / 4 / 4, 1 / 2, -0.3 / 4]  # of q12/√(q11 q22) at (4, 0.3, 1)
    np.testing.assert_allclose([v[3] for v in normal], expected, rtol=1e-13)
