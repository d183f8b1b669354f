"""What was built and what is in use."""

from __future__ import annotations

from typing import Any

from tfvae import _config, _native
from tfvae.ops import _backend


def build_info() -> dict[str, Any]:
    """Tell what was built, what is in use and why.

    Loads the compiled library if nothing has yet.

    Returns:
        A dictionary: ``backend`` (``"native"`` or ``"reference"``: what an op called now would run; None where it would
        raise, because native is asked for and not usable), ``requested`` (what ``TFVAE_BACKEND`` asks for), ``problem``
        (why native is not usable, or None), ``problem_inside_xla`` (the same in functions that XLA compiles),
        ``instruction_set`` (of the native kernels, or None), ``built`` (what the library was built from: TensorFlow,
        compiler, instruction sets, CUDA architectures, and whether with XLA; None without a library) and ``versions``.

    Example:

    >>> import tfvae
    >>> sorted(tfvae.build_info())
    ['backend', 'built', 'instruction_set', 'problem', 'problem_inside_xla', 'requested', 'versions']
    """
    problem = _native.problem()
    return {
        "backend": _backend.chosen(problem),
        "requested": _config.backend(),
        "problem": problem,
        "problem_inside_xla": _native.problem_inside_xla(),
        "instruction_set": _native.instruction_set(),
        "built": _native.metadata(),
        "versions": _native.versions(),
    }
