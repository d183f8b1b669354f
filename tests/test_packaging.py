"""The wheel, the sdist and what an installation leaves behind (requirements 29 to 33)."""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Debian 12, RHEL 9 and Ubuntu 22.04 have these or newer.
GLIBC_FLOOR = (2, 34)
GLIBCXX_FLOOR = (3, 4, 29)


def run(*command: str | Path, **kwargs) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, **kwargs)


def clean_environment(**changes: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("TFVAE_") and key != "CXX"}
    # A CUDA compiler that does not work, so that its kernels, whose compilation takes long, are left out.
    return {**kept, "CUDACXX": "/bin/false", **changes}


def pip_wheel(source: Path, target: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return run(
        *(sys.executable, "-m", "pip", "wheel", "-v", "--no-build-isolation", "--no-deps", "-w", target, source),
        env=clean_environment(**environment),
    )


@pytest.fixture(scope="module")
def sdist(tmp_path_factory) -> Path:
    """An sdist of the committed and working files, made in a folder whose name has spaces and non-ASCII letters."""
    folder = tmp_path_factory.mktemp("räum lich keit")
    source = folder / "quëlle"
    listed = run("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT)
    files = listed.stdout.splitlines() if listed.returncode == 0 else []
    assert files, "this test needs the git checkout it is part of"
    for name in files:
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, source / name)
    built = run(
        sys.executable, "-m", "build", "--sdist", "--no-isolation", "-o", folder, source, env=clean_environment()
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return next(folder.glob("*.tar.gz"))


def has_compiler() -> bool:
    return any(shutil.which(name) for name in ("c++", "g++", "clang++"))


@pytest.fixture(scope="module")
def wheel(sdist: Path) -> Path:
    """The wheel of that sdist, compiled where there is a compiler."""
    native = {"TFVAE_BUILD_NATIVE": "1" if has_compiler() else "0", "TFVAE_ENABLE_CUDA": "OFF"}  # CUDA takes minutes.
    # Neither optimised, which takes minutes too: what this wheel's kernels compute, those under test do as well. Two
    # vectors at a time take a compiler that does not optimise twice as long.
    quick = {"CMAKE_BUILD_TYPE": "None", "CXXFLAGS": "-DTFVAE_ONE_VECTOR_AT_A_TIME"}
    built = pip_wheel(sdist, sdist.parent / "wheels", **quick, **native)
    assert built.returncode == 0, built.stdout[-4000:] + built.stderr[-4000:]
    return next((sdist.parent / "wheels").glob("*.whl"))


def test_wheel_metadata_req_29(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        metadata = email.message_from_bytes(archive.read(next(n for n in archive.namelist() if n.endswith("METADATA"))))
        tags = archive.read(next(n for n in archive.namelist() if n.endswith("/WHEEL"))).decode()
    requires = metadata.get_all("Requires-Dist")
    assert any(re.fullmatch(r"tensorflow(<2\.22,>=2\.21\.0|>=2\.21\.0,<2\.22)", line) for line in requires), requires
    keras = {line for line in requires if re.match(r"keras\b", line)}
    # Older Keras has CVE-2026-1462 and CVE-2026-1669. 3.12, the last for Python 3.10, has their fixes since 3.12.1.
    newest, last = (next(line for line in keras if sign in line) for sign in ('>= "3.11"', '< "3.11"'))
    assert newest.split(";")[0] == "keras>=3.13.2"
    assert set(last.split(";")[0].removeprefix("keras").split(",")) == {">=3.12.4", "<3.13"}
    assert any(line.startswith("tf-keras") for line in requires)  # What TFP needs at import and does not ask for.
    if has_compiler():
        assert "Root-Is-Purelib: false" in tags
        assert sysconfig.get_platform().replace("-", "_") in wheel.name
    else:
        assert wheel.name.endswith("-py3-none-any.whl")


def test_wheel_contents_req_29(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    top = {name.split("/")[0] for name in names}
    assert top == {"tfvae", f"tfvae-{wheel.name.split('-')[1]}.dist-info"}
    assert not [name for name in names if "tensorflow" in name.lower()]
    libraries = sorted(name.split("/")[-1].split(".")[0] for name in names if name.endswith(".so"))
    assert libraries == (["libtfvae_ops", "libtfvae_xla", "tfvae_kernels"] if has_compiler() else [])


@pytest.mark.skipif(not has_compiler(), reason="no compiler on this machine, so the wheel holds no library")
def test_libraries_req_29_33(wheel: Path, tmp_path: Path):
    """No RPATH, the glibc and libstdc++ floor, and nothing exported that another library could collide with."""
    elffile = pytest.importorskip("elftools.elf.elffile")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    for path in [*(tmp_path / "tfvae" / "_lib").glob("*.so"), *(ROOT / "tfvae" / "_lib").glob("*.so")]:
        with path.open("rb") as stream:
            elf = elffile.ELFFile(stream)
            dynamic = {tag.entry.d_tag for tag in elf.get_section_by_name(".dynamic").iter_tags()}
            symbols = elf.get_section_by_name(".dynsym").iter_symbols()
            exported = [s.name for s in symbols if s.entry.st_shndx != "SHN_UNDEF" and s.entry.st_size]
            needed = elf.get_section_by_name(".gnu.version_r")
            versions = [aux.name for _, auxiliaries in needed.iter_versions() for aux in auxiliaries]
        assert not dynamic & {"DT_RPATH", "DT_RUNPATH"}
        assert exported == ([] if path.name.startswith("libtfvae_") else ["PyInit_tfvae_kernels"])
        for prefix, floor in (("GLIBC_", GLIBC_FLOOR), ("GLIBCXX_", GLIBCXX_FLOOR)):
            found = [tuple(map(int, name[len(prefix) :].split("."))) for name in versions if name.startswith(prefix)]
            assert max(found) <= floor, f"{path.name} needs {prefix}{max(found)}"


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory) -> Path:
    """The wheel in an environment of its own that sees this one's packages, but for tfvae."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip())
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    done = run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--ignore-installed", wheel)
    assert done.returncode == 0, done.stderr
    return folder


SMOKE = """
import numpy as np, tensorflow as tf, tfvae, sys
assert tfvae.__file__.startswith(sys.prefix), tfvae.__file__
z, kl = tfvae.ops.reparameterize_kl(tf.ones([2, 3]), tf.zeros([2, 3]), seed=[1, 2])
assert kl.numpy().tolist() == [1.5, 1.5]
print(tfvae.build_info()["backend"])
"""


def test_install_from_sdist_and_uninstall_req_30_31(installed: Path, tmp_path: Path):
    python = installed / "bin" / "python"
    ran = run(python, "-c", SMOKE, cwd=tmp_path, env=clean_environment(PYTHONPATH=""))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == (["native"] if has_compiler() else ["reference"])
    assert (installed / "bin" / "tfvae").is_file()
    assert run(sys.executable, "-m", "pip", "--python", python, "uninstall", "-y", "tfvae").returncode == 0
    assert list(installed.rglob("*tfvae*")) == []


def path_without_compilers(tmp_path: Path) -> str:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("git", "sh", "env", "uname"):
        if found := shutil.which(name):
            (tools / name).symlink_to(found)
    return str(tools)


def test_without_a_compiler_req_30(sdist: Path, tmp_path: Path):
    """The install gives a pure-Python wheel and a notice; TFVAE_BUILD_NATIVE=1 makes it an error, 0 says nothing."""
    path = path_without_compilers(tmp_path)
    auto = pip_wheel(sdist, tmp_path / "auto", PATH=path)
    assert auto.returncode == 0, auto.stderr
    assert "THE COMPILED OPS ARE NOT PART OF THIS INSTALLATION" in auto.stdout + auto.stderr
    assert "No C++ compiler was found" in auto.stdout + auto.stderr
    assert [wheel.name.endswith("-py3-none-any.whl") for wheel in (tmp_path / "auto").glob("*.whl")] == [True]

    insisting = pip_wheel(sdist, tmp_path / "one", PATH=path, TFVAE_BUILD_NATIVE="1")
    assert insisting.returncode != 0
    assert "No C++ compiler was found" in insisting.stdout + insisting.stderr
    assert list((tmp_path / "one").glob("*.whl")) == []

    skipping = pip_wheel(sdist, tmp_path / "zero", PATH=path, TFVAE_BUILD_NATIVE="0")
    assert skipping.returncode == 0, skipping.stderr
    assert "COMPILED OPS" not in skipping.stdout + skipping.stderr


def test_an_earlier_library_does_not_outlive_a_build_in_place_that_fails(sdist: Path, tmp_path: Path):
    shutil.unpack_archive(sdist, tmp_path)
    source = next(tmp_path.glob("tfvae-*"))
    earlier = source / "tfvae" / "_lib" / "build.json"
    earlier.parent.mkdir()
    earlier.write_text("{}", encoding="utf-8")
    path = path_without_compilers(tmp_path)
    built = run(*(sys.executable, "setup.py", "build_ext", "--inplace"), cwd=source, env=clean_environment(PATH=path))
    assert built.returncode == 0, built.stderr
    assert "THE COMPILED OPS ARE NOT PART OF THIS INSTALLATION" in built.stdout + built.stderr
    assert not earlier.parent.exists()


def test_build_native_is_validated(sdist: Path, tmp_path: Path):
    wrong = pip_wheel(sdist, tmp_path / "wheels", TFVAE_BUILD_NATIVE="yes")
    assert wrong.returncode != 0
    assert "TFVAE_BUILD_NATIVE must be auto, 0 or 1, not 'yes'" in wrong.stdout + wrong.stderr


FAKE_TENSORFLOW = """
__version__ = "2.21.0"
class sysconfig:
    get_include = staticmethod(lambda: {folder!r} + "/include")
    get_lib = staticmethod(lambda: {folder!r})
    get_compile_flags = staticmethod(lambda: ["-D_GLIBCXX_USE_CXX11_ABI=1"])
"""


@pytest.mark.skipif(not has_compiler(), reason="nothing is configured without a compiler")
def test_xla_is_left_out_where_tensorflow_lacks_it_req_24(tmp_path: Path):
    """AUTO looks for the headers and the library; ON insists on them; OFF does without."""
    fake = tmp_path / "site" / "tensorflow"
    header = fake / "include" / "tensorflow" / "compiler" / "tf2xla" / "xla_op_kernel.h"
    includes = [fake / "include" / "external" / name for name in ("highwayhash", "farmhash_archive/src")]
    interface = fake / "include" / "xla" / "ffi" / "api" / "ffi.h"
    for folder in (*includes, header.parent, interface.parent):
        folder.mkdir(parents=True)
    for file in (header, interface, fake / "libtensorflow_framework.so.2", fake / "libtensorflow_cc.so.2"):
        file.touch()
    (fake / "__init__.py").write_text(FAKE_TENSORFLOW.format(folder=str(fake)))

    def configure(choice: str) -> tuple[str, str]:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        options = (
            "-DTFVAE_BUILD_MODULE=OFF",
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-DTFVAE_WITH_XLA={choice}",
            "-DTFVAE_ENABLE_CUDA=OFF",
        )
        environment = clean_environment(PYTHONPATH=str(fake.parent), PATH=path)
        (tmp_path / "build" / "build_facts.txt").unlink(missing_ok=True)
        done = run("cmake", "-S", ROOT, "-B", tmp_path / "build", "-G", "Ninja", *options, env=environment)
        facts = (tmp_path / "build" / "build_facts.txt").read_text() if done.returncode == 0 else "failed"
        return re.sub(r"(?s).*xla=(\w+).*", r"\1", facts).strip(), done.stdout + done.stderr

    assert [configure(choice)[0] for choice in ("AUTO", "OFF", "ON")] == ["ON", "OFF", "ON"]
    interface.unlink()
    decision, log = configure("AUTO")
    assert decision == "OFF"
    assert f"No ops inside XLA: TensorFlow has no {interface}" in log
    assert configure("OFF")[0] == "OFF"
    decision, log = configure("ON")
    assert decision == "failed"
    assert "TFVAE_WITH_XLA is ON and this TensorFlow has no headers of XLA" in log


@pytest.mark.skipif(not has_compiler(), reason="nothing is configured without a compiler")
def test_cuda_is_left_out_without_its_compiler_req_32(tmp_path: Path):
    """AUTO builds the rest, ON says where it looked."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {key: value for key, value in clean_environment(PATH=path).items() if key != "CUDACXX"}
    for choice in ("AUTO", "ON"):
        options = ("-DTFVAE_WITH_TENSORFLOW=OFF", f"-DPython_EXECUTABLE={sys.executable}", "-DTFVAE_NVCC=")
        command = ("cmake", "-S", ROOT, "-B", tmp_path, "-G", "Ninja", f"-DTFVAE_ENABLE_CUDA={choice}", *options)
        done = run(*command, env=environment)
        if choice == "AUTO":
            assert done.returncode == 0, done.stderr
            assert re.search(r"^cuda=$", (tmp_path / "build_facts.txt").read_text(), flags=re.MULTILINE)
        else:
            assert done.returncode != 0
            assert "TFVAE_ENABLE_CUDA is ON and no nvcc was found" in " ".join(done.stderr.split())
