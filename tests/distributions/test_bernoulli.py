"""Binary pixels have the density that TFP gives them."""

import numpy as np
import pytest
import tensorflow as tf

from tfvae.distributions import Bernoulli, Normal, _bernoulli
from tfvae.distributions._tfp import tfd
from tfvae.objectives import log_prob


@pytest.mark.parametrize(("event", "dtype"), [([5], "float32"), ([67], "float32"), ([8, 16, 1], "float64")])
def test_binary_pixels_have_the_density_and_gradient_of_tfp(event, dtype, rng):
    logits = rng.normal(scale=4, size=[6, *event]).astype(dtype)
    logits.reshape([6, -1])[0, :2] = np.inf, -np.inf
    x = (rng.random([3, *event]) < 0.5).astype(dtype)
    x.reshape([3, -1])[0, :2] = 1.0, 0.0  # what infinite logits are sure of
    x.reshape([3, -1])[2, 2] = 0.25  # no data of a Bernoulli, and yet as TFP has it
    with tf.GradientTape(persistent=True) as tape:
        parameters, data = tf.constant(logits), tf.constant(x)
        tape.watch([parameters, data])
        decoded = Bernoulli(event)(tf.reshape(parameters, [6, -1]))
        got = _bernoulli.log_prob(_bernoulli.logits_of(decoded), data)
        want = tf.reshape(decoded.log_prob(tf.tile(data, [2] + [1] * len(event))), [2, 3])
    rounding = 128 * np.finfo(dtype).eps  # of sums of up to 128 terms
    np.testing.assert_allclose(got, want, rtol=rounding, atol=rounding)
    by_parameters, by_data = tape.gradient(got, [parameters, data])
    # TFP has NaN at infinite logits, which are in the first row.
    np.testing.assert_allclose(by_parameters[1:], tape.gradient(want, parameters)[1:], atol=rounding)
    np.testing.assert_allclose(by_data[1:], tape.gradient(want, data)[1:], rtol=rounding)


def test_second_derivatives(rng):
    logits, x = tf.constant(rng.normal(size=[2, 3])), tf.constant([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]], tf.float64)
    with tf.GradientTape() as outer:
        outer.watch(logits)
        with tf.GradientTape() as inner:
            inner.watch(logits)
            value = log_prob(Bernoulli(3)(logits), x)
        first = inner.gradient(value, logits)
    sigmoid = 1 / (1 + np.exp(-logits.numpy()))
    np.testing.assert_allclose(outer.gradient(first, logits), -sigmoid * (1 - sigmoid), rtol=1e-12)  # float64 rounding


@pytest.mark.parametrize("event", [[3], [2, 3], [2, 3, 1]])
@pytest.mark.parametrize("batch", [0, 1, 4])
def test_of_every_example_of_a_batch_of_any_size(batch, event, rng):
    logits, x = rng.normal(size=[batch, *event]).astype("float32"), rng.integers(0, 2, [batch, *event])
    want = Bernoulli(event)(logits).log_prob(x)
    np.testing.assert_allclose(log_prob(Bernoulli(event)(logits), x), want, rtol=1e-6)  # float32, six terms
    for known in (event, [None] * len(event)):
        spec = [tf.TensorSpec([None, *event]), tf.TensorSpec([None, *known], tf.int64)]
        traced = tf.function(lambda logits, x: log_prob(Bernoulli(event)(logits), x), input_signature=spec)
        np.testing.assert_allclose(traced(logits, x), want, rtol=1e-6)


def test_batches_of_unknown_size_broadcast_as_with_tfp(rng):
    spec = [tf.TensorSpec([None, 3]), tf.TensorSpec([None, 3])]

    @tf.function(input_signature=spec)
    def traced(logits, x):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = log_prob(Bernoulli(3)(logits), x)
        return value, tape.gradient(value, logits)

    for rows, examples in ((1, 4), (4, 1), (4, 4)):
        logits = tf.constant(rng.normal(size=[rows, 3]), tf.float32)
        x = tf.constant(rng.integers(0, 2, [examples, 3]), tf.float32)
        value, gradient = traced(logits, x)
        np.testing.assert_allclose(value, Bernoulli(3)(logits).log_prob(x), rtol=1e-6)  # float32, three terms
        assert gradient.shape == logits.shape
    with pytest.raises(tf.errors.InvalidArgumentError):
        traced(tf.zeros([4, 3]), tf.zeros([2, 3]))


def test_what_is_not_one_row_for_each_example_is_left_to_tfp(rng):
    logits = tf.constant(rng.normal(size=[4, 3]), tf.float32)
    x = tf.constant([[0.0, 1.0, 1.0]])
    for data in (x, x[0], tf.stack([tf.repeat(x, 4, axis=0)] * 5)):
        got = log_prob(Bernoulli(3)(logits), data)
        np.testing.assert_array_equal(got, Bernoulli(3)(logits).log_prob(data))
    checked = tfd.Independent(tfd.Bernoulli(logits=logits, dtype=tf.float32, validate_args=True), 1)
    with pytest.raises(tf.errors.InvalidArgumentError):
        log_prob(checked, tf.fill([4, 3], 0.5))


def test_impossible_pixels_and_those_not_known(rng):
    logits = np.array([[np.inf, 0.0], [0.0, np.nan]], np.float32)
    value = _bernoulli.log_prob(tf.constant(logits), tf.zeros([2, 2]))
    np.testing.assert_array_equal(value, [[-np.inf, np.nan]])
    assert _bernoulli.logits_of(tfd.Independent(tfd.Bernoulli(probs=[[0.5]]), 1)) is None
    assert _bernoulli.logits_of(Normal(1)(tf.zeros([2, 1]))) is None
