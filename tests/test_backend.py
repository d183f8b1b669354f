"""Which backend runs: the environment, ``use_backend`` blocks, and what ``build_info`` tells."""

import threading

import numpy as np
import pytest
import tensorflow as tf

import tfvae
from tfvae import _native
from tfvae.ops import reparameterize_kl

BUILT = tfvae.build_info()["built"] is not None
IN_XLA = BUILT and tfvae.build_info()["built"]["xla"]


@pytest.fixture(autouse=True)
def no_variable(monkeypatch):
    monkeypatch.delenv("TFVAE_BACKEND", raising=False)


def native_ops_in(function):
    graph = function.get_concrete_function().graph
    return [op.type for op in graph.get_operations() if op.type.startswith("Tfvae")]


def traced(**how):
    return tf.function(lambda: reparameterize_kl(tf.zeros([2, 3]), tf.zeros([2, 3]), seed=[1, 2]), **how)


def test_the_fixture_chooses_what_runs(backend):
    assert tfvae.build_info()["backend"] == backend
    assert native_ops_in(traced()) == (["TfvaeReparameterizeKl"] if backend == "native" else [])


@pytest.mark.parametrize("value", ["auto", "", "  AUTO ", None])
def test_auto(monkeypatch, value):
    if value is not None:
        monkeypatch.setenv("TFVAE_BACKEND", value)
    info = tfvae.build_info()
    assert info["requested"] == "auto"
    assert info["backend"] == ("native" if BUILT else "reference")


@pytest.mark.parametrize("value", ["reference", "Reference", " reference\t"])
def test_reference_by_the_environment(monkeypatch, value):
    monkeypatch.setenv("TFVAE_BACKEND", value)
    info = tfvae.build_info()
    assert (info["requested"], info["backend"]) == ("reference", "reference")
    assert native_ops_in(traced()) == []


@pytest.mark.parametrize("value", ["cuda", "1", "native,reference"])
def test_unknown_value_raises(monkeypatch, value):
    monkeypatch.setenv("TFVAE_BACKEND", value)
    message = f"TFVAE_BACKEND must be one of auto, native, reference, not '{value}'"
    with pytest.raises(ValueError, match=message):
        reparameterize_kl(tf.zeros([3]), tf.zeros([3]), seed=[1, 2])
    with pytest.raises(ValueError, match=message):
        tfvae.build_info()


def test_use_backend_overrides_the_environment(monkeypatch):
    monkeypatch.setenv("TFVAE_BACKEND", "reference")
    with tfvae.use_backend("auto"):
        assert tfvae.build_info()["backend"] == ("native" if BUILT else "reference")
    assert tfvae.build_info()["backend"] == "reference"


def test_blocks_nest_and_end_also_by_an_error():
    before = tfvae.build_info()["backend"]
    with tfvae.use_backend("reference"):
        with tfvae.use_backend("auto"):
            assert tfvae.build_info()["backend"] == ("native" if BUILT else "reference")
        assert tfvae.build_info()["backend"] == "reference"
        with pytest.raises(KeyError), tfvae.use_backend("auto"):
            raise KeyError
        assert tfvae.build_info()["backend"] == "reference"
    assert tfvae.build_info()["backend"] == before


def test_a_block_is_about_its_own_thread():
    seen = []
    with tfvae.use_backend("reference"):
        thread = threading.Thread(target=lambda: seen.append(tfvae.build_info()["backend"]))
        thread.start()
        thread.join()
    assert seen == ["native" if BUILT else "reference"]


@pytest.mark.parametrize("name", ["cuda", "", None, "Native"])
def test_unknown_name_raises(name):
    with (
        pytest.raises(ValueError, match="The backend must be one of auto, native, reference, not"),
        tfvae.use_backend(name),
    ):
        pass


def test_a_traced_function_keeps_its_backend():
    function = traced()
    with tfvae.use_backend("reference"):
        function.get_concrete_function()
    assert native_ops_in(function) == []


@pytest.mark.skipif(
    not IN_XLA, reason="tells which devices lack the compiled op inside XLA, and it is not compiled for XLA here"
)
def test_a_device_for_which_xla_has_no_kernel_takes_the_reference_inside_it(monkeypatch, caplog):
    """XLA would place a compiled function on the TPU, where the op has no kernel; outside, the op is placed apart."""
    devices = [tf.config.PhysicalDevice(f"/physical_device:{kind}:0", kind) for kind in ("CPU", "TPU")]
    assert native_ops_in(traced(jit_compile=True)) == ["TfvaeReparameterizeKl"]
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda: devices)
    _native.announce_fallback.cache_clear()
    for _ in range(2):
        assert native_ops_in(traced(jit_compile=True)) == []
    assert native_ops_in(traced()) == ["TfvaeReparameterizeKl"]
    problem = tfvae.build_info()["problem_inside_xla"]
    assert "they have no kernels for XLA on TPU" in problem
    [record] = caplog.records
    assert record.getMessage().endswith(f", inside XLA: {problem}")
    with tfvae.use_backend("native"), pytest.raises(RuntimeError, match="not usable inside XLA: they have no kernels"):
        traced(jit_compile=True).get_concrete_function()


def test_both_backends_give_the_same_numbers(backend, rng):
    mean, log_var = rng.normal(size=(5, 7)), rng.normal(size=(5, 7))
    got = reparameterize_kl(mean, log_var, seed=[1, 2])
    with tfvae.use_backend("reference"):
        expected = reparameterize_kl(mean, log_var, seed=[1, 2])
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


def test_build_info_tells_versions_and_what_was_built():
    info = tfvae.build_info()
    assert set(info) == {
        *("backend", "requested", "problem", "problem_inside_xla"),
        "instruction_set",
        "built",
        "versions",
    }
    assert (info["instruction_set"] in (info["built"] or {}).get("instruction_sets", [])) == BUILT
    assert info["versions"]["tensorflow"] == tf.__version__
    assert set(info["versions"]) == {"python", "tensorflow", "keras", "tensorflow_probability", "numpy"}
    if BUILT:
        assert info["problem"] is None
        assert info["built"]["tensorflow"] == tf.__version__
    else:
        assert "no compiled library" in info["problem"]


@pytest.mark.skipif(not BUILT, reason="without a compiled library there is no instruction set to choose")
def test_an_unknown_instruction_set_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(_native, "_asked_isa", lambda: "sse9")
    with pytest.raises(_native._Unusable, match=r"TFVAE_ISA is 'sse9' and must be one of .*baseline"):
        _native._check_isa()
    monkeypatch.setattr(_native, "_asked_isa", lambda: "baseline")
    _native._check_isa()


@pytest.mark.skipif(not BUILT, reason="without a compiled library there is no instruction set to choose")
def test_the_instruction_set_is_the_one_in_use_whatever_the_environment_says_later(monkeypatch):
    before = tfvae.build_info()["instruction_set"]
    monkeypatch.setenv("TFVAE_ISA", "sse9")
    assert tfvae.build_info()["instruction_set"] == before
