"""What happens where the compiled library is missing, broken, foreign or there twice: the package works all the same.

Each case is a copy of the package in a folder of its own, imported in a process of its own.
"""

import json
import shutil
import struct
from pathlib import Path

import pytest
import tensorflow as tf

import tfvae

PACKAGE = Path(tfvae.__file__).parent
BUILT = tfvae.build_info()["built"] is not None
LIBRARY, XLA_LIBRARY = "libtfvae_ops.so", "libtfvae_xla.so"
PARENT = "größe 1"
SECOND = "second copy"
# The ops need only the library.
CUT_MODULE, NO_MODULE = "the NumPy module cut off", "the NumPy module a link to nothing"

# TensorFlow, Keras and TFP, which take seconds to import, are imported once, before the processes part.
_CODE = """
import contextlib, io, json, os, sys
import tensorflow as tf
import keras
import tensorflow_probability.python.distributions


def mapped():
    return sorted({line.split(maxsplit=5)[-1].strip() for line in open("/proc/self/maps") if "libtfvae_ops" in line})


def examine(path, loaded_before):
    if loaded_before:
        tf.load_op_library(loaded_before)
    sys.path.insert(0, path)
    stderr = io.StringIO()
    with contextlib.redirect_stderr(stderr):
        import tfvae
        result = {"file": tfvae.__file__, "after_import": stderr.getvalue(), "maps_after_import": mapped()}
        zeros = tf.zeros([2, 3])
        for _ in range(2):
            z, kl = tfvae.ops.reparameterize_kl(zeros, zeros, seed=[1, 2])
        noise = tf.random.stateless_normal([2, 3], [1, 2], alg="philox")
        result |= {"printed": stderr.getvalue(), "info": tfvae.build_info(), "maps": mapped()}
        result |= {"error": float(tf.reduce_max(tf.abs(z - noise))), "kl": kl.numpy().tolist()}
        os.environ["TFVAE_BACKEND"] = "native"
        try:
            tfvae.ops.reparameterize_kl(zeros, zeros, seed=[1, 2])
            result["native"] = "works"
        except RuntimeError as error:
            result["native"] = str(error)
    return result


for path, loaded_before in COPIES:
    child = os.fork()
    if child == 0:
        with open(os.path.join(path, "result.json"), "w") as file:
            json.dump(examine(path, loaded_before), file)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


# The same where the kernels inside XLA are missing or do not load.
_XLA_CODE = """
import contextlib, io, json, os, sys
import numpy as np
import tensorflow as tf
import keras
import tensorflow_probability.python.distributions


def op(mean, log_var):
    import tfvae
    with tf.GradientTape() as tape:
        tape.watch([mean, log_var])
        z, kl = tfvae.ops.reparameterize_kl(mean, log_var, seed=[1, 2])
    return z, kl, tape.gradient([z, kl], [mean, log_var])


def native_ops_in(function):
    return [op.type for op in function.graph.get_operations() if op.type.startswith("Tfvae")]


def traced(jit_compile):
    return tf.function(op, jit_compile=jit_compile).get_concrete_function(tf.zeros([2, 3]), tf.zeros([2, 3]))


def train(tfvae):
    inputs = keras.Input([4])
    latent = tfvae.layers.GaussianLatent(seed=1)(keras.layers.Dense(4)(inputs))
    functional = keras.Model(inputs, keras.layers.Dense(4)(latent))
    networks = [keras.Sequential([keras.Input([n]), keras.layers.Dense(4)]) for n in (4, 2)]
    families = {"posterior": tfvae.distributions.DiagonalNormal(2), "likelihood": tfvae.distributions.Normal(4)}
    x = np.zeros([8, 4], "float32")
    for model, loss in ((functional, "mse"), (tfvae.VAE(*networks, **families), None)):
        model.compile("sgd", loss=loss, jit_compile=True)
        yield float(model.fit(x, x, verbose=0).history["loss"][0])


def examine(path, runs):
    sys.path.insert(0, path)
    stderr = io.StringIO()
    with contextlib.redirect_stderr(stderr):
        import tfvae
        result = {"outside": native_ops_in(traced(None)), "printed_outside": stderr.getvalue()}
        result |= {"inside": [native_ops_in(traced(True)) for _ in range(2)], "info": tfvae.build_info()}
        if runs:
            mean, log_var = tf.ones([2, 3]), tf.zeros([2, 3])
            inside = tf.nest.flatten(tf.function(op, jit_compile=True)(mean, log_var))
            outside = tf.nest.flatten(op(mean, log_var))
            result["error"] = max(float(tf.reduce_max(tf.abs(a - b))) for a, b in zip(inside, outside))
            result["losses"] = list(train(tfvae))
        result["printed"] = stderr.getvalue()
    os.environ["TFVAE_BACKEND"] = "native"
    try:
        traced(True)
        result["native"] = "works"
    except RuntimeError as error:
        result["native"] = str(error)
    result["native_outside"] = native_ops_in(traced(None))
    return result


for path, runs in COPIES:
    child = os.fork()
    if child == 0:
        with open(os.path.join(path, "result.json"), "w") as file:
            json.dump(examine(path, runs), file)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def copy_package(folder):
    """The package without its library, in a folder with a space and letters beyond ASCII."""
    package = folder / PARENT / "tfvae"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__", "_lib"))
    return package


def add_library(package, content, version=tf.__version__, own=tfvae.__version__):
    library = package / "_lib"
    library.mkdir()
    (library / "build.json").write_text(json.dumps({"tfvae": own, "tensorflow": version}), encoding="utf-8")
    if content is not None:
        (library / LIBRARY).write_bytes(content)


def _with(content, *versions):
    return lambda package: add_library(package, content, *versions)


def _with_cut_module(package):
    [module] = (PACKAGE / "_lib").glob("tfvae_kernels*.so")
    add_library(package, (PACKAGE / "_lib" / LIBRARY).read_bytes())
    (package / "_lib" / module.name).write_bytes(module.read_bytes()[:200_000])


def _with_link_to_nothing(package):
    add_library(package, (PACKAGE / "_lib" / LIBRARY).read_bytes())
    (package / "_lib" / "tfvae_kernels.x.so").symlink_to("nothing")


def _end_of_segments(content):
    start, size, count = struct.unpack_from("<32xQ14xHH", content)
    segments = struct.iter_unpack("<8xQ16xQ16x", content[start : start + size * count])
    return max(offset + length for offset, length in segments)


def _bad_json(package):
    add_library(package, b"")
    (package / "_lib" / "build.json").write_text("{", encoding="utf-8")


def _cases():
    """Name -> what to put beside the package, and the words the one line must hold."""
    here = f"TensorFlow {tf.__version__}"
    cases = {
        "no library": (lambda package: None, ["no compiled library", here, "pip install"]),
        "library missing beside its facts": (_with(None), [LIBRARY, "is missing", "Rebuild with"]),
        "not a library": (_with(b"not a library\n" * 1000), [LIBRARY, here, "invalid ELF header", "Rebuild with"]),
        "facts unreadable": (_bad_json, ["build.json", "cannot be read", "Rebuild with"]),
        # Rubbish that would be an error to open, in a place where it must not be opened at all.
        "other TensorFlow": (
            _with(b"\x7fELF rubbish", "2.20.0"),
            [LIBRARY, "built against TensorFlow 2.20.0", f"this is {here}", "Rebuild with"],
        ),
        "other tfvae": (
            _with(b"\x7fELF rubbish", tf.__version__, "0.0.1"),
            [LIBRARY, "built for tfvae 0.0.1", f"this is tfvae {tfvae.__version__}", "Rebuild with"],
        ),
    }
    if BUILT:
        whole = (PACKAGE / "_lib" / LIBRARY).read_bytes()
        # The linker finds every symbol when it loads the library; one that TensorFlow does not have stands for an ABI
        # that has changed.
        foreign = whole.replace(b"_ZN10tensorflow8OpKernel", b"_ZN10tensorflow8OpKernal")
        cases |= {
            "whole": (_with(whole), []),
            CUT_MODULE: (_with_cut_module, []),
            NO_MODULE: (_with_link_to_nothing, []),
            SECOND: (
                _with(whole),
                ["another copy of the compiled ops is already loaded from", "Keep one installation"],
            ),
            "truncated in the middle": (
                _with(whole[: len(whole) // 2]),
                [LIBRARY, here, "shorter than", "Rebuild with"],
            ),
            "truncated in its last segment": (
                _with(whole[: _end_of_segments(whole) - 1]),
                [LIBRARY, here, "shorter than", "Rebuild with"],
            ),
            "truncated in its headers": (_with(whole[:300]), [LIBRARY, here, "shorter than", "Rebuild with"]),
            "wrong ABI": (_with(foreign), [LIBRARY, here, "undefined symbol", "Rebuild with"]),
            "whole but for another TensorFlow": (
                _with(whole, "2.22.0"),
                [LIBRARY, "built against TensorFlow 2.22.0", f"this is {here}", "Rebuild with"],
            ),
        }
    return cases


CASES = _cases()
WORKING = ["whole", CUT_MODULE, NO_MODULE]
BROKEN = [name for name in CASES if name not in WORKING]


@pytest.fixture(scope="module")
def results(run_python, tmp_path_factory):
    folder = tmp_path_factory.mktemp("copies")
    copies = {}
    for name, (add, _) in CASES.items():
        package = copy_package(folder / name)
        add(package)
        loaded_before = folder / "whole" / PARENT / "tfvae" / "_lib" / LIBRARY if name == SECOND else ""
        copies[name] = (str(package.parent), str(loaded_before))
    done = run_python(f"COPIES = {list(copies.values())}\n{_CODE}", path=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["0"] * len(copies), f"{list(copies)}: {done.stdout}\n{done.stderr[-3000:]}"
    results = {name: json.loads((Path(path) / "result.json").read_text()) for name, (path, _) in copies.items()}
    for name, result in results.items():
        assert Path(result["file"]).parents[1] == Path(copies[name][0])
    return results


@pytest.mark.parametrize("name", BROKEN)
def test_import_succeeds_and_says_nothing_yet_req_25(results, name):
    assert results[name]["after_import"] == ""
    assert len(results[name]["maps_after_import"]) == (1 if name == SECOND else 0)


@pytest.mark.parametrize("name", BROKEN)
def test_the_fallback_runs_and_one_line_says_why_req_25(results, name):
    result = results[name]
    assert result["error"] <= 2e-6
    assert result["kl"] == [0.0, 0.0]
    assert result["printed"].count("\n") == 1
    assert "runs on stock TensorFlow ops" in result["printed"]
    for words in CASES[name][1]:
        assert words in result["printed"]


@pytest.mark.parametrize("name", BROKEN)
def test_build_info_says_so_req_25(results, name):
    info = results[name]["info"]
    assert info["backend"] == "reference"
    for words in CASES[name][1]:
        assert words in info["problem"]


@pytest.mark.parametrize("name", BROKEN)
def test_asking_for_native_raises_req_26(results, name):
    message = results[name]["native"]
    assert message.startswith("The native backend was asked for and is not usable")
    assert results[name]["info"]["problem"] in message
    assert "TFVAE_BACKEND=auto" in message


@pytest.mark.parametrize(
    "name", [name for name in BROKEN if name.endswith(("TensorFlow", "its headers", "the middle", "last segment"))]
)
def test_the_library_is_checked_before_it_is_opened_req_28(results, name):
    assert results[name]["maps"] == []


if BUILT:

    @pytest.mark.parametrize("name", WORKING)
    def test_a_whole_copy_works_from_a_folder_with_a_space_and_umlauts(results, name):
        result = results[name]
        assert result["info"]["backend"] == "native"
        assert result["info"]["problem"] is None
        assert result["native"] == "works"
        assert result["printed"] == ""
        assert len(result["maps"]) == 1

    def test_import_does_not_load_the_library_req_39(results):
        assert results["whole"]["maps_after_import"] == []

    def test_a_second_copy_is_noticed_before_it_is_loaded_req_27(results):
        """Whatever loaded the first: another tfvae, or a program that takes the library alone."""
        problem = results[SECOND]["info"]["problem"]
        folder = Path(results[SECOND]["file"]).parent / "_lib"
        [loaded] = results[SECOND]["maps"]
        assert Path(loaded).parent == Path(results["whole"]["file"]).parent / "_lib"
        assert f"another copy of the compiled ops is already loaded from {loaded}" in problem
        assert f"so {folder / LIBRARY} was not loaded" in problem

    NO_XLA = "built without XLA"

    def _xla_cases():
        """Name -> what the facts say of XLA, the library's content, and the words the one line must hold."""
        cases = {
            NO_XLA: (False, None, ["was compiled without XLA", XLA_LIBRARY, "Rebuild with"]),
            "missing": (True, None, [XLA_LIBRARY, "is missing", "Rebuild with"]),
        }
        if (PACKAGE / "_lib" / XLA_LIBRARY).is_file():
            whole = (PACKAGE / "_lib" / XLA_LIBRARY).read_bytes()
            foreign = whole.replace(b"_ZN10tensorflow11XlaOpKernel", b"_ZN10tensorflow11XlaOpKernal")
            assert foreign != whole
            cases |= {
                "truncated": (True, whole[: len(whole) // 2], [XLA_LIBRARY, "shorter than", "Rebuild with"]),
                "wrong ABI": (True, foreign, [XLA_LIBRARY, "undefined symbol", "Rebuild with"]),
            }
        return cases

    XLA_CASES = _xla_cases()

    @pytest.fixture(scope="module")
    def xla_results(run_python, tmp_path_factory):
        folder = tmp_path_factory.mktemp("xla copies")
        copies = {}
        for name, (says_so, content, _) in XLA_CASES.items():
            package = copy_package(folder / name)
            add_library(package, (PACKAGE / "_lib" / LIBRARY).read_bytes())
            facts = {"tfvae": tfvae.__version__, "tensorflow": tf.__version__, "xla": says_so}
            (package / "_lib" / "build.json").write_text(json.dumps(facts), encoding="utf-8")
            if content is not None:
                (package / "_lib" / XLA_LIBRARY).write_bytes(content)
            copies[name] = (str(package.parent), name == NO_XLA)
        done = run_python(f"COPIES = {list(copies.values())}\n{_XLA_CODE}", path=folder)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.split() == ["0"] * len(copies), f"{list(copies)}: {done.stdout}\n{done.stderr[-3000:]}"
        return {name: json.loads((Path(path) / "result.json").read_text()) for name, (path, _) in copies.items()}

    @pytest.mark.parametrize("name", XLA_CASES)
    def test_without_kernels_in_xla_the_ops_outside_are_native_and_those_inside_the_reference_req_24(xla_results, name):
        result = xla_results[name]
        assert result["outside"] == ["TfvaeReparameterizeKl", "TfvaeReparameterizeKlGrad"]
        assert result["printed_outside"] == ""
        assert result["inside"] == [[], []]
        assert result["info"]["problem"] is None
        [line] = result["printed"].splitlines()
        assert "runs on stock TensorFlow ops, several times slower than its own kernel, inside XLA: " in line
        for words in XLA_CASES[name][2]:
            assert words in line
            assert words in result["info"]["problem_inside_xla"]

    @pytest.mark.parametrize("name", XLA_CASES)
    def test_asking_for_native_raises_only_inside_xla_req_24_26(xla_results, name):
        result = xla_results[name]
        assert result["native"].startswith("The native backend was asked for and is not usable inside XLA")
        assert result["info"]["problem_inside_xla"] in result["native"]
        assert result["native_outside"] == result["outside"]

    def test_without_kernels_in_xla_everything_works_req_24(xla_results):
        result = xla_results[NO_XLA]
        assert result["error"] <= 1e-5  # Noise within 2e-6; a few roundings of numbers up to 4.
        assert len(result["losses"]) == 2
        assert all(loss < float("inf") for loss in result["losses"])
