"""What runs on a GPU, with the compiled module, NumPy and pytest alone, and with frameworks where they are. Where
there is no GPU, every test is skipped by detection, and pytest's summary counts them with the reason."""

import pytest

from benchmarks import _gpu


@pytest.fixture(scope="session")
def gpu():
    """The driver and the module of kernels."""
    try:
        return _gpu.driver(), _gpu.kernels()
    except _gpu.NoGpu as reason:
        pytest.skip(f"no GPU to run on: {reason}")
