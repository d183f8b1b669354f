"""Time ``tfvae.ops.reparameterize_log_ratio`` against its rivals: ``python -m benchmarks.reparameterize_log_ratio``.

50 draws ``z`` for every row with ``log q(z) - log p(z)``, as importance-weighted bounds need them. Shapes on the
command line are those of ``mean``, in the tables those of ``z``.

Rivals: ``native``, the compiled op; ``reference``, the same in plain TensorFlow; ``native_xla`` and ``xla``, these two
in a function that XLA compiles;
``stock``, the leanest that stock ops allow; ``tfp``, TensorFlow Probability; ``empty``, an op that only allocates an
output of the shape of ``mean``. Passes, rounds and columns are those of ``benchmarks.reparameterize_kl``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from benchmarks import _bars
from benchmarks._cases import DrawsCase
from benchmarks._op_bench import Builder, OpBench

SHAPES = ((128, 32), (128, 10), (1024, 64))
RIVALS = ("native", "native_xla", "reference", "stock", "tfp", "xla", "empty")


def _builders() -> Mapping[str, Builder]:
    from benchmarks import _rivals_log_ratio as rivals
    from benchmarks._rivals_tensorflow import GraphRival, build_empty

    samples = DrawsCase.samples
    return {
        "native": GraphRival(rivals.native(samples), compiled=True).build,
        "native_xla": GraphRival(rivals.native(samples), xla=True, compiled=True).build,
        "reference": GraphRival(rivals.reference(samples)).build,
        "stock": GraphRival(rivals.stock(samples)).build,
        "tfp": GraphRival(rivals.probability(samples)).build,
        "xla": GraphRival(rivals.reference(samples), xla=True).build,
        "empty": build_empty,
    }


BENCH = OpBench(
    "reparameterize_log_ratio",
    __doc__,
    SHAPES,
    ((16, 8),),
    RIVALS,
    DrawsCase,
    _builders,
    bars=_bars.REPARAMETERIZE_LOG_RATIO,
)

if __name__ == "__main__":
    sys.exit(BENCH.main())
