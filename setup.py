"""Build the compiled ops with CMake; everything else is in pyproject.toml.

TFVAE_BUILD_NATIVE=auto (the default) falls back to a pure-Python wheel, with a notice, where the ops do not compile;
=1 makes that an error; =0 skips the compilation. TFVAE_ENABLE_CUDA=ON compiles the CUDA kernels too, =OFF leaves them
out; unset, they are compiled where a CUDA compiler is found that works.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from setuptools import Distribution, Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
BUILDING_COMMANDS = {"bdist_wheel", "editable_wheel", "build_ext", "build", "install", "develop"}
RULE = "=" * 96
NOTICE = """
{rule}
tfvae: THE COMPILED OPS ARE NOT PART OF THIS INSTALLATION
{reason}

The package works all the same, on stock TensorFlow ops, several times slower. To compile them,
install g++ 11 or newer (or clang 14 or newer) and install tfvae again. TFVAE_BUILD_NATIVE=1
makes this an error; TFVAE_BUILD_NATIVE=0 skips the compilation without a word.
{rule}
"""


class NotBuildable(Exception):
    """Why the ops cannot be compiled here."""


def requested() -> str:
    value = os.environ.get("TFVAE_BUILD_NATIVE", "auto").strip().lower() or "auto"
    if value not in ("auto", "0", "1"):
        raise SystemExit(f"TFVAE_BUILD_NATIVE must be auto, 0 or 1, not {value!r}.")
    return value


def show_notice(reason: str) -> None:
    """Print to the build log, and past pip, which hides that log, to the terminal where there is one."""
    text = NOTICE.format(rule=RULE, reason=reason)
    print(text, file=sys.stderr, flush=True)
    try:
        with open("/dev/tty", "w", encoding="utf-8") as terminal:
            terminal.write(text)
    except OSError:
        pass


def find_compiler() -> list[str]:
    if platform.system() != "Linux" or platform.machine() not in ("x86_64", "aarch64"):
        system = f"{platform.system()} on {platform.machine()}"
        raise NotBuildable(f"They are written for Linux on x86-64 and aarch64, and this is {system}.")
    asked = os.environ.get("CXX", "").split()
    found = shutil.which(asked[0]) if asked else next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)
    if found is None:
        raise NotBuildable(f"No C++ compiler was found (looked for {asked[0] if asked else 'c++, g++ and clang++'}).")
    return [found, *asked[1:]]


def compile_native(build: Path, cuda: str) -> None:
    """Configure and build into ``build``, or raise NotBuildable with what went wrong."""
    compiler = " ".join(find_compiler())
    configure = ["cmake", "-S", str(ROOT), "-B", str(build), "-G", "Ninja", f"-DPython_EXECUTABLE={sys.executable}"]
    configure.append(f"-DTFVAE_ENABLE_CUDA={cuda}")
    if os.environ.get("TFVAE_WERROR"):
        configure.append("-DTFVAE_WERROR=ON")
    # cmake and ninja from pip lie beside this Python, which need not be on the PATH.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    for command in (configure, ["cmake", "--build", str(build)]):
        try:
            subprocess.run(command, check=True, env={**os.environ, "CXX": compiler, "PATH": path})
        except FileNotFoundError as error:
            raise NotBuildable("cmake was not found; `pip install cmake ninja` provides it.") from error
        except subprocess.CalledProcessError as error:
            raise NotBuildable(f"`{' '.join(command[:3])} ...` failed; the build log above says why.") from error


def compile_with_or_without_cuda(build: Path) -> None:
    """Compile the CUDA kernels only where that works, unless ``TFVAE_ENABLE_CUDA`` says what is wanted."""
    asked = os.environ.get("TFVAE_ENABLE_CUDA")
    try:
        compile_native(build, asked or "AUTO")
    except NotBuildable:
        if asked or not found_cuda_compiler(build):
            raise
        print(
            "tfvae: it did not work with the CUDA compiler found here; once more without.", file=sys.stderr, flush=True
        )
        shutil.rmtree(build)
        compile_native(build, "OFF")


def found_cuda_compiler(build: Path) -> bool:
    cache = build / "CMakeCache.txt"
    found = cache.is_file() and re.search(r"^TFVAE_NVCC:\w+=/", cache.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return bool(found or "CUDACXX" in os.environ)


def build_facts(build: Path, version: str) -> dict[str, object]:
    lines = (build / "build_facts.txt").read_text(encoding="utf-8").splitlines()
    facts = dict(line.split("=", 1) for line in lines)
    return {
        "tfvae": version,
        "tensorflow": facts["tensorflow"],
        "compiler": facts["compiler"],
        "machine": platform.machine(),
        "instruction_sets": facts["isas"].split(","),
        "cuda_architectures": facts["cuda"].split(",") if facts["cuda"] else [],
        "xla": facts["xla"] == "ON",
    }


class CopyNative(build_ext):
    """Put the libraries, compiled beforehand, and the JSON that describes them into the package."""

    native: Path

    def run(self) -> None:
        package = ROOT / "tfvae" if self.inplace or self.editable_mode else Path(self.build_lib).resolve() / "tfvae"
        target = package / "_lib"
        shutil.rmtree(target, ignore_errors=True)
        if not self.extensions:  # Asked for by name where nothing compiled.
            return
        target.mkdir(parents=True)
        for library in [*self.native.glob("libtfvae_*.so"), *self.native.glob("tfvae_kernels*.so")]:
            shutil.copy2(library, target)
        facts = json.dumps(build_facts(self.native, self.distribution.get_version()), indent=2)
        (target / "build.json").write_text(facts + "\n", encoding="utf-8")

    def get_outputs(self) -> list[str]:
        return [str(path) for path in (Path(self.build_lib) / "tfvae" / "_lib").glob("*")]

    def get_source_files(self) -> list[str]:
        return []


class MaybeNative(Distribution):
    """A platform wheel where the ops compiled, else a pure one."""

    def has_ext_modules(self) -> bool:
        return bool(self.ext_modules)


def try_native(build: Path) -> bool:
    choice = requested()
    if not BUILDING_COMMANDS.intersection(sys.argv):
        return False
    if "editable_wheel" in sys.argv:
        shutil.rmtree(ROOT / "tfvae" / "_lib", ignore_errors=True)  # An earlier build's must not outlive this one.
    if choice == "0":
        return False
    try:
        compile_with_or_without_cuda(build)
    except NotBuildable as reason:
        if choice == "1":
            raise SystemExit(f"TFVAE_BUILD_NATIVE=1 and the compiled ops cannot be built. {reason}") from reason
        show_notice(str(reason))
        return False
    return True


with tempfile.TemporaryDirectory(prefix="tfvae-build-") as folder:
    native = try_native(Path(folder))
    CopyNative.native = Path(folder)
    setup(
        distclass=MaybeNative,
        ext_modules=[Extension("tfvae._lib.tfvae_kernels", sources=[])] if native else [],
        cmdclass={"build_ext": CopyNative},
    )
