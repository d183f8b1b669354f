"""From terms to loss."""

import numpy as np
import pytest
import tensorflow as tf

from tfvae.distributions import Categorical, DiagonalNormal, Normal, StandardNormal
from tfvae.distributions._tfp import tfd
from tfvae.objectives import ElboTerms, elbo_terms, negative_elbo


def test_terms_are_those_of_the_sample():
    q = DiagonalNormal(2)(np.array([[0.5, -1.0, 0.1, -0.3]]))
    p = StandardNormal(2)(tf.zeros([0], tf.float64))
    x = np.array([[0.3, 0.4]])
    terms = elbo_terms(q, p, Normal(2), x, seed=[1, 2])
    expected = -0.5 * np.sum((x - terms.z) ** 2, axis=-1) - np.log(2 * np.pi)
    np.testing.assert_allclose(terms.reconstruction, expected, rtol=1e-12)  # float64 rounding
    np.testing.assert_allclose(terms.kl, q.kl_divergence(p), rtol=1e-12)
    np.testing.assert_array_equal(terms.elbo, terms.reconstruction - terms.kl)


def test_terms_share_the_dtype_of_the_kl():
    q = DiagonalNormal(2)(np.zeros([1, 4]))
    p = StandardNormal(2)(tf.zeros([0], tf.float64))
    terms = elbo_terms(q, p, lambda z: Categorical(1, 2)(tf.cast(z, tf.float32)), np.array([[1]]), seed=[1, 2])
    assert terms.reconstruction.dtype == terms.kl.dtype == tf.float64


def test_weight_is_on_the_kl_alone():
    terms = ElboTerms(tf.constant([-3.0, -1.0]), tf.constant([2.0, 0.5]), tf.zeros([2, 1]))
    np.testing.assert_array_equal(negative_elbo(terms), [5.0, 1.5])
    np.testing.assert_array_equal(negative_elbo(terms, tf.constant(0.5)), [4.0, 1.25])


@pytest.mark.parametrize("graph", [False, True])
def test_fractions_are_not_cut_off_by_a_distribution_of_integers(graph):
    terms = tf.function(elbo_terms) if graph else elbo_terms
    q, p = DiagonalNormal(1)(tf.zeros([1, 2])), StandardNormal(1)()

    def whole(z):
        return tfd.Independent(tfd.Bernoulli(logits=z), 1)

    def of(x):
        return terms(q, p, whole, tf.constant([[x]]), seed=tf.constant([1, 2]))

    np.testing.assert_allclose(of(1.0).reconstruction, tf.math.log_sigmoid(of(1.0).z)[:, 0], rtol=1e-6)
    with pytest.raises(tf.errors.InvalidArgumentError, match="IndependentBernoulli of int32 would cut off"):
        of(0.9)
