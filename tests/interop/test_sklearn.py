"""The scikit-learn estimators: its own checks, its own estimators as references, pipelines, searches and pickles."""

import importlib
import pickle
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

import rfjax as rf

pytest.importorskip("sklearn")
import cloudpickle
import sklearn.kernel_ridge
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from rfjax.interop.sklearn import KernelRidge, NTKClassifier, NTKRegressor, RandomFeatures
from rfjax.interop.sklearn.network import NetworkEstimator

RNG = np.random.default_rng(0)
X, Y, Z = RNG.normal(size=(20, 3)), RNG.normal(size=(20, 2)), RNG.normal(size=(20, 3))
NTK = rf.ntk(rf.mlp(depth=1, width=1, b_std=1.0))
CHECKED = [KernelRidge(rf.rbf(2.0)), NTKRegressor(depth=1), NTKClassifier(depth=1), RandomFeatures(width=7)]
CHECKS = [
    pytest.param(
        estimator,
        check,
        id=f"{type(estimator).__name__}-{check.func.__name__}",
        marks=pytest.mark.slow if isinstance(estimator, NetworkEstimator) else (),  # they are KernelRidge of one kernel
    )
    for chosen in CHECKED
    for estimator, check in estimator_checks_generator(chosen)
]


@pytest.mark.parametrize(("estimator", "check"), CHECKS)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def ntk_of_one_layer(A, B):
    """b² + w²·E relu relu + w²·E relu' relu'·(first layer's), with w² = 2 and b = 1, in angles."""
    q = 1 + 2 / 3 * A @ B.T
    a, b = (np.sqrt(1 + 2 / 3 * (v**2).sum(1)) for v in (A, B))
    theta = np.arccos(np.clip(q / np.outer(a, b), -1, 1))
    relu = np.outer(a, b) * (np.sin(theta) + (np.pi - theta) * np.cos(theta)) / (2 * np.pi)
    return 1 + 2 * relu + 2 * (np.pi - theta) / (2 * np.pi) * q


@pytest.mark.parametrize("y", [Y, Y[:, 0], Y[:, :1]], ids=["two outputs", "vector", "column"])
def test_the_regressor_is_the_ntk_s_ridge_regression(y):
    fit = NTKRegressor(depth=1, ridge=0.3).fit(X, y)
    expected = ntk_of_one_layer(Z, X) @ scipy.linalg.solve(ntk_of_one_layer(X, X) + 0.3 * np.eye(20), y)
    np.testing.assert_allclose(fit.predict(Z), expected, rtol=0, atol=1e-7)  # arccos near 1 is the reference's error
    assert fit.predict(Z).shape == y.shape


def test_kernel_ridge_is_scikit_learn_s():
    theirs = sklearn.kernel_ridge.KernelRidge(kernel="rbf", gamma=0.5, alpha=0.3).fit(X, Y)
    for kernel in ("rbf", rf.rbf(1.0)):
        ours = KernelRidge(kernel, ridge=0.3).fit(X, Y)
        np.testing.assert_allclose(ours.predict(Z), theirs.predict(Z), rtol=0, atol=1e-10)


@pytest.mark.slow
def test_a_solver_that_draws_has_a_seed():
    first, again = (KernelRidge(solver="nystrom", random_state=0).fit(X, Y).predict(Z) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert np.isfinite(KernelRidge(solver="nystrom").fit(X, Y).predict(Z)).all()


def test_the_classifier_is_least_squares_on_signs():
    names = np.array(["no", "perhaps", "yes"])[(X[:, 0] > 0.5).astype(int) + (X[:, 0] > -0.5)]
    fit = NTKClassifier(depth=1, ridge=0.3).fit(X, names)
    np.testing.assert_array_equal(fit.classes_, ["no", "perhaps", "yes"])
    signs = np.where(names[:, None] == fit.classes_, 1.0, -1.0)
    expected = ntk_of_one_layer(Z, X) @ scipy.linalg.solve(ntk_of_one_layer(X, X) + 0.3 * np.eye(20), signs)
    np.testing.assert_allclose(fit.decision_function(Z), expected, rtol=0, atol=1e-7)
    np.testing.assert_array_equal(fit.predict(Z), fit.classes_[expected.argmax(1)])
    two = NTKClassifier(depth=1, ridge=0.3).fit(X, names == "yes")
    np.testing.assert_allclose(two.decision_function(Z), expected[:, 2], rtol=0, atol=1e-7)
    np.testing.assert_array_equal(two.predict(Z), expected[:, 2] > 0)


def test_random_features_are_the_library_s():
    phi = RandomFeatures(width=7, random_state=3).fit(X)
    F = phi.transform(Z)
    assert F.shape == (20, 8)
    assert list(phi.get_feature_names_out()[:2]) == ["randomfeatures0", "randomfeatures1"]
    np.testing.assert_array_equal(F, phi.features_(jnp.asarray(Z)))
    np.testing.assert_array_equal(RandomFeatures(width=7, random_state=3).fit(X).transform(Z), F)
    assert np.abs(RandomFeatures(width=7, random_state=4).fit(X).transform(Z) - F).max() > 0.1


def test_pipelines_and_searches():
    search = GridSearchCV(
        make_pipeline(StandardScaler(), KernelRidge()),
        {"kernelridge__ridge": [0.1, 1e6], "kernelridge__kernel": ["rbf", rf.rbf(2.0)]},
        cv=2,
    ).fit(X, X[:, 0])
    assert search.best_params_["kernelridge__ridge"] == 0.1
    assert search.score(X, X[:, 0]) > 0.9
    model = make_pipeline(RandomFeatures(width=7, random_state=0), Ridge(0.1)).fit(X, X[:, 0])
    assert 0.7 < model.score(X, X[:, 0]) < 1


@pytest.mark.parametrize("module", [pickle, cloudpickle], ids=["pickle", "cloudpickle"])
def test_fitted_estimators_pickle(module):
    fits = [
        KernelRidge(NTK).fit(X, Y),
        NTKClassifier(depth=1).fit(X, X[:, 0] > 0),
        RandomFeatures(width=7, activation="tanh").fit(X),
    ]
    for fit in fits:
        again = module.loads(module.dumps(fit))
        call = "transform" if hasattr(fit, "transform") else "predict"
        np.testing.assert_array_equal(getattr(again, call)(Z), getattr(fit, call)(Z))
        assert repr(again) == repr(fit)
    for activation in ("relu", rf.activations.gelu, rf.activations.from_function(np.sinc)):
        assert module.loads(module.dumps(NTKRegressor(activation=activation))).activation == activation


def test_without_x64_everything_is_float32():
    with jax.enable_x64(False):
        fit = KernelRidge("rbf", ridge=0.3).fit(X, Y)
        values = fit.predict(Z)
        assert values.dtype == fit.dtype_ == np.float32
        assert fit.fit_.stats.dtype == "float32"
    theirs = sklearn.kernel_ridge.KernelRidge(kernel="rbf", gamma=0.5, alpha=0.3).fit(X, Y)
    np.testing.assert_allclose(values, theirs.predict(Z), rtol=0, atol=1e-5)


BAD = {
    "kernel": (KernelRidge("gauss"), ValueError, "kernel must be one of angular, laplace"),
    "kernel object": (KernelRidge(3), TypeError, "kernel must be an rfjax kernel or a name"),
    "ridge": (KernelRidge(ridge=-1.0), ValueError, "ridge must be a finite number"),
    "solver": (KernelRidge(solver="lu"), ValueError, "solver must be one of"),
    "depth": (NTKRegressor(depth=0), ValueError, "depth must be at least 1"),
    "activation": (NTKRegressor(activation="cubic"), ValueError, "activation must be one of"),
    "width": (RandomFeatures(width=2.5), TypeError, "width must be an integer"),
    "one class": (NTKClassifier(), ValueError, "y must have two classes or more, got one class"),
}


@pytest.mark.parametrize(("estimator", "error", "says"), BAD.values(), ids=BAD)
def test_bad_settings_raise_when_fitted(estimator, error, says):
    with pytest.raises(error, match=says):
        clone(estimator).fit(X, np.zeros(20))


def test_without_scikit_learn_the_install_line_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    for name in [name for name in sys.modules if name.startswith("rfjax.interop.sklearn")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match=r"pip install 'rfjax\[sklearn\]'"):
        importlib.import_module("rfjax.interop.sklearn")
