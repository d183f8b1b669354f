"""PyTorch on the CPU, eager and through torch.compile; only where it is installed (``pip install ".[bench]"``)."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import _machine
from benchmarks._cases import Inputs, Unavailable
from benchmarks._timing import Call


def build_eager(inputs: Inputs, which: str, ops: int) -> Call:
    """Return a call of one pass of the textbook code in eager PyTorch."""
    return _build(inputs, which, ops, _forward_of)


def build_compiled(inputs: Inputs, which: str, ops: int) -> Call:
    """Return a call of one pass of the textbook code through ``torch.compile``, its backward compiled with it."""

    def make(torch: Any) -> Callable[..., Any]:
        # One compiled version per shape and dtype would soon hit the limit of versions of one function.
        importlib.import_module("torch._dynamo").reset()
        return torch.compile(_forward_of(torch), dynamic=False, fullgraph=True)

    return _build(inputs, which, ops, make)


def _forward_of(torch: Any) -> Callable[..., Any]:
    def forward(mean: Any, log_var: Any) -> tuple[Any, Any]:
        eps = torch.randn_like(mean)
        z = mean + torch.exp(0.5 * log_var) * eps
        kl = 0.5 * torch.sum(torch.square(mean) + torch.exp(log_var) - log_var - 1.0, dim=-1)
        return z, kl

    return forward


def _build(inputs: Inputs, which: str, ops: int, make: Callable[[Any], Callable[..., Any]]) -> Call:
    if ops > 1:
        raise Unavailable("only TensorFlow's ops are chained.")
    torch = _load()
    tensors = inputs.once("torch", lambda: _tensors(torch, inputs))
    mean, log_var, dz, dkl = tensors
    forward = make(torch)

    def run_forward() -> Any:
        with torch.no_grad():
            return forward(mean, log_var)

    def run_both() -> Any:
        z, kl = forward(mean, log_var)
        return z, kl, torch.autograd.grad((z, kl), (mean, log_var), (dz, dkl))

    if which == "forward":
        return run_forward
    if which == "both":
        return run_both
    kept = forward(mean, log_var)

    def run_backward() -> Any:
        """The gradient alone, from what autograd kept of the one forward pass."""
        return torch.autograd.grad(kept, (mean, log_var), (dz, dkl), retain_graph=True)

    return run_backward


def _load() -> Any:
    try:
        torch: Any = importlib.import_module("torch")
    except ImportError:
        raise Unavailable("PyTorch is not installed (pip install '.[bench]').") from None
    torch.set_num_threads(_machine.threads())
    # A backward pass that is repeated on the same kept tensors may not reuse their memory for its results.
    config: Any = importlib.import_module("torch._functorch.config")
    config.donated_buffer = False
    return torch


def _tensors(torch: Any, inputs: Inputs) -> tuple[Any, Any, Any, Any]:
    dtype = getattr(torch, inputs.case.dtype)

    def tensor(array: np.ndarray) -> Any:
        known = array.astype(np.float32) if inputs.case.dtype == "bfloat16" else array
        return torch.from_numpy(np.ascontiguousarray(known)).to(dtype)

    mean, log_var = tensor(inputs.mean).requires_grad_(), tensor(inputs.log_var).requires_grad_()
    return mean, log_var, tensor(inputs.dz), torch.from_numpy(inputs.dkl).to(dtype)
