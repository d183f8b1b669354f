"""What holds for every model: Bayes' rule, the decomposition, and draws that follow ``p(x)``."""

import numpy as np
import pytest
import tensorflow as tf

import tfvae
from tfvae import evidence, exact


def test_bayes_rule_holds_for_every_z(model_and_data):
    model, x = model_and_data
    q = model.posterior(x)
    for seed in range(2):
        z = q.sample(seed=[seed, 0])
        from_z = model.likelihood(z).log_prob(x) + model.prior().log_prob(z) - q.log_prob(z)
        # Float64, terms of size 10; the logits of a categorical posterior are normalised to the same rounding.
        np.testing.assert_allclose(from_z, model.log_evidence(x), atol=1e-12)


def test_log_likelihood_is_exact_in_the_form_of_an_estimate(model_and_data):
    model, x = model_and_data
    result = model.log_likelihood(x, num_samples=30)
    assert isinstance(result, evidence.LogLikelihood)
    assert all(field.shape == [len(x)] and field.dtype == tf.float64 for field in result)
    np.testing.assert_array_equal(result.estimate, model.log_evidence(x))
    np.testing.assert_array_equal(result.standard_error, [0.0, 0.0])
    np.testing.assert_array_equal(result.effective_sample_size, [30.0, 30.0])
    with pytest.raises(ValueError, match="num_samples must be a positive integer"):
        model.log_likelihood(x, num_samples=0)


def test_the_bound_of_a_q_is_its_expectation(model_and_data):
    model, x = model_and_data
    q = model.prior()
    z = q.sample(100_000, seed=[3, 4])
    for row, bound in zip(x, model.elbo(x, q), strict=True):
        # KL(p || p) is zero, so the bound is the mean of log p(x|z) over the prior.
        terms = model.likelihood(z).log_prob(row).numpy()
        # 5 standard errors: false alarm below 10^-6 for each of 14 rows, and the seed fixed.
        assert abs(terms.mean() - bound) < 5 * terms.std() / np.sqrt(len(terms))
    assert np.all(model.elbo(x, q) < model.log_evidence(x))
    np.testing.assert_array_equal(model.elbo(x), model.log_evidence(x))


def test_draws_follow_p_of_x(model_and_data):
    model, _ = model_and_data
    x = model.sample(50_000, seed=7).numpy()
    assert x.shape == (50_000, *model.event_shape)
    # Independently of marginal(): draws of z, then of x. Their first two moments differ by the noise of both samples:
    # 6 standard errors, so a false alarm below 10^-8 each.
    other = model.likelihood(model.prior().sample(50_000, seed=[8, 0])).sample(seed=[9, 0]).numpy()
    for power in (1, 2):
        error = np.sqrt((x**power).var(axis=0) + (other**power).var(axis=0)) / np.sqrt(len(x))
        assert np.all(abs((x**power).mean(axis=0) - (other**power).mean(axis=0)) < 6 * error)
    np.testing.assert_array_equal(model.sample(3, seed=[7, 0]), model.sample(3, seed=7))
    assert model.sample(0).shape == [0, *model.event_shape]


def test_means_and_reconstructions_have_the_shape_of_the_data(model_and_data):
    model, x = model_and_data
    assert len(model.encode(x)) == len(x)
    assert model.reconstruct(x).shape == x.shape
    assert model.posterior(x).batch_shape == model.likelihood(model.posterior(x).sample(seed=[1, 2])).batch_shape == [2]


def test_the_methods_are_named_like_those_of_a_vae():
    shared = ("posterior", "prior", "likelihood", "log_likelihood", "elbo", "sample", "encode", "reconstruct")
    assert all(callable(getattr(kind, name)) for kind in (tfvae.VAE, exact.ExactModel) for name in shared)


def test_lists_of_numbers_are_float64_from_the_start(model_and_data):
    model, x = model_and_data
    z = model.posterior(x).sample(seed=[1, 2])
    np.testing.assert_array_equal(model.log_evidence(x.tolist()), model.log_evidence(x))
    lists = model.likelihood(z.numpy().tolist()).log_prob(x)
    np.testing.assert_array_equal(lists, model.likelihood(z).log_prob(x))


def test_data_of_another_shape_or_kind_are_refused(model_and_data):
    model, x = model_and_data
    with pytest.raises(ValueError, match=r"must have shape \[B.*For one example take x\[None\]"):
        model.log_evidence(x[0])
    with pytest.raises(ValueError, match=r"must have shape \[B"):
        model.posterior(np.ones([2, *model.event_shape, 1]))
    with pytest.raises(ValueError, match=r"expects values that are .*; 1 of .* are not, the first being nan at index"):
        model.log_evidence(np.where(np.arange(x.size).reshape(x.shape) == 1, np.nan, x))
    with pytest.raises(ValueError, match="must be numbers, not string"):
        model.log_evidence(np.full(x.shape, "a"))


def test_a_q_of_another_precision_is_refused(by_hand):
    model, x = by_hand
    with pytest.raises(TypeError, match=r"q must be a distribution of float64.*not of float32"):
        model.elbo(x, tfvae.distributions.StandardNormal(2)())
