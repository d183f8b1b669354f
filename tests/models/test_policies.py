"""dtype policies."""

import keras
import numpy as np
import pytest

import tfvae

POLICIES = ["float32", "mixed_float16", "mixed_bfloat16", "float64"]


def under(policy, build):
    keras.config.set_dtype_policy(policy)
    try:
        return build()
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("policy", POLICIES)
def test_fits_and_reports_finite_numbers_req_37(policy, make_vae, x):
    vae = under(policy, make_vae)
    vae.compile(keras.optimizers.Adam(0.01))
    history = vae.fit(x, epochs=2, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    expected = "float64" if policy == "float64" else "float32"
    assert vae.posterior(x).dtype == vae.prior().dtype == expected
    assert vae.elbo(x).dtype == expected
    assert vae.predict(x, verbose=0).dtype == expected
    assert np.isfinite(vae.log_likelihood(x, num_samples=5).estimate).all()
    assert (vae.noise.state.dtype, vae.kl_weight.dtype) == ("int64", "float32")


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_step_moves_the_weights_as_in_float32_req_37(policy, make_vae, x):
    moves = []
    for name in ("float32", policy):
        vae = under(name, make_vae)
        vae.compile(keras.optimizers.SGD(0.01))
        assert isinstance(vae.optimizer, keras.optimizers.LossScaleOptimizer) == (name == "mixed_float16")
        before = np.concatenate([weight.numpy().ravel() for weight in vae.trainable_weights])
        vae.train_on_batch(x)
        moves.append(np.concatenate([weight.numpy().ravel() for weight in vae.trainable_weights]) - before)
    reference, move = moves
    assert np.linalg.norm(reference) > 1e-3
    np.testing.assert_allclose(np.linalg.norm(move), np.linalg.norm(reference), rtol=0.05)
    assert np.linalg.norm(move - reference) < 0.05 * np.linalg.norm(reference)


def in_float64(inputs, outputs):
    return keras.Sequential([keras.Input([inputs], dtype="float64"), keras.layers.Dense(outputs, dtype="float64")])


@pytest.mark.parametrize("networks", ["both", "encoder", "decoder", "neither"])
def test_networks_of_another_dtype_than_the_policy(networks, make_vae, x):
    """The prior is of the posterior's dtype, for training and for the evidence alike."""
    vae = make_vae(dtype="float64" if networks == "neither" else None)
    if networks in ("both", "encoder"):
        vae.encoder = in_float64(6, 4)
    if networks in ("both", "decoder"):
        vae.decoder = in_float64(2, 6)
    expected = "float64" if networks in ("both", "encoder") else "float32"
    assert vae.posterior(x).dtype == vae.prior().dtype == expected
    settings = {"num_samples": 2000, "seed": 1}
    estimates = tfvae.evidence.importance_weighted(vae, x[:2], proposal="defensive", **settings)
    parts = tfvae.evidence.decompose(vae, x[:2], **settings)  # By quadrature: two dimensions.
    error = np.asarray(estimates.standard_error)
    assert np.all(np.abs(estimates.estimate - parts.log_evidence) < 5 * error)  # False alarm in 1 of 1e6.
