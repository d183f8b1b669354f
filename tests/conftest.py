"""What every test may ask for: both backends, a seeded generator, and Python code run in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = str(Path(__file__).resolve().parents[1])
if ROOT not in sys.path:
    sys.path.append(ROOT)  # For the benchmarks; behind the installed tfvae, which is the one under test.


def pytest_collection_modifyitems(items):
    # The file that compiles comes first, or one process would wait for it at the end.
    items.sort(key=lambda item: item.path.name != "test_packaging.py")


def pytest_generate_tests(metafunc):
    # Without a compiled library (a pure-Python install) there is one backend to test, not one to skip.
    if "backend" in metafunc.fixturenames:
        import tfvae

        names = ["native", "reference"] if tfvae.build_info()["built"] else ["reference"]
        metafunc.parametrize("backend", names, indirect=True)


@pytest.fixture(scope="session", autouse=True)
def exact_matrix_products():
    """GPUs take float32 matrices with 11 bits, which TensorFlow lets them, not with the 24 that tests expect."""
    if tensorflow := sys.modules.get("tensorflow"):
        tensorflow.config.experimental.enable_tensor_float_32_execution(False)


@pytest.fixture(autouse=True)
def same_environment():
    """Commands set variables for their process, which here would be that of the tests, and of those they start."""
    before = dict(os.environ)
    yield
    for name in set(os.environ) - set(before):
        del os.environ[name]
    os.environ.update({name: value for name, value in before.items() if os.environ.get(name) != value})


@pytest.fixture
def backend(request):
    """The name of the backend that the ops run on during the test."""
    import tfvae

    with tfvae.use_backend(request.param):
        yield request.param


@pytest.fixture
def rng():
    return np.random.default_rng(20240229)


@pytest.fixture(scope="session")
def returned_memory():
    """For tests that tell from the size of the process how much memory a call takes."""
    from benchmarks import peak_memory

    if not peak_memory.returns_memory():
        pytest.skip("oneDNN keeps what TensorFlow frees: run with TF_ENABLE_ONEDNN_OPTS=0, as a step of .ci/run does")


@pytest.fixture(scope="session")
def run_python():
    """Run Python code in a fresh process, which must not end by a signal; return it with its text output.

    ``path`` holds the tfvae to import, by default the one under test. The environment is this process's without any
    TFVAE_ variable, plus ``env``.
    """

    def run(code, *, path=None, env=None, timeout=300):
        import tfvae

        path = path or Path(tfvae.__file__).parents[1]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TFVAE_")}
        done = subprocess.run(
            [sys.executable, "-X", "faulthandler", "-c", code],
            env={**inherited, "PYTHONPATH": str(path), **(env or {})},
            cwd=path,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode >= 0, (
            f"ended by signal {-done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        )
        return done

    return run
