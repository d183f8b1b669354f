"""Time the CUDA kernels against their rivals on a GPU: ``python -m benchmarks.gpu_reparameterize_kl``.

Needs the compiled module (no TensorFlow), NumPy and a GPU. Passes as in ``benchmarks.reparameterize_kl``. Rivals:

- ``native``: the CUDA kernels;
- ``copy``: a device-to-device copy of as many bytes as the pass moves: the ceiling;
- ``torch``, ``torch_compile``, ``jax``: the textbook code there, where installed with a GPU;
- ``tf_native``, ``tf_native_xla``, ``tf_stock``, ``tf_xla``: TensorFlow graphs of the compiled op and of the textbook
  code, each also inside XLA, where TensorFlow is installed with a GPU.

Times are the device's, between events, medians over rounds in which the rivals take turns; where calling takes the
host longer than the device, that is what they show. Inputs rotate so that no round finds its data in the cache, but
for JAX and the copy, whose small shapes may be there.
``over_copy`` is the share of the copy's bandwidth, ``speedup`` the rival's time over native's.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import importlib
import itertools
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _gpu, _machine, _report
from benchmarks._cases import PASSES, Case, Unavailable
from benchmarks._cases import Inputs as CaseInputs

SHAPES = ((128, 32), (4096, 1024), (16384, 4096), (65536, 1024), (1_000_000, 64))
LARGE = (16384, 4096)
OTHER_DTYPES = ("bfloat16", "float16", "float64")
COLUMNS = (
    "date", "commit", "dirty", "device", "versions", "op", "pass", "rival", "shape", "dtype", "samples", "median_us",
    "lower_quartile_us", "upper_quartile_us", "bytes", "gb_per_second", "over_copy", "speedup", "peak_bytes",
)  # fmt: skip
SETS = 3  # Of inputs that rotate.
Call = Callable[[], object]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with ``arguments``; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_reparameterize_kl", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--output", type=Path, default=_report.RESULTS / "gpu_reparameterize_kl.csv")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--rivals", nargs="+", default=["native", "copy", *_RIVALS])
    options = parser.parse_args(arguments)
    try:
        driver, _ = _gpu.driver(), _gpu.kernels()
    except _gpu.NoGpu as reason:
        print(f"benchmarks.gpu_reparameterize_kl needs a GPU: {reason}.", file=sys.stderr)
        return 2
    machine = {key: value for key, value in _machine.describe().items() if key in COLUMNS}
    cases = [Case(*shape, "float32") for shape in SHAPES] + [Case(*LARGE, dtype) for dtype in OTHER_DTYPES]
    for case, which in itertools.product(cases, PASSES):
        found = [
            {**machine, "device": driver.name, "op": "reparameterize_kl", **row}
            for row in measure(case, which, options.rivals, options.rounds)
        ]
        _report.append_csv(options.output, COLUMNS, found)
        print(f"{case.shape} {case.dtype} {which}")
        shown = ("rival", "median_us", "gb_per_second", "over_copy", "speedup", "peak_bytes")
        print(_report.table(found, {name: name for name in shown}), flush=True)
    return 0


def measure(case: Case, which: str, rivals: Sequence[str], rounds: int) -> list[dict[str, Any]]:
    """Return a row for every rival that can be had."""
    builders: Mapping[str, Callable[[Case, str], Call]] = {"native": build_native, "copy": build_copy, **_RIVALS}
    calls: dict[str, Call] = {}
    for name in rivals:
        try:
            calls[name] = builders[name](case, which)
            for _ in range(SETS):  # Some compile for every set.
                calls[name]()
        except Unavailable as reason:
            print(f"  {name}: {reason}")
        except Exception as error:  # A rival that fails must not cost the other rows.
            calls.pop(name, None)
            print(f"  {name} failed: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    samples: dict[str, list[float]] = {name: [] for name in calls}
    repeats = {name: repeats_of(call) for name, call in calls.items()}
    for number in range(rounds):
        names = list(calls)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            samples[name].append(seconds_of(calls[name], repeats[name]) / repeats[name])
    median = {name: statistics.median(values) for name, values in samples.items()}
    moved = case.bytes_moved(which)
    rows = []
    for name, values in samples.items():
        lower, _, upper = statistics.quantiles(values, n=4, method="inclusive")
        rows.append(
            {
                "pass": which, "rival": name, "shape": case.shape, "dtype": case.dtype, "samples": len(values),
                "median_us": median[name] * 1e6, "lower_quartile_us": lower * 1e6, "upper_quartile_us": upper * 1e6,
                "bytes": moved, "gb_per_second": moved / median[name] / 1e9,
                "over_copy": median["copy"] / median[name] if "copy" in median else "",
                "speedup": median[name] / median["native"] if "native" in median else "",
                "peak_bytes": peak_bytes(name, calls[name]),
            }
        )  # fmt: skip
    return rows


def repeats_of(call: Call) -> int:
    """Return how many calls take some milliseconds, so that the gaps between launches are not what is measured."""
    return max(1, min(200, round(0.005 / max(seconds_of(call, SETS) / SETS, 1e-6))))


def seconds_of(call: Call, repeats: int) -> float:
    """Return the device's time of so many calls, with the work of all streams done before and behind."""
    _gpu.driver().synchronize()
    return _gpu.driver().seconds(lambda: _repeat(call, repeats))


def _repeat(call: Call, repeats: int) -> None:
    result = None
    for _ in range(repeats):
        result = call()
    wait = getattr(result, "wait", None)
    if wait is not None:
        wait()


def peak_bytes(name: str, call: Call) -> int | str:
    """Return the most memory that PyTorch or TensorFlow held beyond its inputs during a call."""
    if name.startswith("tf"):
        memory: Any = importlib.import_module("tensorflow").config.experimental
        memory.reset_memory_stats("GPU:0")
        held = memory.get_memory_info("GPU:0")["current"]
        call()
        return int(memory.get_memory_info("GPU:0")["peak"] - held)
    if not name.startswith("torch"):
        return ""
    torch: Any = importlib.import_module("torch")
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    return int(torch.cuda.max_memory_allocated() - before)


class Inputs:
    """One set of inputs and outputs on the device."""

    def __init__(self, case: Case, number: int) -> None:
        rng = np.random.default_rng(number)
        sums = "float64" if case.dtype == "float64" else "float32"
        self.mean, self.log_var, self.dz = (
            _gpu.DeviceArray.of(_random(rng, case.z_shape, case.dtype), case.dtype) for _ in range(3)
        )
        self.dkl = _gpu.DeviceArray.of(_random(rng, case.z_shape[:1], sums))
        self.seed = _gpu.DeviceArray.of(np.array([2013, number], np.int64))
        self.z, self.dmean, self.dlog_var = (_gpu.DeviceArray(case.z_shape, case.dtype) for _ in range(3))
        self.kl = _gpu.DeviceArray(case.z_shape[:1], sums)


@functools.lru_cache(maxsize=8)
def _block(size: int, number: int) -> np.ndarray:
    return np.random.default_rng(number).normal(0, 0.5, size).astype(np.float32)


def _random(rng: np.random.Generator, shape: Sequence[int], dtype: str) -> np.ndarray:
    """Normals; of large arrays a block of them repeated, because the host takes longer to draw than all the rest."""
    size = int(np.prod(shape))
    block = _block(min(size, 2**20), int(rng.integers(4)))
    return _gpu.bits_of_values(np.resize(block, size).reshape(shape), dtype)


@functools.lru_cache(maxsize=1)
def inputs_of(case: Case) -> list[Inputs]:
    """Return the sets of inputs of a case."""
    return [Inputs(case, number) for number in range(SETS)]


def build_native(case: Case, which: str) -> Call:
    """Return a call of the CUDA kernels on the default stream."""
    cuda = _gpu.kernels().cuda
    sets = itertools.cycle(inputs_of(case))

    def forward(i: Inputs) -> None:
        cuda.reparameterize_kl(i.mean, i.log_var, i.seed, z=i.z, kl=i.kl)

    def backward(i: Inputs) -> None:
        cuda.reparameterize_kl_grad(i.mean, i.log_var, i.seed, dz=i.dz, dkl=i.dkl, dmean=i.dmean, dlog_var=i.dlog_var)

    def call() -> None:
        i = next(sets)
        if which != "backward":
            forward(i)
        if which != "forward":
            backward(i)

    return call


def build_copy(case: Case, which: str) -> Call:
    """Return a copy within the device that reads and writes as many bytes, together, as the pass does."""
    count = max(1, case.bytes_moved(which) // 4)  # Of two bytes, read once and written once.
    arrays = [_gpu.DeviceArray((count,), "bfloat16") for _ in range(2)]
    target, source = (ctypes.c_uint64(array.address) for array in arrays)

    def call() -> object:
        _gpu.driver().call("cuMemcpyDtoDAsync_v2", target, source, ctypes.c_size_t(arrays[0].nbytes), None)
        return arrays

    return call


def _torch(case: Case, which: str, compiled: bool) -> Call:
    try:
        torch: Any = importlib.import_module("torch")
    except ImportError:
        raise Unavailable("PyTorch is not installed.") from None
    if not torch.cuda.is_available():
        raise Unavailable("this PyTorch has no GPU.")
    if compiled and case.dtype != "float32":
        raise Unavailable("is compiled for float32 alone, to save time.")
    from benchmarks._rivals_torch import _forward_of

    dtype = getattr(torch, case.dtype)
    sets = []
    for number in range(SETS):
        generator = torch.Generator("cuda").manual_seed(number)
        tensors = [torch.randn(case.z_shape, device="cuda", generator=generator).mul_(0.5).to(dtype) for _ in range(3)]
        dkl = torch.randn(case.z_shape[:1], device="cuda", generator=generator).to(dtype)
        sets.append((tensors[0].requires_grad_(), tensors[1].requires_grad_(), tensors[2], dkl))
    forward = _forward_of(torch)
    if compiled:
        importlib.import_module("torch._dynamo").reset()
        config: Any = importlib.import_module("torch._functorch.config")
        config.donated_buffer = False
        forward = torch.compile(forward, dynamic=False, fullgraph=True)
    turns = itertools.cycle(sets)

    def run_forward() -> Any:
        mean, log_var, _, _ = next(turns)
        with torch.no_grad():
            return forward(mean, log_var)

    def run_both() -> Any:
        mean, log_var, dz, dkl = next(turns)
        return torch.autograd.grad(forward(mean, log_var), (mean, log_var), (dz, dkl))

    if which == "forward":
        return run_forward
    if which == "both":
        return run_both
    kept = itertools.cycle([(forward(mean, log_var), *rest) for mean, log_var, *rest in sets])
    parameters = itertools.cycle([(mean, log_var) for mean, log_var, _, _ in sets])

    def run_backward() -> Any:
        outputs, dz, dkl = next(kept)
        return torch.autograd.grad(outputs, next(parameters), (dz, dkl), retain_graph=True)

    return run_backward


class _Waiting:
    """What a framework may still compute on streams of its own, which the default one does not wait for."""

    def __init__(self, wait: Callable[[Any], object], value: Any) -> None:
        self.wait = functools.partial(wait, value)


def _jax(case: Case, which: str) -> Call:
    try:
        jax: Any = importlib.import_module("jax")
        if not any(device.platform == "gpu" for device in jax.devices()):
            raise Unavailable("this JAX has no GPU.")
    except (ImportError, RuntimeError) as error:
        raise Unavailable(f"JAX is not usable: {error}.") from None
    if case.dtype == "float64":
        jax.config.update("jax_enable_x64", True)
    jnp = importlib.import_module("jax.numpy")
    keys = jax.random.split(jax.random.key(7), 4)
    mean, log_var, dz = (0.5 * jax.random.normal(key, case.z_shape, case.dtype) for key in keys[:3])
    dkl = jax.random.normal(keys[3], case.z_shape[:1], case.dtype)

    def forward(mean: Any, log_var: Any, key: Any) -> tuple[Any, Any]:
        eps = jax.random.normal(key, mean.shape, mean.dtype)
        z = mean + jnp.exp(0.5 * log_var) * eps
        return z, 0.5 * jnp.sum(jnp.square(mean) + jnp.exp(log_var) - log_var - 1.0, axis=-1)

    def differentiable(mean: Any, log_var: Any, key: Any) -> tuple[Any, Any]:
        return jax.vjp(lambda mean, log_var: forward(mean, log_var, key), mean, log_var)

    def both(mean: Any, log_var: Any, key: Any, dz: Any, dkl: Any) -> Any:
        outputs, pull_back = differentiable(mean, log_var, key)
        return outputs, pull_back((dz, dkl))  # Or XLA would leave the outputs out.

    if which == "forward":
        compiled = jax.jit(forward)
        return lambda: _Waiting(jax.block_until_ready, compiled(mean, log_var, keys[0]))
    if which == "both":
        compiled = jax.jit(both)
        return lambda: _Waiting(jax.block_until_ready, compiled(mean, log_var, keys[0], dz, dkl))
    _, pull_back = jax.jit(differentiable)(mean, log_var, keys[0])
    compiled = jax.jit(lambda pull_back, dz, dkl: pull_back((dz, dkl)))
    return lambda: _Waiting(jax.block_until_ready, compiled(pull_back, dz, dkl))


def _tensorflow(case: Case, which: str, name: str, xla: bool) -> Call:
    try:
        tf: Any = importlib.import_module("tensorflow")
    except ImportError:
        raise Unavailable("TensorFlow is not installed.") from None
    if not tf.config.list_physical_devices("GPU"):
        raise Unavailable("this TensorFlow has no GPU.")
    from benchmarks import _rivals_tensorflow as rivals

    rival = rivals.GraphRival(getattr(rivals, name), xla=xla, compiled=name == "native")
    dkl = np.ones(case.z_shape[:1])
    calls = []
    for number in range(SETS):
        with tf.device("GPU:0"):
            mean, log_var, dz = (
                0.5 * tf.random.stateless_normal(case.z_shape, [number, i], dtype=case.dtype) for i in range(3)
            )
            calls.append(rival.build(CaseInputs(case, mean, log_var, dz, dkl), which, 1))
    turns = itertools.cycle(calls)
    return lambda: _Waiting(lambda _: _gpu.driver().synchronize(), next(turns)())


_RIVALS: Mapping[str, Callable[[Case, str], Call]] = {
    "torch": functools.partial(_torch, compiled=False),
    "torch_compile": functools.partial(_torch, compiled=True),
    "jax": _jax,
    "tf_native": functools.partial(_tensorflow, name="native", xla=False),
    "tf_native_xla": functools.partial(_tensorflow, name="native", xla=True),
    "tf_stock": functools.partial(_tensorflow, name="stock", xla=False),
    "tf_xla": functools.partial(_tensorflow, name="stock", xla=True),
}

if __name__ == "__main__":
    sys.exit(main())
