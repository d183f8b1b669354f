"""The environment variables tfvae reads, and nowhere else but that the compiled library reads TFVAE_ISA itself."""

from __future__ import annotations

import os

BACKENDS = ("auto", "native", "reference")


def backend() -> str:
    """Return the backend asked for in ``TFVAE_BACKEND``: ``auto`` (the default), ``native`` or ``reference``."""
    value = os.environ.get("TFVAE_BACKEND", "auto").strip().lower() or "auto"
    if value not in BACKENDS:
        raise ValueError(
            f"The environment variable TFVAE_BACKEND must be one of {', '.join(BACKENDS)}, not {value!r}. "
            "Set it to one of those, or unset it to let tfvae choose."
        )
    return value


def isa() -> str | None:
    """Return the instruction set that ``TFVAE_ISA`` asks for, or None to have the best one the processor has."""
    return os.environ.get("TFVAE_ISA") or None
