"""The Gaussian mixture against brute force and scikit-learn."""

import numpy as np
import pytest
from scipy import stats
from sklearn import mixture

from tfvae.exact import GaussianMixture

PROBS = np.array([0.2, 0.5, 0.3])
MEANS = np.array([[0.0, 1.0], [2.0, 2.0], [-1.0, 0.0]])
SCALES = np.array([[1.0, 0.5], [2.0, 1.0], [0.3, 3.0]])
X = np.random.default_rng(0).normal(scale=3.0, size=[20, 2])


def test_evidence_and_responsibilities_by_brute_force():
    model = GaussianMixture(PROBS, MEANS, SCALES)
    joint = PROBS * np.prod(stats.norm.pdf(X[:, None], MEANS, SCALES), axis=-1)
    np.testing.assert_allclose(model.log_evidence(X), np.log(joint.sum(axis=1)), rtol=1e-12)
    responsibilities = joint / joint.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.encode(X), responsibilities, rtol=1e-10)
    np.testing.assert_allclose(model.reconstruct(X), responsibilities @ MEANS, rtol=1e-10)


# joblib's words where it cannot ask the system, as with no commands on the PATH; it goes on without.
@pytest.mark.filterwarnings("ignore:Could not find the number of physical cores:UserWarning")
def test_scikit_learn_agrees():
    theirs = mixture.GaussianMixture(3, covariance_type="diag", random_state=0).fit(X)
    model = GaussianMixture(theirs.weights_, theirs.means_, np.sqrt(theirs.covariances_))
    np.testing.assert_allclose(model.log_evidence(X), theirs.score_samples(X), rtol=1e-10)
    np.testing.assert_allclose(model.encode(X), theirs.predict_proba(X), atol=1e-10)


def test_far_from_all_components_nothing_underflows():
    model = GaussianMixture([0.5, 0.5], [[0.0], [1.0]], 1.0)
    # At 1e4 both densities are exp(-5e7), zero in float64; the nearer has all of the responsibility.
    np.testing.assert_allclose(model.log_evidence([[1e4]]), stats.norm.logpdf(1e4, 1.0) + np.log(0.5), rtol=1e-12)
    np.testing.assert_allclose(model.encode([[1e4]]), [[0.0, 1.0]], atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.5, 0.4], MEANS[:2], 1.0), r"probs must sum to 1, not 0\.9"),
        (([1.5, -0.5], MEANS[:2], 1.0), "probs must be positive"),
        ((PROBS, MEANS[:2], 1.0), "a row for each of the 3 components of probs, not 2"),
        ((PROBS, MEANS[0], 1.0), r"means must have shape \[C, D\], not \[2\]"),
        ((PROBS, MEANS, SCALES.T), r"scales must have the shape of means, \[3, 2\], or broadcast to it, not \[2, 3\]"),
        ((PROBS, MEANS, 0.0), "scales must be positive"),
    ],
)
def test_bad_parameters_are_refused_req_35(arguments, message):
    with pytest.raises(ValueError, match=message):
        GaussianMixture(*arguments)
