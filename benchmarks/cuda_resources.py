"""Read what the CUDA kernels take from the compiler's report: ``python -m benchmarks.cuda_resources``.

Compiles every kernel for the machine code that a build has and prints, per kernel: registers of a thread, bytes of its
stack and of spilled registers, and 16-byte loads and stores of global memory in the machine code, where cuobjdump is
found (``pip install nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm``). No GPU is needed. ``--record`` writes the table, to
which the tests hold the kernels.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import _report

ROOT = Path(__file__).resolve().parent.parent
RECORD = _report.RESULTS / "cuda_resources.csv"
OPERATIONS = ("forward", "backward", "log_ratio", "log_ratio_grad")
ARCHITECTURES = ("75", "80", "89", "90")
DTYPES = {"d": "float64", "f": "float32", "NS0_4HalfE": "float16", "NS0_8BFloat16E": "bfloat16"}
PRIORS = {"0": "none", "1": "full", "2": "shared"}
MEASURES = (
    "registers", "stack_bytes", "spill_store_bytes", "spill_load_bytes", "shared_bytes", "loads_128", "stores_128",
)  # fmt: skip
COLUMNS = ("compiler", "architecture", "operation", "dtype", "prior", *MEASURES)

_NAME = re.compile(
    r"operation_kernelINS0_\d+(?:Forward|Backward|LogRatio|LogRatioGrad)E(?P<dtype>d|f|NS0_\w+?E)"
    r"LNS_10PriorShapeE(?P<prior>\d)E"
)
_REPORT = re.compile(
    r"Function properties for (?P<name>\S+)\n"
    r"\s+(?P<stack_bytes>\d+) bytes stack frame, (?P<spill_store_bytes>\d+) bytes spill stores, "
    r"(?P<spill_load_bytes>\d+) bytes spill loads\n"
    r"ptxas info\s+: Used (?P<registers>\d+) registers(?:.*?(?P<shared_bytes>\d+) bytes smem)?"
)

Row = dict[str, str]


def find_compiler() -> str | None:
    """Return the path of nvcc, or None, also where there is no g++, without which it compiles nothing."""
    return (shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")) if shutil.which("g++") else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with ``arguments``; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cuda_resources", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--record", action="store_true", help=f"write {RECORD.name}")
    options = parser.parse_args(arguments)
    compiler = find_compiler()
    if compiler is None:
        print("benchmarks.cuda_resources needs g++, and nvcc on the PATH or in /usr/local/cuda.", file=sys.stderr)
        return 2
    if options.record and not _has_disassembler():
        print(
            "The record holds accesses of memory, which cuobjdump and nvdisasm count: put both on the PATH "
            "(pip install nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm), or leave --record out.",
            file=sys.stderr,
        )
        return 2
    rows = [row for arch in ARCHITECTURES for operation in OPERATIONS for row in read(compiler, operation, arch)]
    print(_report.table(rows, {name: name for name in COLUMNS[1:]}))
    if options.record:
        RECORD.unlink(missing_ok=True)
        _report.append_csv(RECORD, COLUMNS, rows)
    return 0


def read(compiler: str, operation: str, architecture: str) -> list[Row]:
    """Compile the kernels of one operation for one architecture and return a row per dtype and prior."""
    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder) / "kernels.cubin"
        report = compile_to(compiler, operation, ["-cubin", f"-arch=sm_{architecture}", "-Xptxas", "-v"], cubin)
        wide = _wide_accesses(cubin)
    rows = []
    for found in _REPORT.finditer(report):
        name = _NAME.search(found["name"])
        if name is None:
            continue
        loads, stores = wide.get(found["name"], ("", ""))
        counts = {key: value or "0" for key, value in found.groupdict().items() if key != "name"}
        kernel = {"operation": operation, "dtype": DTYPES[name["dtype"]], "prior": PRIORS[name["prior"]]}
        measures = {**counts, "loads_128": loads, "stores_128": stores}
        rows.append({"compiler": version(compiler), "architecture": architecture, **kernel, **measures})
    return sorted(rows, key=lambda row: (row["dtype"], row["prior"]))


def compile_to(compiler: str, operation: str, options: Sequence[str], output: Path) -> str:
    """Compile csrc/cuda/``operation``.cu as a build does, warnings being errors; return what the compiler says."""
    flags = ["-std=c++17", "-O3", "-DNDEBUG", "-I.", "--expt-relaxed-constexpr", "-Werror=all-warnings"]
    source = f"csrc/cuda/{operation}.cu"
    command = [compiler, *flags, *options, source, "-o", str(output)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def version(compiler: str) -> str:
    """Return the compiler's version, such as ``13.0.88``."""
    text = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"\bV([\d.]+)", text)
    return found[1] if found else "unknown"


def _has_disassembler() -> bool:
    return shutil.which("cuobjdump") is not None and shutil.which("nvdisasm") is not None


def _wide_accesses(cubin: Path) -> dict[str, tuple[str, str]]:
    """Count the 16-byte loads and stores of global memory per function; empty without a disassembler."""
    if not _has_disassembler():
        return {}
    text = subprocess.run(["cuobjdump", "-sass", str(cubin)], capture_output=True, text=True, check=True).stdout
    counts = {}
    for function in re.split(r"\n\s+Function : ", text)[1:]:
        loads, stores = (re.findall(rf"\b{access}\.E(?:\.\w+)*\.128\b", function) for access in ("LDG", "STG"))
        counts[function.split("\n", 1)[0].strip()] = (str(len(loads)), str(len(stores)))
    return counts


if __name__ == "__main__":
    sys.exit(main())
