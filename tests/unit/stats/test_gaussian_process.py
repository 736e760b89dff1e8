"""The Gaussian process against scikit-learn's, and its fit against finite differences."""

from dataclasses import replace

import numpy as np
import pytest
from batchlaw.stats.draws import normal_draws
from batchlaw.stats.gaussian_process import (
    Kernel,
    Prior,
    Process,
    matern,
    normal_scores,
    penalty,
    squared_differences,
    squared_exponential,
)
from scipy import optimize, stats
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, WhiteKernel

SCALES, NOISE = np.array([0.3, 2.0, 0.7]), 0.02
PRIOR = Prior(
    middle=np.array([0.5, 0.5, 0.5, -4.0]),
    deviation=np.array([1.7, 1.7, 1.7, 1.0]),
    low=np.log([0.05, 0.05, 0.05, 1e-5]),
    high=np.log([30.0, 30.0, 30.0, 3.0]),
    start=np.log([0.5, 0.5, 0.5, 0.01]),
)


def surface(n=40, seed=0):
    """Points of a cube whose last side is categorical, their scores, and which sides are categorical."""
    generator = np.random.default_rng(seed)
    points = generator.random((n, 3))
    points[:, 2] = generator.integers(3, size=n) / 2
    scores = np.sin(5 * points[:, 0]) + (points[:, 2] == 0.5) + 0.05 * generator.normal(size=n)
    return points, scores - scores.mean(), np.array([False, False, True])


def flat(points):
    """The same points for scikit-learn: a choice of three as a corner of a triangle whose sides are 1 long."""
    corners = np.array([[0, 0], [1, 0], [0.5, np.sqrt(0.75)]])
    return np.column_stack([points[:, :2], corners[np.rint(2 * points[:, 2]).astype(int)]])


def scikit_learns(correlation, points, scores):
    scales = [*SCALES, SCALES[2]]
    kernel = Matern(scales, nu=2.5) if correlation is matern else RBF(scales)
    return GaussianProcessRegressor(kernel, alpha=NOISE + 1e-8, optimizer=None).fit(flat(points), scores)


@pytest.mark.parametrize("correlation", [matern, squared_exponential])
def test_the_process_is_that_of_scikit_learn(correlation):
    points, scores, categorical = surface()
    process = Process.of(Kernel(SCALES, NOISE, categorical, correlation), points, scores)
    new = surface(20, seed=1)[0]
    mean, covariance = scikit_learns(correlation, points, scores).predict(flat(new), return_cov=True)
    for found in (process.predict(new), process.posterior(new)):
        np.testing.assert_allclose(found[0], mean, atol=1e-6)
    np.testing.assert_allclose(process.posterior(new)[1] / process.variance, covariance, atol=1e-6)
    np.testing.assert_allclose(process.predict(new)[1] ** 2 / process.variance, np.diag(covariance), atol=1e-6)


def test_errors_in_common_are_those_of_the_closed_form():
    points, scores, categorical = surface()
    seeds = np.arange(len(points)) // 4
    alike = ((seeds[:, None] == seeds) + np.eye(len(points))) / 2
    kernel = Kernel(SCALES, 0.3, categorical, matern)
    process = Process.of(kernel, points, scores, alike=alike, variance=1.5)
    covariance = 1.5 * (kernel.between(points, points) + 0.3 * alike)
    mean = 1.5 * kernel.between(points, points) @ np.linalg.solve(covariance, scores)
    np.testing.assert_allclose(process.posterior(points)[0], mean, atol=1e-6)
    expected, other = (
        stats.multivariate_normal(np.zeros(len(points)), of).logpdf(scores) for of in (covariance, 2 * covariance)
    )
    twice = Process.of(kernel, points, scores, alike=alike, variance=3.0)
    assert process.log_likelihood - twice.log_likelihood == pytest.approx(expected - other, abs=1e-4)


def test_pending_runs_narrow_the_surface_and_leave_it_where_it_is():
    points, scores, categorical = surface()
    process = Process.of(Kernel(SCALES, NOISE, categorical, matern), points, scores)
    new, pending = surface(20, seed=1)[0], surface(5, seed=2)[0]
    (before, _), (predicted, _) = process.predict(new), process.predict(pending)
    mean, covariance = process.fantasized(pending).posterior(new)
    np.testing.assert_allclose(mean, before, atol=1e-12)
    more = scikit_learns(matern, np.concatenate([points, pending]), np.append(scores, predicted))
    reference, reference_covariance = more.predict(flat(new), return_cov=True)
    np.testing.assert_allclose(mean, reference, atol=1e-6)
    np.testing.assert_allclose(covariance / process.variance, reference_covariance, atol=1e-6)
    assert process.fantasized(points[:0]).predict(new)[1] == pytest.approx(process.predict(new)[1])


@pytest.mark.parametrize("correlation", [matern, squared_exponential])
@pytest.mark.parametrize("prior", [PRIOR, replace(PRIOR, deviation=np.full(4, np.inf))], ids=["prior", "flat"])
def test_the_gradient_of_the_posterior_is_that_of_differences(correlation, prior):
    points, scores, categorical = surface()
    fixed = (squared_differences(points, points, categorical), scores, correlation, prior)
    for logs in (np.log([0.5, 0.5, 0.5, 0.01]), np.log([0.2, 3.0, 1.0, 0.1])):
        numeric = optimize.approx_fprime(logs, lambda at: penalty(at, *fixed)[0], 1e-6)
        np.testing.assert_allclose(penalty(logs, *fixed)[1], numeric, rtol=1e-3, atol=1e-3)


def test_with_a_flat_prior_the_fit_is_scikit_learns_maximum_likelihood():
    generator = np.random.default_rng(0)
    points = generator.uniform(0, 8, size=(150, 2))
    scores = normal_scores(-((points[:, 0] - points[:, 1]) ** 2) + generator.normal(size=150))
    prior = Prior(np.zeros(3), np.full(3, np.inf), np.log([0.5, 0.5, 1e-3]), np.log([20, 20, 10]), np.log([3, 2, 0.3]))
    kernel = Kernel.fitted(points, scores, np.zeros(2, dtype=bool), squared_exponential, prior, steps=100)
    process = Process.of(kernel, points, scores)
    reference = GaussianProcessRegressor(ConstantKernel() * RBF((3.0, 2.0)) + WhiteKernel(0.3), random_state=0)
    fitted = reference.fit(points, scores).kernel_
    np.testing.assert_allclose(kernel.scales, fitted.k1.k2.length_scale, rtol=0.02)
    assert process.variance == pytest.approx(fitted.k1.k1.constant_value, rel=0.05)
    assert process.variance * kernel.noise == pytest.approx(fitted.k2.noise_level, rel=0.02)
    new = generator.uniform(0, 8, size=(50, 2))
    np.testing.assert_allclose(process.predict(new)[0], reference.predict(new), atol=0.02)


def test_the_kernel_finds_which_side_matters():
    kernel = Kernel.fitted(*surface(), matern, PRIOR, steps=10)
    assert kernel.scales[1] > 3 * kernel.scales[0]


def test_normal_scores_keep_the_order_alone():
    scores = np.random.default_rng(0).normal(size=21)
    found = normal_scores(scores)
    np.testing.assert_allclose(np.sort(found), stats.norm.ppf((np.arange(21) + 0.5) / 21))
    np.testing.assert_array_equal(found, normal_scores(np.exp(3 * scores)))
    assert np.array_equal(found.argsort(), scores.argsort()) and (normal_scores(np.ones(5)) == 0).all()


def test_draws_have_their_mean_and_covariance_even_a_singular_one():
    root = np.array([[1.0, 0.0], [2.0, 0.0], [0.5, 1.0]])
    mean, covariance = np.array([1.0, -2.0, 3.0]), root @ root.T
    draws = normal_draws(mean, covariance, 200_000, np.random.default_rng(0))
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=0.02)
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=0.05)
    np.testing.assert_allclose((draws[:, 1] - mean[1]) / 2, draws[:, 0] - mean[0], atol=1e-6)
