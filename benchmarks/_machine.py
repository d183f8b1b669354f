"""What a measurement ran on: processor, cores, instruction sets, versions, commit, date."""

from __future__ import annotations

import datetime
import functools
import importlib.util
import os
import platform
import subprocess
import sys
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LIBRARY_FOLDER = ROOT / "tfvae" / "_lib"
COLUMNS = ("date", "commit", "dirty", "cpu", "cpu_features", "cores", "threads", "isa", "versions")

_FEATURES = (
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx512f",
    "avx512bw",
    "avx512_bf16",
    "avx512_fp16",
    "amx_bf16",
    "asimd",
    "sve",
)
_PACKAGES = ("tfvae", "tensorflow", "keras", "tensorflow-probability", "numpy", "torch", "jax")
_GENERATED = (":!benchmarks/results", ":!docs/images")


def describe() -> dict[str, Any]:
    """Return the columns that say where, when and with what the rows of a run were measured."""
    model, features = _processor()
    commit, dirty = _commit()
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": commit,
        "dirty": dirty,
        "cpu": model,
        "cpu_features": " ".join(features),
        "cores": os.cpu_count(),
        "threads": threads(),
        "isa": isa(),
        "versions": _versions(),
    }


def threads() -> int:
    """Return the number of threads every rival gets: the processors this process may run on."""
    return len(os.sched_getaffinity(0))


def use_threads(count: int | None) -> None:
    """Keep this process, and so every thread pool made from now on, on ``count`` processors.

    TensorFlow, XLA, PyTorch and JAX all size their pools by the processors they may use, so this limits them alike.

    Raises:
        ValueError: if there are not as many processors, or TensorFlow's pools may exist already.
    """
    if count is None or count == threads():
        return
    usable = sorted(os.sched_getaffinity(0))
    if not 1 <= count <= len(usable):
        raise ValueError(f"threads must be from 1 to {len(usable)}, the processors usable here, not {count}.")
    if "tensorflow" in sys.modules:
        raise ValueError("threads must be chosen before TensorFlow is imported. Run the benchmark as its own process.")
    os.sched_setaffinity(0, usable[:count])


@functools.cache
def kernels() -> Any | None:
    """Return the module of the compiled kernels, from ``sys.path`` or where an installation has it; else None.

    It is loaded by itself: importing ``tfvae`` would take TensorFlow, which these benchmarks can do without.
    """
    spec = PathFinder.find_spec("tfvae_kernels", [*sys.path, str(LIBRARY_FOLDER)])
    if spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def isa() -> str:
    """Return the instruction set that tfvae's kernel uses, ``none`` without a compiled kernel."""
    module = kernels()
    return os.environ.get("TFVAE_ISA") or module.isas()[0] if module else "none"


def _processor() -> tuple[str, list[str]]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine(), []
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    return fields.get("model name") or platform.machine(), [name for name in _FEATURES if name in flags]


def _commit() -> tuple[str, str]:
    """Return the short commit and whether tracked files differ from it, what benchmarks write aside."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", *_GENERATED)
    except (OSError, subprocess.CalledProcessError):
        return "unknown", "unknown"
    return commit, "yes" if changed else "no"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _versions() -> str:
    found = [f"python={platform.python_version()}"]
    for package in _PACKAGES:
        try:
            found.append(f"{package}={metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    onednn = os.environ.get("TF_ENABLE_ONEDNN_OPTS")
    if onednn is not None:  # Else TensorFlow chooses, by the processor.
        found.append(f"TF_ENABLE_ONEDNN_OPTS={onednn}")
    return " ".join(found)
