"""posterior, prior, likelihood, elbo, log_likelihood, sample: shapes, seeds, and their relation."""

import numpy as np
import pytest
import tensorflow as tf

import tfvae


def test_distributions_have_their_shapes(make_vae, x):
    vae = make_vae()
    q, p = vae.posterior(x), vae.prior()
    assert (q.batch_shape, q.event_shape) == ((48,), (2,))
    assert (p.batch_shape, p.event_shape) == ((), (2,))
    decoded = vae.likelihood(q.sample(seed=[1, 2]))
    assert (decoded.batch_shape, decoded.event_shape) == ((48,), (6,))


def test_elbo_is_its_terms(make_vae, x):
    vae = make_vae()
    q = vae.posterior(x)
    z, kl, _ = tfvae.sample_and_kl(q, vae.prior(), seed=[9, 0])
    expected = vae.likelihood(z).log_prob(x) - kl
    np.testing.assert_allclose(vae.elbo(x, seed=9), expected, rtol=1e-6)  # the same ops
    np.testing.assert_allclose(vae.elbo(x, seed=[9, 0]), expected, rtol=1e-6)


def test_seeds_reproduce_and_none_draws_from_the_model(make_vae, x):
    vae = make_vae()
    for method in (lambda seed: vae.elbo(x, seed=seed), lambda seed: vae.sample(4, seed=seed)):
        np.testing.assert_array_equal(method(3), method(3))
        np.testing.assert_array_equal(method(3), method((3, 0)))
        assert not np.array_equal(method(3), method(4))
        counter = int(vae.noise.state.numpy()[1])
        assert not np.array_equal(method(None), method(None))
        assert int(vae.noise.state.numpy()[1]) == counter + 2


def test_log_likelihood_takes_seeds_alike(make_vae, x):
    vae = make_vae()
    first, second, other = (vae.log_likelihood(x, num_samples=3, seed=seed).estimate for seed in (3, (3, 0), None))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)
    assert int(vae.noise.state.numpy()[1]) == 1


def test_a_tensor_is_a_seed_eager_and_in_a_function(make_vae, x):
    vae = make_vae()
    expected = vae.elbo(x, seed=3)
    for seed in (tf.constant(3), tf.constant(3, tf.int64)):
        np.testing.assert_array_equal(vae.elbo(x, seed=seed), expected)
        # float32: another graph
        np.testing.assert_allclose(tf.function(lambda s: vae.elbo(x, seed=s))(seed), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("z", "message"),
    [
        (np.zeros([3, 5]), r"z must have a shape that ends in \[2\], the event shape of DiagonalNormal"),
        (np.zeros([2]), r"z must have shape \[B, 2\], not \[2\]\. For one z take z\[None\]"),
        (np.zeros([4, 3, 2]), r"z must have shape \[B, 2\], not \[4, 3, 2\]"),
    ],
    ids=["size", "one", "draws"],
)
def test_latents_of_another_shape_are_refused(make_vae, z, message):
    with pytest.raises(ValueError, match=message):
        make_vae().likelihood(z)


@pytest.mark.parametrize("seed", ["x", 1.5, 2**63, [1, 2, 3], [0.5, 1.0]])
def test_bad_seeds_are_refused(make_vae, x, seed):
    with pytest.raises((TypeError, ValueError), match=r"seed|64 bits"):
        make_vae().elbo(x, seed=seed)


def test_methods_do_not_train(make_vae, x):
    vae = make_vae()
    before = vae.trainable_weights[0].numpy()
    vae.elbo(x)
    vae.log_likelihood(x, num_samples=2)
    np.testing.assert_array_equal(vae.trainable_weights[0], before)


def test_log_likelihood_bounds_and_reports(make_vae, x):
    vae = make_vae()
    with pytest.warns(tfvae.evidence.EvidenceWarning, match=r"for \d+ of 48 examples"):  # an untrained encoder
        result = vae.log_likelihood(x, num_samples=500, seed=1)
    assert {field.shape.as_list()[0] for field in result} == {48}
    assert {field.dtype for field in result} == {tf.float64}
    elbo = np.mean([vae.elbo(x, seed=i) for i in range(50)])
    assert elbo < np.mean(result.estimate)
    one = vae.log_likelihood(x, num_samples=1, seed=1)
    assert np.mean(one.estimate) < np.mean(result.estimate)


def test_log_likelihood_of_an_example_is_that_of_its_row(make_vae, x):
    vae, x = make_vae(), np.concatenate([x, x])
    whole = vae.log_likelihood(x, num_samples=10, seed=1)  # two blocks of rows
    assert whole.estimate.shape == [96]
    for rows in (1, 7, 65):
        first = vae.log_likelihood(x[:rows], num_samples=10, seed=1)
        np.testing.assert_allclose(first.estimate, whole.estimate[:rows], rtol=1e-6)  # float32 decoder, other batches
    assert vae.log_likelihood(x[:0], num_samples=10).estimate.shape == [0]


def test_sample_is_the_decoder_s_mean_at_draws_of_the_prior(make_vae):
    vae = make_vae()
    z = vae.prior().sample(7, seed=tf.constant([3, 0]))
    np.testing.assert_allclose(vae.sample(7, seed=3), vae.decoder(z), rtol=1e-6)  # the same ops
    assert vae.sample(0).shape == [0, 6]
    for n in (-1, 2.5, "3", None):
        with pytest.raises(ValueError, match=f"n must be an integer of at least 0, not {n!r}"):
            vae.sample(n)


def test_batches_of_none_and_one(make_vae, x):
    vae = make_vae()
    assert vae.elbo(x[:0]).shape == [0]
    assert vae.elbo(x[:1]).shape == [1]
    assert vae.reconstruct(x[:0]).shape == [0, 6]
