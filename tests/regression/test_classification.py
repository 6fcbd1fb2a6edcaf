"""Classifiers against scikit-learn's, and labels of every kind."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from sklearn.linear_model import LogisticRegression, RidgeClassifier

import rfjax as rf

RNG = np.random.default_rng(0)
N, P = 24, 6
X, Z = RNG.normal(size=(N, 3)), RNG.normal(size=(10, 3))
TWO = np.where(np.argsort(np.argsort(X[:, 0] + 0.5 * RNG.normal(size=N))) < N // 2, "left", "right")  # half and half
THREE = np.digitize(X[:, 1] + 0.3 * RNG.normal(size=N), [-0.5, 0.5]) * 10
W, B = RNG.normal(size=(P, 3)), RNG.normal(size=P)
KERNEL = rf.rbf(1.5)
PHI = rf.features.Neurons(jnp.asarray(W), jnp.asarray(B), rf.activations.relu)
MANY = RNG.normal(size=(40, 3))
WIDE = rf.features.Neurons(jnp.asarray(MANY), None, rf.activations.relu)
LABELS = {"two": TWO, "three": THREE}


def phi(X: np.ndarray) -> np.ndarray:
    return np.maximum(X @ W.T + B, 0)


def gram(X: np.ndarray, Z: np.ndarray) -> np.ndarray:
    return np.exp(-((X[:, None] - Z) ** 2).sum(-1) / (2 * 1.5**2))


def test_squares_of_two_classes_are_scikit_learns(dtype):
    fit = rf.classify(PHI, X.astype(dtype), TWO, ridge=0.3)
    expected = RidgeClassifier(alpha=0.3, fit_intercept=False).fit(phi(X), TWO)
    assert fit.classes == ("left", "right")
    assert fit.decision(Z.astype(dtype)).dtype == dtype
    scores = expected.decision_function(phi(Z))
    np.testing.assert_allclose(fit.decision(Z.astype(dtype)), scores, rtol=0, atol=1e4 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(fit(Z.astype(dtype)), expected.predict(phi(Z)))


def test_squares_of_three_classes_are_one_against_the_rest():
    fit = rf.classify(KERNEL, X, THREE, ridge=0.3, solver="cholesky")
    t = 2.0 * (THREE[:, None] == [0, 10, 20]) - 1
    alpha = np.linalg.solve(gram(X, X) + 0.3 * np.eye(N), t - t.mean(axis=0))
    scores = gram(Z, X) @ alpha + t.mean(axis=0)
    np.testing.assert_allclose(fit.decision(Z), scores, rtol=0, atol=1e-11)
    np.testing.assert_array_equal(fit(Z), np.array([0, 10, 20])[scores.argmax(axis=1)])
    assert fit(Z).dtype == THREE.dtype
    assert fit.stats.form == "dual"


@pytest.mark.parametrize("name", LABELS)
def test_logistic_regression_on_features_is_scikit_learns(name, dtype):
    labels, x, z = LABELS[name], X.astype(dtype), Z.astype(dtype)
    fit = rf.classify(PHI, x, labels, ridge=0.3, loss="logistic")
    expected = LogisticRegression(C=1 / 0.3, fit_intercept=False, tol=1e-10, max_iter=10_000).fit(phi(X), labels)
    tolerance = 1e-5 if dtype == np.float64 else 5e-3
    np.testing.assert_allclose(fit.probabilities(z), expected.predict_proba(phi(Z)), rtol=0, atol=tolerance)
    np.testing.assert_allclose(fit.decision(z), expected.decision_function(phi(Z)), rtol=0, atol=10 * tolerance)
    np.testing.assert_array_equal(fit(z), expected.predict(phi(Z)))
    assert fit.stats.form == "primal"
    assert fit.stats.iterations > 0 and fit.stats.seconds > 0 and fit.stats.memory > 0
    assert bool(fit.stats.ok)
    assert float(fit.stats.residual) <= np.finfo(dtype).eps ** 0.5


@pytest.mark.parametrize("name", LABELS)
def test_logistic_regression_with_a_kernel_is_where_its_gradient_vanishes(name):
    labels, ridge = LABELS[name], 0.05
    fit = rf.classify(KERNEL, X, labels, ridge=ridge, loss="logistic", tolerance=1e-10)
    alpha, K = np.asarray(fit.scores.coefficients), gram(X, X)
    member = labels[:, None] == np.unique(labels)
    if name == "two":
        gap = member[:, 1] - scipy.special.expit(K @ alpha)
    else:
        gap = member - scipy.special.softmax(K @ alpha, axis=1)
    np.testing.assert_allclose(ridge * alpha, gap, rtol=0, atol=1e-8)
    np.testing.assert_allclose(fit.decision(Z), gram(Z, X) @ alpha, rtol=0, atol=1e-10)
    np.testing.assert_allclose(fit.probabilities(Z).sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(fit.codes(Z), np.argmax(fit.probabilities(Z), axis=1))


def test_wide_features_are_their_kernel():
    wide, dual = (rf.classify(m, X, THREE, ridge=0.3, loss="logistic", tolerance=1e-10) for m in (WIDE, WIDE.kernel))
    np.testing.assert_allclose(wide.decision(Z), dual.decision(Z), rtol=0, atol=1e-7)
    assert wide.scores.coefficients.shape == (40, 3)


def test_nearly_separable_classes_and_duplicate_rows_converge():
    twice, labels = np.concatenate([X, X]), np.concatenate([X, X])[:, 0] > 0
    fit = rf.classify(rf.rbf(0.5), twice, labels, ridge=1e-6, loss="logistic")
    np.testing.assert_array_equal(fit(twice), labels)
    assert fit(twice).dtype == bool


def test_labels_of_every_kind():
    codes = np.arange(N) % 3
    names = np.array(["a", "b", "c"])
    kinds = [codes, codes.astype(np.uint8), codes - 5, codes * 0.5, names[codes], names[codes].tolist()]
    kinds += [names[codes].astype(object), jnp.asarray(codes), codes.tolist()]
    expected = rf.classify(KERNEL, X, codes, ridge=0.1)
    for labels in kinds:
        fit = rf.classify(KERNEL, X, labels, ridge=0.1)
        np.testing.assert_array_equal(fit.decision(Z), expected.decision(Z))
        np.testing.assert_array_equal(fit(Z), np.unique(np.asarray(labels))[np.asarray(fit.codes(Z))])


def test_it_jits_and_vmaps():
    fit = rf.classify(KERNEL, X, TWO, ridge=0.3)
    np.testing.assert_array_equal(jax.jit(lambda fit, X: fit.codes(X))(fit, Z), fit.codes(Z))
    with pytest.raises(TypeError, match=r"use fit.codes\(X\)"):
        jax.jit(lambda X: fit(X))(Z)
    for loss in ("squares", "logistic"):

        def scores(ridge, loss=loss):
            return rf.classify(KERNEL, X, THREE, ridge=ridge, loss=loss).decision(Z)

        stacked = jax.jit(jax.vmap(scores))(jnp.asarray([0.1, 1.0]))
        np.testing.assert_allclose(stacked, [scores(0.1), scores(1.0)], rtol=0, atol=1e-6)


class Indefinite(rf.Kernel):
    """⟨x, y⟩ − 1."""

    def _evaluate(self, pairs):
        return pairs.inner(lambda X: X) - 1


def classify(model=KERNEL, X=X, labels=TWO, *, ridge=0.1, **settings):
    return rf.classify(model, X, labels, ridge=ridge, **settings)


BAD = {
    "one class": (lambda: classify(labels=["a"] * N), ValueError, "at least two classes, got only 'a'"),
    "one row": (lambda: classify(X=X[:1], labels=[1]), ValueError, "at least two classes, got only 1"),
    "nan": (lambda: classify(labels=np.where(THREE == 0, np.nan, 1.0)), ValueError, "labels must be finite, got"),
    "none": (lambda: classify(labels=[None, "a"] * 12), TypeError, "booleans or numbers, got NoneType, str"),
    "mixed": (lambda: classify(labels=[1, "a"] * 12), TypeError, "booleans or numbers, got int, str"),
    "complex": (lambda: classify(labels=THREE * 1j), TypeError, "booleans or numbers, got complex128"),
    "short": (lambda: classify(labels=TWO[:-1]), ValueError, "got \\[23\\] for 24 points"),
    "one-hot": (lambda: classify(labels=np.eye(N)), ValueError, r"labels must have shape \[n\]"),
    "ragged": (lambda: classify(labels=[[1], [1, 2]] * 12), TypeError, "ragged"),
    "traced": (lambda: jax.jit(lambda t: classify(labels=t).codes(Z))(THREE), TypeError, "known when compiled"),
    "loss": (lambda: classify(loss="hinge"), ValueError, "loss must be one of squares, logistic"),
    "model": (lambda: classify(np.dot), TypeError, "model must be a kernel or a feature map"),
    "X nan": (lambda: classify(X=X * np.nan), ValueError, "X must be finite"),
    "ridge": (lambda: classify(ridge=-1.0), ValueError, "ridge must be a finite number >= 0.0"),
    "no ridge": (lambda: classify(ridge=0.0, loss="logistic"), ValueError, "ridge must be a finite number > 0.0"),
    "probabilities": (lambda: classify().probabilities(Z), ValueError, "probabilities need loss='logistic'"),
    "indefinite": (lambda: classify(Indefinite(), loss="logistic"), ValueError, "has the eigenvalue -"),
    "iterations": (
        lambda: classify(ridge=1e-4, loss="logistic", iterations=1),
        ValueError,
        "reached a gradient of .* times the first in 1 iterations",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=message):
        call()
