"""The examples run as they are and learn something."""

import runpy
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_keras_tutorial_vae_trains(capsys):
    vae, history = runpy.run_path(str(EXAMPLES / "keras_tutorial_vae.py"))["main"](epochs=3)
    losses = history.history["loss"]
    # An untrained decoder costs 64 ln 2 = 44.4 nats per image, and more for the KL.
    assert losses[-1] < 35.0 < losses[0]
    assert vae.predict(np.zeros([2, 8, 8, 1]), verbose=0).shape == (2, 8, 8, 1)
    assert "A picture drawn from the prior" in capsys.readouterr().out


def test_conditional_vae_draws_the_digits_asked_for(capsys):
    _, history = runpy.run_path(str(EXAMPLES / "conditional_vae.py"))["main"](epochs=20)
    losses = history.history["loss"]
    # An untrained decoder costs 64 ln 2 = 44.4 nats per image, and more for the KL.
    assert losses[-1] < 20.0 < losses[0]
    drawn = capsys.readouterr().out.split("z drawn from p(z|y):\n")[1].splitlines()
    inks = np.array([[[" .:#".index(ink) for ink in row[i : i + 8]] for row in drawn] for i in range(0, 100, 10)])
    digits = load_digits()
    images = digits.images > 7
    of_class = np.stack([images[digits.target == label].mean(0) for label in range(10)])
    distances = np.sum((inks[:, np.newaxis] / 3 - of_class) ** 2, axis=(2, 3))
    # A single draw may look like another digit, most do not; of ten that are drawn blindly one is right, and six hardly
    # ever (1 in 7000).
    assert np.sum(np.argmin(distances, axis=1) == np.arange(10)) >= 6


def test_every_example_is_run_here():
    tests = Path(__file__).read_text(encoding="utf-8")
    assert all(path.name in tests for path in EXAMPLES.glob("*.py"))
