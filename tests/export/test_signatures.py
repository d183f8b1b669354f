"""What the exported functions give, against the model they came from."""

from __future__ import annotations

import threading
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfvae

SIGNATURES = {"encode", "decode", "reconstruct", "sample", "score", "serving_default"}
SEED = tf.constant([3, 4])


def ops_of(signature: Any) -> set[str]:
    graph = signature.graph.as_graph_def()
    functions = [node for function in graph.library.function for node in function.node_def]
    return {node.op for node in [*graph.node, *functions]}


def expected_of(vae: tfvae.VAE, x: np.ndarray, z: np.ndarray) -> dict[str, tf.Tensor]:
    with tfvae.use_backend("reference"):
        elbo = vae.elbo(x, SEED)
    return {
        "encode.mean": vae.posterior(x).mean(),
        "encode.log_var": tf.math.log(vae.posterior(x).variance()),
        "decode.mean": vae.likelihood_family.mean(vae.likelihood(z)),
        "reconstruct.mean": vae.reconstruct(x),
        "serving_default.mean": vae.reconstruct(x),
        "sample.samples": vae.sample(6, SEED),
        "score.elbo": elbo,
    }


def test_signatures_give_what_the_model_gives(exported):
    vae, x, _, loaded = exported
    z = np.random.default_rng(5).normal(size=[4, *vae.posterior_family.event_shape])
    z = z.astype("float64" if vae.compute_dtype == "float64" else "float32")
    inputs = {
        "decode": {"z": z},
        "sample": {"count": 6, "seed": SEED},
        "score": {"x": x, "seed": SEED},
    }
    assert set(loaded.signatures) == SIGNATURES
    got = {}
    for name, signature in loaded.signatures.items():
        outputs = signature(**{key: tf.convert_to_tensor(value) for key, value in inputs.get(name, {"x": x}).items()})
        got |= {f"{name}.{key}": value for key, value in outputs.items()}
    expected = expected_of(vae, x, z)
    assert set(got) == set(expected)
    # Graphs fuse and reorder: a few roundings of float32, and of the half type where layers compute in one.
    tolerance = {"float16": 1e-2, "bfloat16": 5e-2}.get(vae.compute_dtype, 1e-5)
    for name, value in expected.items():
        assert got[name].dtype == (tf.float64 if vae.compute_dtype == "float64" else tf.float32), name
        np.testing.assert_allclose(got[name], value, rtol=tolerance, atol=tolerance, err_msg=name)


def test_stock_export_holds_no_tfvae_op_req_46(exported):
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    graph = SavedModel.FromString((exported.folder / "saved_model.pb").read_bytes()).meta_graphs[0]
    listed = {op.name for op in graph.meta_info_def.stripped_op_list.op}
    functions = {node.op for function in graph.graph_def.library.function for node in function.node_def}
    assert "MatMul" in listed
    assert "MatMul" in functions
    assert not [op for op in listed | functions | {node.op for node in graph.graph_def.node} if "tfvae" in op.lower()]
    for signature in exported.loaded.signatures.values():
        assert not [op for op in ops_of(signature) if "tfvae" in op.lower()]


@pytest.mark.parametrize("name", ["encode", "decode"])
def test_no_random_op_and_no_assignment_req_47(exported, name):
    signature = exported.loaded.signatures[name]
    assert not [op for op in ops_of(signature) if "random" in op.lower() or "assign" in op.lower()]
    weights = [*exported.vae.encoder.weights, *exported.vae.decoder.weights]
    known = [weight.numpy().tobytes() for weight in weights]
    assert signature.variables
    assert all(variable.numpy().tobytes() in known for variable in signature.variables)


@pytest.mark.parametrize("count", [0, 1, 7, 1024])
def test_batches_of_any_size_req_50(exported, count):
    vae, x, _, loaded = exported
    x = tf.convert_to_tensor(np.resize(x, [count, *x.shape[1:]]))
    signatures = loaded.signatures
    latent = vae.posterior_family.event_shape
    encoded = signatures["encode"](x=x)
    assert encoded["mean"].shape == encoded["log_var"].shape == [count, *latent]
    event = signatures["decode"](z=encoded["mean"])["mean"].shape[1:]
    assert signatures["decode"](z=encoded["mean"])["mean"].shape == [count, *event]
    assert signatures["reconstruct"](x=x)["mean"].shape == [count, *event]
    assert signatures["sample"](count=tf.constant(count), seed=SEED)["samples"].shape == [count, *event]
    elbo = signatures["score"](x=x, seed=SEED)["elbo"]
    assert elbo.shape == [count]
    assert np.isfinite(elbo).all()


def test_wrong_feature_size_raises_req_50(exported):
    vae, x, _, loaded = exported
    wider = tf.convert_to_tensor(np.repeat(x, 2, axis=1))
    for name in ("encode", "reconstruct", "serving_default"):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"Shape of tensor x\b.* is not compatible"):
            loaded.signatures[name](x=wider)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"Shape of tensor x\b.* is not compatible"):
        loaded.signatures["score"](x=wider, seed=SEED)
    z = tf.zeros([2, vae.posterior_family.event_shape[0] + 1], loaded.signatures["encode"](x=x)["mean"].dtype)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"Shape of tensor z .* is not compatible"):
        loaded.signatures["decode"](z=z)


def test_wrong_seed_or_count_raises(exported):
    for seed, count in (([1, 2, 3], 1), ([1], 1), ([1, 2], -1)):
        with pytest.raises(tf.errors.InvalidArgumentError):
            exported.loaded.signatures["sample"](count=tf.constant(count), seed=tf.constant(seed))


def test_sample_is_pure_in_its_seed_from_two_threads_too_req_47(exported):
    sample = exported.loaded.signatures["sample"]
    expected = [sample(count=tf.constant(9), seed=tf.constant([1, i]))["samples"].numpy() for i in range(8)]
    assert all((expected[0] != other).any() for other in expected[1:])
    got: dict[tuple[int, int], np.ndarray] = {}

    def draw(thread: int) -> None:
        for i in range(8):
            got[thread, i] = sample(count=tf.constant(9), seed=tf.constant([1, i]))["samples"].numpy()

    threads = [threading.Thread(target=draw, args=(thread,)) for thread in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 16
    for (_, i), value in got.items():
        np.testing.assert_array_equal(value, expected[i])


def test_functions_can_be_called_by_name_too(exported):
    mean = exported.loaded.encode(tf.convert_to_tensor(exported.x))["mean"]
    np.testing.assert_array_equal(mean, exported.loaded.signatures["encode"](x=exported.x)["mean"])


@pytest.mark.parametrize("exported", ["dense", "float64"], indirect=True)
def test_an_export_works_as_a_keras_layer(exported):
    dtype = "float64" if exported.vae.compute_dtype == "float64" else "float32"
    layer = keras.layers.TFSMLayer(str(exported.folder), call_endpoint="serving_default", dtype=dtype)
    mean = exported.loaded.signatures["reconstruct"](x=exported.x)["mean"]
    np.testing.assert_array_equal(layer(tf.convert_to_tensor(exported.x))["mean"], mean)
