"""Build the compiled ops with CMake; everything else is in pyproject.toml.

TFVAE_BUILD_NATIVE=auto (the default) falls back to a pure-Python wheel, with a notice, where the ops do not compile;
=1 makes that an error; =0 skips the compilation.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from setuptools import Distribution, Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
NOTICE = """
{line}
tfvae: THE COMPILED OPS WERE NOT BUILT
{reason}

The package is installed all the same and runs on stock TensorFlow ops, several times
slower. To compile them, install g++ 11 or newer (or clang 14) and install tfvae again;
TFVAE_BUILD_NATIVE=1 makes this an error, TFVAE_BUILD_NATIVE=0 is the way to ask for it.
{line}
"""


def requested() -> str:
    value = os.environ.get("TFVAE_BUILD_NATIVE", "auto").strip().lower() or "auto"
    if value not in ("auto", "0", "1"):
        raise SystemExit(f"TFVAE_BUILD_NATIVE must be auto, 0 or 1, not {value!r}.")
    return value


def show_notice(reason: str) -> None:
    """Print past pip, which hides a build's output, to the terminal too where there is one."""
    text = NOTICE.format(line="=" * 88, reason=reason)
    print(text, file=sys.stderr, flush=True)
    try:
        with open("/dev/tty", "w", encoding="utf-8") as terminal:
            terminal.write(text)
    except OSError:
        pass


class CMakeBuild(build_ext):
    """Configure and build in a temporary folder, then copy the libraries and their JSON beside the package."""

    def run(self) -> None:
        build = Path(self.build_temp).resolve() / "cmake"
        self.compile(build)
        package = ROOT / "tfvae" if self.inplace else Path(self.build_lib).resolve() / "tfvae"
        target = package / "_lib"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for library in [build / "libtfvae_ops.so", *build.glob("tfvae_kernels*.so")]:
            shutil.copy2(library, target)
        (target / "build.json").write_text(json.dumps(build_facts(build), indent=2) + "\n", encoding="utf-8")

    def compile(self, build: Path) -> None:
        build.mkdir(parents=True, exist_ok=True)
        configure = ["cmake", "-S", str(ROOT), "-B", str(build), "-G", "Ninja", f"-DPython_EXECUTABLE={sys.executable}"]
        if os.environ.get("CI"):
            configure.append("-DTFVAE_WERROR=ON")
        for command in (configure, ["cmake", "--build", str(build)]):
            subprocess.run(command, check=True)

    def get_outputs(self) -> list[str]:
        return [str(path) for path in (Path(self.build_lib) / "tfvae" / "_lib").glob("*")]

    def get_source_files(self) -> list[str]:
        return []


def build_facts(build: Path) -> dict[str, object]:
    lines = (build / "build_facts.txt").read_text(encoding="utf-8").splitlines()
    facts = dict(line.split("=", 1) for line in lines)
    return {
        "tfvae": metadata_version(),
        "tensorflow": metadata.version("tensorflow"),
        "compiler": facts["compiler"],
        "machine": platform.machine(),
        "instruction_sets": facts["isas"].split(","),
        "cuda_architectures": [],
    }


def metadata_version() -> str:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return next(line.split('"')[1] for line in text.splitlines() if line.startswith("version = "))


class MaybeNative(Distribution):
    """A platform wheel where the ops compile, else a pure one."""

    def has_ext_modules(self) -> bool:
        return bool(self.ext_modules)


def extensions() -> list[Extension]:
    choice = requested()
    if choice == "0":
        return []
    reason = missing_compiler()
    if reason is None:
        return [Extension("tfvae._lib.tfvae_kernels", sources=[])]
    if choice == "1":
        raise SystemExit(f"TFVAE_BUILD_NATIVE=1 and the compiled ops cannot be built: {reason}")
    if any(command in sys.argv for command in ("bdist_wheel", "editable_wheel", "build_ext", "install", "develop")):
        show_notice(reason)
    return []


def missing_compiler() -> str | None:
    """Try to compile and run TensorFlow's header on its own terms before promising a platform wheel."""
    if platform.system() != "Linux" or platform.machine() not in ("x86_64", "aarch64"):
        return f"They are written for Linux on x86-64 and aarch64, and this is {platform.system()} {platform.machine()}."
    compiler = os.environ.get("CXX", "").split() or [shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")]
    if not compiler[0] or shutil.which(compiler[0]) is None:
        return "No C++ compiler was found (looked for $CXX, c++, g++ and clang++)."
    probe = subprocess.run(
        [*compiler, "-std=c++17", "-x", "c++", "-fsyntax-only", "-"],
        input="#include <optional>\n#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 11\n#error old\n#endif\n",
        text=True,
        capture_output=True,
        check=False,
    )
    if probe.returncode:
        return f"{compiler[0]} does not compile C++17, or is older than g++ 11: {probe.stderr.strip()[-300:]}"
    return None


setup(ext_modules=extensions(), distclass=MaybeNative, cmdclass={"build_ext": CMakeBuild})
