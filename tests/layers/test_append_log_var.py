"""AppendLogVar: one learned noise level beside a decoder's means."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvae.distributions import Normal
from tfvae.layers import AppendLogVar


def test_serves_the_learned_scale_in_both_layouts():
    layer = AppendLogVar(initial=np.log(4.0))
    for shape in ([3, 8], [3, 2, 2, 2]):
        distribution = Normal((2, 2, 2), scale="learned")(layer(tf.ones(shape)))
        np.testing.assert_array_equal(distribution.mean(), np.ones([3, 2, 2, 2]))
        np.testing.assert_allclose(distribution.stddev(), np.full([3, 2, 2, 2], 2.0), rtol=1e-6)  # float32 rounding


def test_is_trainable_and_gets_the_summed_gradient():
    layer = AppendLogVar()
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(tf.zeros([3, 2])))
    assert tape.gradient(total, layer.trainable_weights)[0].numpy() == 6.0


def test_round_trip_and_validation_req_35():
    layer = AppendLogVar.from_config(AppendLogVar(initial=-1.5).get_config())
    assert layer.initial == -1.5
    assert keras.Sequential([keras.Input([2]), layer]).output_shape == (None, 4)
    for bad in (float("nan"), "x", None, True, [1.0]):
        with pytest.raises(ValueError, match="initial log_var must be a finite number"):
            AppendLogVar(initial=bad)
