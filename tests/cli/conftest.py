"""A small data set, a run trained on it once, and the command line without a shell."""

import numpy as np
import pytest

from tfvae.cli import main

TRAIN = ["--latent-size", "2", "--batch-size", "16", "--seed", "3"]


@pytest.fixture
def tfvae_command(capsys):
    """Return a function that runs the command and gives its exit code, stdout and stderr."""

    def command(*words):
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


@pytest.fixture(scope="session")
def data_file(tmp_path_factory):
    """Fifty vectors of five values with classes; the split leaves 36 training, 4 validation and 10 test examples."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(50, 2))
    path = tmp_path_factory.mktemp("data") / "vectors.npz"
    np.savez(path, x=z @ rng.normal(size=(2, 5)) + 0.1 * rng.normal(size=(50, 5)), y=np.arange(50) % 3)
    return path


@pytest.fixture(scope="session")
def trained(tmp_path_factory, data_file):
    """Return the folder of a run of two epochs; tests must leave it as it is."""
    folder = tmp_path_factory.mktemp("runs") / "trained"
    assert main(["train", "--data", str(data_file), "--output", str(folder), "--epochs", "2", *TRAIN]) == 0
    return folder
