"""Two runs with the same seeds, and XLA or not, in a process that asks TensorFlow for determinism."""

import keras
import numpy as np

import tfvae

CODE = """
import keras, numpy as np, tensorflow as tf, tfvae
from tfvae.distributions import DiagonalNormal, Normal
tf.config.experimental.enable_op_determinism()
x = np.random.default_rng(0).normal(size=[48, 6]).astype("float32")

def run():
    keras.utils.set_random_seed(3)
    vae = tfvae.VAE(
        keras.Sequential([keras.Input([6]), keras.layers.Dense(16, "relu"), keras.layers.Dense(4)]),
        keras.Sequential([keras.Input([2]), keras.layers.Dense(16, "relu"), keras.layers.Dense(6)]),
        posterior=DiagonalNormal(2), likelihood=Normal(6),
    )
    vae.compile("adam")
    vae.fit(x, epochs=3, batch_size=16, verbose=0)
    return [*vae.get_weights(), vae.sample(4).numpy(), vae.log_likelihood(x, num_samples=3).estimate.numpy()]

for one, other in zip(run(), run()):
    np.testing.assert_array_equal(one, other)
print("EQUAL")
"""


def test_set_random_seed_and_op_determinism_make_runs_bit_identical_req_38(run_python):
    done = run_python(CODE, env={"TFVAE_BACKEND": tfvae.build_info()["backend"]})
    assert "EQUAL" in done.stdout, done.stderr[-3000:]


def test_training_repeats_bit_for_bit_on_either_backend(make_vae, backend):
    """180 steps, twice: TensorFlow adds three gradients up in the order in which they come, so only two may meet."""
    x = np.random.default_rng(0).normal(size=[48, 6]).astype("float32")

    def trained():
        vae = make_vae()
        vae.compile(keras.optimizers.Adam(0.01))
        vae.fit(x, epochs=60, batch_size=16, shuffle=False, verbose=0)
        return [*vae.weights, *vae.optimizer.variables]

    for one, other in zip(trained(), trained(), strict=True):
        np.testing.assert_array_equal(one, other, err_msg=one.path)
