"""Several draws with their log density ratios: tfvae's two backends, stock ops, TensorFlow Probability."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

import tfvae
from benchmarks._rivals_tensorflow import Forward


def native(samples: int) -> Forward:
    """The compiled op."""
    return _op("native", samples)


def reference(samples: int) -> Forward:
    """The specification in plain TensorFlow."""
    return _op("reference", samples)


def _op(backend: str, samples: int) -> Forward:
    def forward(mean: tf.Tensor, log_var: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tfvae.use_backend(backend):
            return tfvae.ops.reparameterize_log_ratio(mean, log_var, seed=seed, num_samples=samples)

    return forward


def stock(samples: int) -> Forward:
    """The leanest that stock ops allow: the constants and the squares of ``(z - mean) / std`` already cancelled."""

    def forward(mean: tf.Tensor, log_var: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shape = tf.concat([[samples], tf.shape(mean)], axis=0)
        eps = tf.random.stateless_normal(shape, seed, dtype=mean.dtype, alg="philox")
        z = mean + tf.exp(0.5 * log_var) * eps
        return z, 0.5 * tf.reduce_sum(tf.square(z) - tf.square(eps) - log_var, axis=-1)

    return forward


def probability(samples: int) -> Forward:
    """The same with TensorFlow Probability's distributions."""

    def forward(mean: tf.Tensor, log_var: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        latent = mean.shape[-1]
        q = tfp.distributions.MultivariateNormalDiag(mean, tf.exp(0.5 * log_var))
        p = tfp.distributions.MultivariateNormalDiag(tf.zeros([latent], mean.dtype), tf.ones([latent], mean.dtype))
        z = q.sample(samples, seed=seed)
        return z, q.log_prob(z) - p.log_prob(z)

    return forward
