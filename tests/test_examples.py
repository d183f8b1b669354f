"""The examples run as they are and learn something."""

import runpy
from pathlib import Path

import numpy as np

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_keras_tutorial_vae_trains(capsys):
    vae, history = runpy.run_path(str(EXAMPLES / "keras_tutorial_vae.py"))["main"](epochs=3)
    losses = history.history["loss"]
    # An untrained decoder costs 64 ln 2 = 44.4 nats per image, and more for the KL.
    assert losses[-1] < 35.0 < losses[0]
    assert vae.predict(np.zeros([2, 8, 8, 1]), verbose=0).shape == (2, 8, 8, 1)
    assert "A picture drawn from the prior" in capsys.readouterr().out


def test_every_example_is_run_here():
    tests = Path(__file__).read_text(encoding="utf-8")
    assert all(path.name in tests for path in EXAMPLES.glob("*.py"))
