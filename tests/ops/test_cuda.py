"""The CUDA kernels as far as they can be checked without a GPU: what is registered, what the compiler makes of them,
and that a machine without a GPU is none the worse. tests/gpu runs them; tests/cpp runs their code on the host."""

import re
import shutil

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import kernels, op_def_registry

import tfvae
from benchmarks import _report, cuda_resources
from tfvae import _native

OPS = [
    "TfvaeReparameterizeKl",
    "TfvaeReparameterizeKlGrad",
    "TfvaeReparameterizeLogRatio",
    "TfvaeReparameterizeLogRatioGrad",
]
needs_cuda_build = pytest.mark.skipif(
    not (_native.metadata() or {}).get("cuda_architectures"), reason="there are no CUDA kernels in this build"
)
needs_xla = pytest.mark.skipif(
    not (_native.metadata() or {}).get("xla"),
    reason="there is no op for XLA in this build, for want of TensorFlow's headers",
)
needs_compiler = pytest.mark.skipif(
    cuda_resources.find_compiler() is None,
    reason="compiles the CUDA kernels, and there is no CUDA compiler (nvcc and g++)",
)
without_gpu = pytest.mark.skipif(
    bool(tf.config.list_physical_devices("GPU")), reason="what is said without a GPU cannot be seen: there is one"
)


@pytest.fixture(scope="module")
def module():
    if _native.load() is None:
        pytest.skip("the NumPy module is part of the compiled library, and there is none")
    return pytest.importorskip("tfvae._lib.tfvae_kernels")


@needs_cuda_build
@pytest.mark.parametrize("device", ["GPU", pytest.param("XLA_GPU_JIT", marks=needs_xla)])
@pytest.mark.parametrize("op", OPS)
def test_gpu_kernels_are_registered_for_exactly_the_declared_dtypes(module, op, device):
    declared = {a.name: a for a in op_def_registry.get(op).attr}["T"].allowed_values.list.type
    registered = [kernel for kernel in kernels.get_registered_kernels_for_op(op).kernel if kernel.device_type == device]
    found = []
    for kernel in registered:
        types = {constraint.name: constraint.allowed_values.list.type for constraint in kernel.constraint}
        assert list(types["sum_dtype"]) == [tf.float64 if types["T"][0] == tf.float64 else tf.float32]
        assert "seed" not in kernel.host_memory_arg
        found += types["T"]
    assert sorted(found) == sorted(declared)


@needs_cuda_build
@needs_xla
def test_what_xla_compiles_for_a_gpu_calls_the_kernels(module):
    """XLA can be asked what it would compile for a GPU without having one: the calls that it compiles for the CPU."""
    parameters, seed = [tf.zeros([4, 3])] * 4, tf.constant([1, 2])

    @tf.function(jit_compile=True)
    def everything(*parameters):
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            results = [*tfvae.ops.reparameterize_kl(*parameters[:2], seed=seed)]
            prior = dict(zip(["prior_mean", "prior_log_var"], parameters[2:], strict=True))
            results += tfvae.ops.reparameterize_log_ratio(*parameters[:2], **prior, seed=seed, num_samples=2)
        return results, tape.gradient(results, parameters)

    compiled = everything.experimental_get_compiler_ir(*parameters)
    calls = {}
    for device in ("CPU", "GPU"):
        lines = [line for line in compiled(stage="hlo", platform_name=device).splitlines() if "custom-call(" in line]
        calls[device] = sorted(re.search('custom_call_target="(.*?)".*backend_config=(.*)', line)[0] for line in lines)
    targets = [re.match('custom_call_target="(.*?)"', call)[1] for call in calls["GPU"]]
    names = ["reparameterize_kl", "reparameterize_kl_grad", "reparameterize_log_ratio", "reparameterize_log_ratio_grad"]
    assert sorted(targets) == [f"tfvae_{name}" for name in names]
    assert calls["GPU"] == calls["CPU"]


@needs_cuda_build
@without_gpu
def test_without_a_gpu_the_ops_run_on_the_cpu_req_32(module):
    z, kl = tfvae.ops.reparameterize_kl(tf.ones([3, 4]), tf.zeros([3, 4]), seed=[1, 2])
    assert "CPU" in z.device
    np.testing.assert_array_equal(kl, [2, 2, 2])
    assert module.cuda.device_count() == 0


class OnDevice:
    """What says of itself that it lies in a GPU's memory."""

    def __init__(self, shape, typestr, **more):
        self.__cuda_array_interface__ = {
            "shape": shape,
            "typestr": typestr,
            "data": (4096, False),
            "version": 3,
            **more,
        }


@needs_cuda_build
@without_gpu
def test_a_launch_that_fails_is_an_error_req_19(module):
    x, seed, kl = OnDevice((2, 4), "<f4"), OnDevice((2,), "<i8"), OnDevice((2,), "<f4")
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"The kernel did not start on the GPU: .*CUDA"):
            module.cuda.reparameterize_kl(x, x, seed, z=x, kl=kl)


@needs_cuda_build
def test_device_arrays_are_checked(module):
    x, seed, kl = OnDevice((2, 4), "<f4"), OnDevice((2,), "<i8"), OnDevice((2,), "<f4")
    without_data, read_only = OnDevice((2, 4), "<f4"), OnDevice((2, 4), "<f4", data=(4096, True))
    del without_data.__cuda_array_interface__["data"]
    run = module.cuda.reparameterize_kl
    wrong = [
        (lambda: run([1.0], x, seed, z=x, kl=kl), TypeError, "mean must be an array on a CUDA device"),
        (lambda: run(np.ones((2, 4)), x, seed, z=x, kl=kl), ValueError, "mean must be on a CUDA device"),
        (lambda: run(OnDevice((), "<f4"), x, seed, z=x, kl=kl), ValueError, "rank 1 or more"),
        (lambda: run(OnDevice((2, 4), "<i4"), x, seed, z=x, kl=kl), TypeError, "float64, not int32"),
        (lambda: run(OnDevice((2, 4), "<i2"), x, seed, z=x, kl=kl), TypeError, "float64, not of type '<i2'"),
        (lambda: run(x, OnDevice((2, 5), "<f4"), seed, z=x, kl=kl), ValueError, r"log_var must have shape \(2, 4\)"),
        (lambda: run(x, OnDevice((2, 4), "<f2"), seed, z=x, kl=kl), TypeError, "log_var must be float32, not float16"),
        (lambda: run(OnDevice((2, 4), "<V2"), x, seed, z=x, kl=kl), TypeError, "log_var must be bfloat16, not float32"),
        (lambda: run(OnDevice((2, 4), "|V3"), x, seed, z=x, kl=kl), TypeError, r"float64, not of type '\|V3'"),
        (lambda: run(x, x, OnDevice((3,), "<i4"), z=x, kl=kl), ValueError, r"seed must have shape \(2,\), not \(3,\)"),
        (lambda: run(x, x, OnDevice((2,), "<f4"), z=x, kl=kl), TypeError, "seed must be int64, not float32"),
        (lambda: run(x, x, seed, z=x, kl=x), ValueError, r"kl must have shape \(2,\), not \(2, 4\)"),
        (lambda: run(x, x, seed, z=x, kl=kl, prior_mean=x), TypeError, "must be given together"),
        (lambda: run(OnDevice((2, 4), "<f4", strides=(4, 8)), x, seed, z=x, kl=kl), ValueError, "must be contiguous"),
        (lambda: run(OnDevice((2, 4), "<f4", strides=(32, 16, 4)), x, seed, z=x, kl=kl), ValueError, "be contiguous"),
        (lambda: run(OnDevice((2, -4), "<f4"), x, seed, z=x, kl=kl), ValueError, r"no negative size, not \(2, -4\)"),
        (lambda: run(OnDevice((2, 4), "<f4", data=(4098, False)), x, seed, z=x, kl=kl), ValueError, "must be aligned"),
        (lambda: run(OnDevice((2, 4), "<f4", mask=x), x, seed, z=x, kl=kl), ValueError, "mean must have no mask"),
        (lambda: run(OnDevice((2, 4), ">f4"), x, seed, z=x, kl=kl), TypeError, "float64, not of type '>f4'"),
        (lambda: run(OnDevice((2, 4), ""), x, seed, z=x, kl=kl), TypeError, "float64, not of type ''"),
        (lambda: run(OnDevice((2, 4), "<f"), x, seed, z=x, kl=kl), TypeError, "float64, not of type '<f'"),
        (lambda: run(OnDevice((2, 4), "<f16"), x, seed, z=x, kl=kl), TypeError, "float64, not of type '<f16'"),
        (lambda: run(OnDevice(None, "<f4"), x, seed, z=x, kl=kl), TypeError, "is not as these are defined"),
        (lambda: run(OnDevice((2, 4), "<f4", data=()), x, seed, z=x, kl=kl), TypeError, "is not as these are defined"),
        (lambda: run(OnDevice((2, 4), "<f4", data=4096), x, seed, z=x, kl=kl), TypeError, "is not as these are"),
        (lambda: run(OnDevice((2, 4), "<f4", data=(-8, False)), x, seed, z=x, kl=kl), TypeError, "is not as these are"),
        (lambda: run(OnDevice((2**40, 2**40), "<f4"), x, seed, z=x, kl=kl), ValueError, r"fewer than 2\*\*60 elements"),
        (lambda: run(OnDevice((2**40, 2**40, 0), "<f4"), x, seed, z=x, kl=kl), ValueError, r"fewer than 2\*\*60"),
        (lambda: run(without_data, x, seed, z=x, kl=kl), TypeError, "its __cuda_array_interface__ has no data"),
        (lambda: run(x, x, seed, z=read_only, kl=kl), ValueError, "z is written to, and must not be read-only"),
    ]
    for call, error, message in wrong:
        with pytest.raises(error, match=message):
            call()


@needs_cuda_build
def test_there_is_a_handler_for_xla_for_every_op(module):
    assert set(module.cuda.xla_handlers()) == {
        "tfvae_reparameterize_kl",
        "tfvae_reparameterize_kl_grad",
        "tfvae_reparameterize_log_ratio",
        "tfvae_reparameterize_log_ratio_grad",
    }


def test_no_kernel_spills_as_recorded():
    rows = _report.read_csv(cuda_resources.RECORD)
    kernels_of = {tuple(row[key] for key in ("architecture", "operation", "dtype", "prior")) for row in rows}
    priors = cuda_resources.PRIORS.values()
    assert len(rows) == len(kernels_of) == 4 * len(cuda_resources.OPERATIONS) * len(cuda_resources.DTYPES) * len(priors)
    for row in rows:
        assert [row[name] for name in ("stack_bytes", "spill_store_bytes", "spill_load_bytes")] == ["0"] * 3, row
        assert int(row["loads_128"]) >= 2, row
        assert int(row["stores_128"]) >= 1, row


def test_nothing_is_recorded_without_a_disassembler(monkeypatch, capsys):
    monkeypatch.setattr(cuda_resources, "find_compiler", lambda: "nvcc")
    monkeypatch.setattr(cuda_resources, "read", lambda *_: pytest.fail("compiled all the same"))
    monkeypatch.setattr(cuda_resources.shutil, "which", lambda name: None if name == "nvdisasm" else name)
    before = cuda_resources.RECORD.read_bytes()
    assert cuda_resources.main(["--record"]) == 2
    assert "pip install nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm" in capsys.readouterr().err
    assert cuda_resources.RECORD.read_bytes() == before


@needs_compiler
def test_the_compiler_says_what_is_recorded():
    """One file of the four, for one architecture, because compiling all takes a minute."""
    compiler = cuda_resources.find_compiler()
    rows = cuda_resources.read(compiler, "forward", "90")
    recorded = {
        (row["dtype"], row["prior"]): row
        for row in _report.read_csv(cuda_resources.RECORD)
        if row["operation"] == "forward" and row["architecture"] == "90"
    }
    assert len(rows) == len(recorded)
    for row in rows:
        assert [row[name] for name in ("stack_bytes", "spill_store_bytes", "spill_load_bytes")] == ["0"] * 3, row
        expected = recorded[row["dtype"], row["prior"]]
        # Another compiler may take a few registers more; what limits them is the same.
        slack = 0 if expected["compiler"] == row["compiler"] else 16
        assert abs(int(row["registers"]) - int(expected["registers"])) <= slack, row
        if shutil.which("cuobjdump") and shutil.which("nvdisasm"):
            assert int(row["loads_128"]) >= 2, row
            assert int(row["stores_128"]) >= 1, row


@needs_compiler
def test_memory_is_read_and_written_16_bytes_at_a_time(tmp_path):
    """In PTX, whose v4.u32 accesses become LDG.E.128 and STG.E.128: the recorded table counts those."""
    compiler = cuda_resources.find_compiler()
    ptx = tmp_path / "kernels.ptx"
    cuda_resources.compile_to(compiler, "backward", ["-ptx", "-arch=compute_90"], ptx)
    functions = re.split(r"\n(?=\.visible \.entry|\s*\.entry|// \.globl)", ptx.read_text(encoding="utf-8"))
    functions = [text for text in functions if "operation_kernel" in text and "ld.param" in text]
    assert len(functions) == 12
    for text in functions:
        assert len(re.findall(r"ld\.global\.v4\.u32", text)) >= 3, text[:200]
        assert len(re.findall(r"st\.global\.v4\.u32", text)) >= 2, text[:200]
        assert ".local" not in text, "a local-memory array"
