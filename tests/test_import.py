"""What ``import tfvae`` does not do, and what the compiled libraries show to the rest of the process."""

import json
from pathlib import Path

import pytest

import tfvae

LIBRARIES = Path(tfvae.__file__).parent / "_lib"

_CODE = """
import json, os, sys, tempfile

def printed_by(function):
    with tempfile.TemporaryFile() as file:
        saved = os.dup(1), os.dup(2)
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
        try:
            function()
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            for descriptor, original in zip((1, 2), saved):
                os.dup2(original, descriptor)
        file.seek(0)
        return file.read().decode()

def import_tensorflow():
    import tensorflow

def import_tfvae():
    import tfvae

result = {"tensorflow": printed_by(import_tensorflow), "tfvae": printed_by(import_tfvae)}
result["maps"] = [line for line in open("/proc/self/maps") if "tfvae" in line]
result["modules"] = sorted(name for name in sys.modules if name.startswith("tfvae._lib"))
import tensorflow as tf
try:
    tf.config.threading.set_intra_op_parallelism_threads(1)
    result["devices"] = "untouched"
except RuntimeError as error:
    result["devices"] = str(error)
print(json.dumps(result))
"""


@pytest.fixture(scope="module")
def result(run_python):
    done = run_python(_CODE)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_import_prints_nothing_that_tensorflow_does_not_print_itself_req_39(result):
    assert result["tfvae"] == ""


def test_import_loads_no_library_req_39(result):
    assert result["maps"] == []
    assert result["modules"] == []


def test_import_starts_no_device_req_39(result):
    """TensorFlow lets its thread pools be configured only until it has made its devices, GPUs among them."""
    assert result["devices"] == "untouched"


def test_keras_on_another_backend_is_refused(run_python):
    # Its other backends need what is not installed here.
    done = run_python("import keras\nkeras.config.backend = lambda: 'jax'\nimport tfvae")
    assert "ImportError: tfvae works with Keras on TensorFlow, and Keras runs on jax here." in done.stderr


def _dynamic_symbols(path):
    elffile = pytest.importorskip("elftools.elf.elffile")
    with path.open("rb") as file:
        elf = elffile.ELFFile(file)
        symbols = [s for s in elf.get_section_by_name(".dynsym").iter_symbols() if s["st_shndx"] != "SHN_UNDEF"]
        tags = [tag.entry.d_tag for tag in elf.get_section_by_name(".dynamic").iter_tags()]
    return [symbol.name for symbol in symbols], tags


if tfvae.build_info()["built"] is not None:

    @pytest.mark.parametrize("path", sorted(LIBRARIES.glob("libtfvae_*.so")), ids=lambda path: path.name)
    def test_the_op_libraries_export_nothing_req_33(path):
        """Loading them registers the ops by their constructors; nobody needs to find a symbol in them."""
        names, tags = _dynamic_symbols(path)
        assert names == []
        assert not {"DT_RPATH", "DT_RUNPATH"} & set(tags)

    def test_the_kernels_module_exports_its_entry_point_only_req_33():
        [path] = LIBRARIES.glob("tfvae_kernels*.so")
        names, tags = _dynamic_symbols(path)
        assert names == ["PyInit_tfvae_kernels"]
        assert not {"DT_RPATH", "DT_RUNPATH"} & set(tags)

    def test_op_names_carry_the_prefix_req_33():
        from tensorflow.python.framework import op_def_registry

        from tfvae import _native

        names = [name for name in dir(_native.load()) if name.startswith("tfvae_") and "eager_fallback" not in name]
        stems = ("tfvae_reparameterize_kl", "tfvae_reparameterize_log_ratio")
        assert set(names) == {stem + suffix for stem in stems for suffix in ("", "_grad")}
        camel_case = ["".join(word.capitalize() for word in name.split("_")) for name in names]
        assert all(op_def_registry.get(name) is not None for name in camel_case)
        # Nothing else was registered with the library: every public wrapper in it is one of these.
        ops = {
            name for name in dir(_native.load()) if name[0] != "_" and name.islower() and "eager_fallback" not in name
        }
        assert {name for name in ops if "reparameterize" in name} == set(names)
