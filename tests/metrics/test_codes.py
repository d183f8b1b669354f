"""Numbers of single examples and dimensions."""

import math

import numpy as np
import pytest
import tensorflow as tf

import tfvae
from tfvae import metrics


def test_active_units_counts_variances_above_the_threshold():
    means = np.random.default_rng(0).normal(size=[1000, 4]) * [1.0, 0.2, 0.05, 0.0]
    assert metrics.active_units(means) == 2
    assert metrics.active_units(means, threshold=0.001) == 3
    assert metrics.active_units(tf.constant(means + 100.0)) == 2  # a constant code is no activity, however large


def test_what_is_not_finite_is_neither_active_nor_inactive():
    with pytest.raises(ValueError, match=r"posterior_means must be finite, and 1 of 3 .* the first at index 1"):
        metrics.active_units([[1.0, 0.0], [np.nan, 0.0], [2.0, 0.0]])
    with pytest.raises(ValueError, match="kl must be finite, and 2 of 3 have a NaN or infinite value, the first at"):
        metrics.active_units_by_kl([np.inf, 1.0, np.nan])


def test_kl_per_dimension_is_the_op_s_averaged_over_examples():
    rng = np.random.default_rng(1)
    mean, log_var = rng.normal(size=[50, 3]), rng.normal(size=[50, 3])
    _, kl = tfvae.ops.reparameterize_kl(mean, log_var, seed=[1, 2])
    per_dimension = metrics.kl_per_dimension(mean, log_var)
    np.testing.assert_allclose(per_dimension.sum(), np.mean(kl), rtol=1e-12)  # float64 rounding
    np.testing.assert_allclose(metrics.kl_per_dimension([[0.0, 1.0]], [[1.0, 0.0]]), [0.3591409142, 0.5])


def test_active_units_by_kl_counts_what_carries_information():
    kl = metrics.kl_per_dimension([[3.0, 0.0, 0.1], [-3.0, 0.0, 0.1]], np.zeros([2, 3]))
    assert metrics.active_units_by_kl(kl) == 1  # the KLs are 4.5, 0 and 0.005
    assert metrics.active_units_by_kl(kl, threshold=0.001) == 2
    assert metrics.active_units_by_kl([kl, 0 * kl], threshold=2.2) == 1  # the mean over examples, 2.25
    assert metrics.active_units_by_kl(np.zeros(4)) == 0
    # The same code for all, far from the prior: no variance, but a KL.
    means = np.full([10, 2], 3.0)
    assert metrics.active_units(means) == 0
    assert metrics.active_units_by_kl(metrics.kl_per_dimension(means, np.zeros([10, 2]))) == 2


def test_rate_and_distortion_add_up_to_minus_the_elbo():
    terms = tfvae.objectives.ElboTerms(tf.constant([-3.0, -5.0]), tf.constant([2.0, 1.0]), None)
    assert (metrics.rate(terms), metrics.distortion(terms)) == (1.5, 4.0)
    assert np.mean(terms.elbo) == -5.5


def test_bits_per_dimension_of_a_fair_coin_is_one():
    np.testing.assert_allclose(metrics.bits_per_dimension([-10 * math.log(2.0)], 10), [1.0])


def test_wrong_shapes_are_refused():
    for bad in ([1.0, 2.0], np.zeros([0, 2]), np.zeros([2, 2, 2])):
        with pytest.raises(ValueError, match=r"must have shape \[N, D\]"):
            metrics.active_units(bad)
    with pytest.raises(ValueError, match=r"log_var must have the shape of mean, \[1, 2\], not \[1, 3\]"):
        metrics.kl_per_dimension(np.zeros([1, 2]), np.zeros([1, 3]))
    with pytest.raises(ValueError, match="dimensions must be a positive integer, not 0"):
        metrics.bits_per_dimension(1.0, 0)
    with pytest.raises(ValueError, match=r"dimensions must be a positive integer, not \(28, 28, 1\)"):
        metrics.bits_per_dimension(1.0, (28, 28, 1))
    for bad in (1.0, [], np.zeros([2, 2, 2])):
        with pytest.raises(ValueError, match=r"kl must have shape \[D\] or \[N, D\]"):
            metrics.active_units_by_kl(bad)
    with pytest.raises(ValueError, match=r"kl must have shape \[N\] with at least one example, not \[0\]"):
        metrics.rate(tfvae.objectives.ElboTerms([], [], None))
