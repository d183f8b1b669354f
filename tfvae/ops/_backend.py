"""Which implementation an op takes: the compiled kernel or the plain-TensorFlow reference."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.python.ops import control_flow_util

from tfvae import _config, _native

_asked: contextvars.ContextVar[str | None] = contextvars.ContextVar("tfvae_backend", default=None)


def asked() -> str:
    """Return what the innermost ``use_backend`` block, else the environment, asks for."""
    return _asked.get() or _config.backend()


def chosen(problem: str | None) -> str | None:
    """Return what is asked for and can be had where ``problem`` keeps native from being usable; None if nothing is."""
    if asked() == "reference":
        return "reference"
    if problem is None:
        return "native"
    return None if asked() == "native" else "reference"


def in_use() -> str:
    """Return ``native`` or ``reference``: what an op called here and now would run."""
    if asked() == "reference":
        return "reference"
    inside_xla = _is_inside_xla()
    problem = _native.problem_inside_xla() if inside_xla else _native.problem()
    backend = chosen(problem)
    if backend is None:
        raise RuntimeError(
            f"The native backend was asked for and is not usable{' inside XLA' if inside_xla else ''}: {problem} "
            "Or set TFVAE_BACKEND=auto to run on stock TensorFlow ops."
        )
    if problem is not None:
        _native.announce_fallback(problem, inside_xla)
    return backend


def _is_inside_xla() -> bool:
    """Whether a function is being traced for XLA to compile; one traced before may be compiled by it all the same."""
    return control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())


@contextlib.contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Choose the backend of every op called, or traced into a function, inside the block.

    In this thread: other threads, as which ``tf.distribute.MirroredStrategy`` runs its replicas, go by the environment
    variable ``TFVAE_BACKEND``.

    Args:
        name: ``"native"`` (the compiled kernel; raises if there is none), ``"reference"`` (plain TensorFlow ops) or
            ``"auto"`` (native where usable).

    Raises:
        ValueError: if ``name`` is none of these.
        RuntimeError: if ``"native"`` is asked for and the compiled library is not usable; the message says why.

    Example:

    >>> import tfvae
    >>> with tfvae.use_backend("reference"):
    ...     tfvae.build_info()["backend"]
    'reference'
    """
    if name not in _config.BACKENDS:
        raise ValueError(f"The backend must be one of {', '.join(_config.BACKENDS)}, not {name!r}.")
    token = _asked.set(name)
    try:
        if name == "native":
            in_use()
        yield
    finally:
        _asked.reset(token)
