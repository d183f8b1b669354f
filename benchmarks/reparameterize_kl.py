"""Time ``tfvae.ops.reparameterize_kl`` against its rivals: ``python -m benchmarks.reparameterize_kl``.

Passes: ``forward``; ``backward``, the gradient alone; ``both``, forward and backward as in training, in one graph.

Rivals, all given the same arrays and the same processors, and timed in interleaved rounds:

- ``native``: the compiled op, called as users do, in a ``tf.function``; backward: the gradient op by itself;
- ``reference``: the same in plain TensorFlow; ``xla``: that one compiled by XLA; ``native_xla``: the compiled op called
  from a function that XLA compiles;
- ``stock``: the textbook code (``stateless_normal`` by Philox, ``tf.exp``); ``tfp``: TensorFlow Probability;
- ``torch``, ``torch_compile``, ``jax``: the textbook code there, where installed (``pip install ".[bench]"``);
- ``native_float32``: beside the half precisions, native on float32 of the same shape;
- ``stream``, ``stream_around``, ``stream_fresh``: a loop that moves the same bytes with as many threads, in warm
  memory, through or around the caches, and with targets allocated at every call, as an op's outputs are;
- ``empty``: an op that only allocates an output: what calling any op costs.

Backward of a TensorFlow rival is the part of the graph that autodiff adds. The tensors it reads from the forward graph
(stock: eps and both exponentials) are its inputs, as ``tf.function`` keeps them; PyTorch and JAX likewise start from
what their autodiff kept. Computing and storing them belongs to forward, so that only ``both`` shows the whole price;
native keeps nothing and draws the noise again. ``stock_from_inputs`` is stock's gradient of what native's op has:
nothing kept, the noise drawn again.

Shapes of up to 4096x1024 have two times: per ``call``, with the tens of microseconds that any call from Python costs,
and per ``op``: so much longer does a call take for every further op chained behind the first in its graph, each reading
what the one before it wrote. Ratios compare like with like: rows of one run, pass, shape, dtype and ``per``.

``TFVAE_ISA=avx2 python -m benchmarks.reparameterize_kl`` measures another of the compiled instruction sets. The rivals'
stored tensors at 8192x4096 in float64 take some 16 GB; leave shapes or rivals out where that is too much.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping

from benchmarks import _bars
from benchmarks._cases import Case
from benchmarks._op_bench import WIDE, Builder, OpBench

SHAPES = ((128, 10), (128, 32), (1024, 64), (256, 512), (4096, 1024), (8192, 4096))
RIVALS = (
    "native", WIDE, "native_xla", "reference", "stock", "stock_from_inputs", "tfp", "xla", "torch", "torch_compile",
    "jax", "stream", "stream_around", "stream_fresh", "empty",
)  # fmt: skip


def _builders() -> Mapping[str, Builder]:
    from benchmarks import _rivals_jax, _rivals_numpy, _rivals_tensorflow, _rivals_torch

    graph = _rivals_tensorflow.GraphRival
    return {
        "native": graph(_rivals_tensorflow.native, compiled=True).build,
        WIDE: _rivals_tensorflow.build_native_float32,
        "native_xla": graph(_rivals_tensorflow.native, xla=True, compiled=True).build,
        "reference": graph(_rivals_tensorflow.reference).build,
        "stock": graph(_rivals_tensorflow.stock).build,
        "stock_from_inputs": _rivals_tensorflow.GradientFromInputs(_rivals_tensorflow.stock).build,
        "tfp": graph(_rivals_tensorflow.probability).build,
        "xla": graph(_rivals_tensorflow.reference, xla=True).build,
        "torch": _rivals_torch.build_eager,
        "torch_compile": _rivals_torch.build_compiled,
        "jax": _rivals_jax.build,
        "stream": _rivals_numpy.build_stream,
        "stream_around": functools.partial(_rivals_numpy.build_stream, around_caches=True),
        "stream_fresh": _rivals_numpy.build_stream_fresh,
        "empty": _rivals_tensorflow.build_empty,
    }


BENCH = OpBench("reparameterize_kl", __doc__, SHAPES, ((16, 8),), RIVALS, Case, _builders, bars=_bars.REPARAMETERIZE_KL)

if __name__ == "__main__":
    sys.exit(BENCH.main())
