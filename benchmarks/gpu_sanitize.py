"""Launch every CUDA kernel once on small data, for ``compute-sanitizer``: ``python -m benchmarks.gpu_sanitize``."""

from __future__ import annotations

import itertools
import sys
from typing import Any

import numpy as np

from benchmarks import _gpu
from benchmarks._gpu import DeviceArray, bits_of_values

SHAPES = ((5, 3), (33, 129), (3, 4097), (70, 64))


def main() -> int:
    """Launch; return the exit code."""
    try:
        driver, module = _gpu.driver(), _gpu.kernels()
    except _gpu.NoGpu as reason:
        print(f"benchmarks.gpu_sanitize needs a GPU: {reason}.", file=sys.stderr)
        return 2
    for shape, dtype, prior in itertools.product(SHAPES, _gpu.TYPESTRS, ("none", "full", "shared")):
        if not dtype.startswith("int"):
            launch_all(module.cuda, shape, dtype, prior)
    driver.synchronize()
    return 0


def launch_all(cuda: Any, shape: tuple[int, int], dtype: str, prior: str, samples: int = 9) -> None:
    """Launch the four operations."""
    sums = "float64" if dtype == "float64" else "float32"
    drawn, rows = (samples, *shape), shape[:-1]
    prior_shape = shape if prior == "full" else shape[1:]
    rng = np.random.default_rng(1)

    def made(size: tuple[int, ...], kind: str = dtype) -> DeviceArray:
        return DeviceArray.of(bits_of_values(rng.normal(size=size), kind), kind)

    names = ("mean", "log_var") if prior != "none" else ()
    priors = {f"prior_{name}": made(prior_shape) for name in names}
    dpriors = {f"dprior_{name}": made(prior_shape) for name in names}
    common = (made(shape), made(shape), DeviceArray.of(np.array([1, 2], np.int32)))
    kl, kl_grad = cuda.reparameterize_kl, cuda.reparameterize_kl_grad
    ratio, ratio_grad = cuda.reparameterize_log_ratio, cuda.reparameterize_log_ratio_grad
    gradients = {"dmean": made(shape), "dlog_var": made(shape), **priors, **dpriors}
    kl(*common, z=made(shape), kl=made(rows, sums), **priors)
    kl_grad(*common, dz=made(shape), dkl=made(rows, sums), **gradients)
    ratio(*common, num_samples=samples, z=made(drawn), log_ratio=made((samples, *rows), sums), **priors)
    ratio_grad(*common, num_samples=samples, dz=made(drawn), dlog_ratio=made((samples, *rows), sums), **gradients)


if __name__ == "__main__":
    sys.exit(main())
