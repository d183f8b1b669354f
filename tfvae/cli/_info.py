"""``tfvae info``."""

from __future__ import annotations

import json
import os
import platform
from argparse import Namespace
from typing import Any

import tensorflow as tf

import tfvae


def run(arguments: Namespace) -> int:
    """Tell what is built, what is in use and why, and the versions."""
    info = _collect()
    print(json.dumps(info, indent=2) if arguments.json else _describe(info))
    return 0


def _collect() -> dict[str, Any]:
    return {
        "tfvae": tfvae.__version__,
        **tfvae.build_info(),
        "installed_in": os.path.dirname(os.path.abspath(tfvae.__file__)),
        "machine": {
            "system": platform.platform(),
            "cpu_cores": os.cpu_count(),
            "gpus": [device.name for device in tf.config.list_physical_devices("GPU")],
        },
    }


def _describe(info: dict[str, Any]) -> str:
    lines = [
        f"tfvae {info['tfvae']} in {info['installed_in']}",
        "",
        f"Backend in use: {info['backend'] or 'none'}",
        f"  {_why(info)}",
    ]
    if info["backend"] == "native" and info["problem_inside_xla"] is not None:
        lines.append(f"  Inside XLA the reference runs: {info['problem_inside_xla']}")
    lines += ["", "Built:"]
    if info["built"] is None:
        lines.append("  no compiled op")
    else:
        lines += [f"  {name}: {_show(value)}" for name, value in info["built"].items()]
    lines += ["", "Versions:", *(f"  {name}: {value}" for name, value in info["versions"].items())]
    lines += ["", "Machine:", *(f"  {name}: {_show(value)}" for name, value in info["machine"].items())]
    return "\n".join(lines)


def _why(info: dict[str, Any]) -> str:
    if info["backend"] == "native":
        kernels = f"its kernels for {info['instruction_set']} run"
        return f"The compiled op fits this TensorFlow and {kernels} (TFVAE_BACKEND={info['requested']})."
    if info["backend"] is None:
        return f"TFVAE_BACKEND=native forbids the reference, and the compiled op is not usable: {info['problem']}"
    if info["problem"] is not None:
        return f"The compiled op is not usable: {info['problem']}"
    return "The compiled op is usable, but the reference was asked for (TFVAE_BACKEND=reference)."


def _show(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return str(value)
