"""Data flows one way: who may import and include whom, as docs/design.md has it."""

import ast
import re
from pathlib import Path

import pytest

import tfvae

PACKAGE = Path(tfvae.__file__).parent
CSRC = Path(__file__).parents[1] / "csrc"

# From the bottom up; a part may use those on lower lines and itself. `tfvae` itself, the top level, re-exports.
LAYERS = [
    {"_config", "_checks", "_files", "_version"},
    {"_native"},
    {"ops"},
    {"_info", "distributions"},
    {"layers", "objectives", "metrics"},
    {"evidence"},
    {"models", "callbacks"},
    {"datasets", "exact", "plots"},
    {"cli"},
]
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}

# Third-party modules that only some parts may know.
RESTRICTED = {
    # _native and _info: to tell their versions.
    "keras": {
        "distributions",
        "evidence",
        "layers",
        "models",
        "callbacks",
        "metrics",
        "objectives",
        "datasets",
        "exact",
        "cli",
        "_info",
        "_native",
    },
    "tensorflow_probability": {"distributions", "evidence", "layers", "models", "objectives", "_info", "_native"},
    "matplotlib": {"plots", "cli"},
    "PIL": {"datasets"},
    "sklearn": {"datasets"},
    "tensorflow": set(LEVEL) - {"_config", "_checks", "_files", "_version"},
}


def _modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def _part(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imported(path, tree):
    """Dotted names a module imports, at the top or inside a function; ``from a import b`` gives ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _uses():
    """(path, part, what of tfvae it uses) for every import within the package below the top level."""
    for path, tree in _modules():
        part = _part(path)
        if part == "__init__":
            continue
        for name in _imported(path, tree):
            if name.split(".")[0] == "tfvae":
                yield path.relative_to(PACKAGE), part, name


def test_every_part_has_a_layer():
    assert {_part(path) for path, _ in _modules()} - {"__init__", "__main__"} <= set(LEVEL)


def test_nothing_lower_calls_up():
    wrong = []
    for path, part, name in _uses():
        used = name.split(".")[1] if "." in name else ""
        # The shell uses the public names of the top level (tfvae.VAE, tfvae.build_info).
        if used not in LEVEL:
            used_level = len(LAYERS) - 2
        elif used == part:
            continue
        else:
            used_level = LEVEL[used]
        if used_level >= LEVEL[part]:
            wrong.append(f"{path} ({part}) imports {name}")
    assert not wrong


@pytest.mark.parametrize("library", RESTRICTED)
def test_who_may_know_a_library(library):
    users = set()
    for path, tree in _modules():
        if any(name.split(".")[0] == library for name in _imported(path, tree)):
            users.add(_part(path))
    assert users - {"__init__"} <= RESTRICTED[library]


def test_config_is_the_only_reader_of_the_environment():
    readers = set()
    for path, tree in _modules():
        for node in ast.walk(tree):
            named = isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv", "getenvb"}
            imported = isinstance(node, ast.ImportFrom) and node.module == "os"
            if named or (imported and {"environ", "getenv"} & {alias.name for alias in node.names}):
                readers.add(path.name)
    assert readers == {"_config.py"}


def test_no_pickle_and_no_eval():
    """Nothing that would run code out of a file or a config."""
    wrong = []
    for path, tree in _modules():
        modules = {name.split(".")[0] for name in _imported(path, tree)}
        wrong += [f"{path.name} imports {name}" for name in modules & {"pickle", "marshal", "shelve", "dill"}]
        for node in ast.walk(tree):
            called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            if called in {"eval", "exec", "compile", "__import__"}:
                wrong.append(f"{path.name}:{node.lineno} calls {called}")
    assert not wrong


def _includes():
    for path in sorted([*CSRC.rglob("*.h"), *CSRC.rglob("*.cc"), *CSRC.rglob("*.cu")]):
        text = path.read_text(encoding="utf-8")
        yield path.relative_to(CSRC), re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', text, re.MULTILINE)


# What of csrc each folder knows.
KNOWN = {
    "core": {"core"},
    "cpu": {"core", "cpu"},
    "cuda": {"core", "cuda"},
    "tf": {"core", "cpu", "cuda", "tf"},
    "python": {"core", "cpu", "cuda", "python"},
}
FFI = "xla/ffi/api/ffi.h"  # Stands alone, and JAX has it too.
TENSORFLOW = ("tensorflow/", "xla/", "tsl/", "absl/", "Eigen/", "unsupported/Eigen/")

# An sdist or a checkout has the sources; tests that run against an installed wheel alone do not.
if CSRC.is_dir():

    def test_csrc_folders_know_what_they_may():
        wrong = []
        for path, names in _includes():
            for name in names:
                inside = name.startswith("csrc/")
                if inside and name.split("/")[1] not in KNOWN[path.parts[0]]:
                    wrong.append(f"{path} includes {name}")
                assert inside or (CSRC / path).parent.joinpath(name).exists() is False, (
                    f"{path}: write csrc/... for {name}"
                )
        assert not wrong

    def test_core_knows_nothing_else():
        """Host and device headers: beyond themselves, only those of the language that need no library."""
        outside = {
            name for path, names in _includes() if path.parts[0] == "core" for name in names if "csrc/core/" not in name
        }
        assert outside <= {"stdint.h", "limits", "type_traits"}

    def test_tensorflow_headers_are_only_in_tf():
        def is_tensorflow(name):
            return name.startswith(TENSORFLOW) and name != FFI

        users = {path.parts[0] for path, names in _includes() if any(map(is_tensorflow, names))}
        assert users == {"tf"}

    def test_python_headers_are_only_in_python():
        users = {path.parts[0] for path, names in _includes() if any("pybind11" in n or n == "Python.h" for n in names)}
        assert users == {"python"}

    def test_what_an_instruction_set_is_compiled_from():
        """All code is in the set's own namespace, or the linker may keep an AVX-512 copy of an inline function for the
        rest; headers outside it hold plain data, and the system's only
        intrinsics, types and constants."""
        includes = {f"csrc/{path}": names for path, names in _includes()}
        reached = {name for name in includes if Path(name).name.startswith("isa_")}
        waiting = set(reached)
        while waiting:
            waiting = {name for known in waiting for name in includes.get(known, [])} - reached
            reached |= waiting
        system = {name for name in reached if not name.startswith("csrc/")}
        assert system <= {"immintrin.h", "arm_neon.h", "stdint.h", "limits", "type_traits"}
        plain_data = {"csrc/cpu/kernel_table.h", "csrc/core/params.h"}
        for name in reached - system - plain_data:
            text = (CSRC.parent / name).read_text(encoding="utf-8")
            assert "TFVAE_ISA" in text, f"{name} has no namespace of the instruction set"
        for name in plain_data:
            text = (CSRC.parent / name).read_text(encoding="utf-8")
            assert not re.search(r"\b(inline|return)\b", text), f"{name} holds code outside of a namespace"
