"""The pictures of a run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import tfvae
from tfvae import datasets, metrics, plots
from tfvae._files import write_file
from tfvae.cli._data import in_blocks
from tfvae.cli._measure import posterior_parameters

_SHOWN = 12
_SAMPLES = 100
_LATENT_EXAMPLES = 5000


def save(path: Path, figure: Figure) -> Path:
    """Write a figure as PNG."""
    write_file(path, lambda temporary: figure.savefig(temporary, format="png"))
    return path


def draw_all(
    folder: Path, vae: tfvae.VAE, data: datasets.Dataset, history: dict[str, list[float]], seed: int
) -> list[Path]:
    """Draw training, reconstructions, samples, latent space and KL, each by itself; return what was written."""
    shown = one_of_each(data.test, data.test_labels, _SHOWN)
    latent = data.test[:_LATENT_EXAMPLES]
    labels = None if data.test_labels is None else data.test_labels[:_LATENT_EXAMPLES]
    mean, log_var = posterior_parameters(vae, latent)
    drawings: dict[str, Callable[[], Figure]] = {
        "training_curves": lambda: plots.training_curves(history),
        "reconstructions": lambda: plots.reconstructions(shown, in_blocks(vae.reconstruct, shown), count=_SHOWN),
        "samples": lambda: plots.samples(np.asarray(vae.sample(_SAMPLES, seed=seed)), reference=data.test),
        "latent_space": lambda: plots.latent_space(mean, labels, data.class_names),
        "kl_per_dimension": lambda: plots.kl_per_dimension(metrics.kl_per_dimension(mean, log_var)),
    }
    return [file for name, draw in drawings.items() for file in draw_if_finite(folder / f"{name}.png", draw)]


def draw_if_finite(path: Path, draw: Callable[[], Figure]) -> list[Path]:
    """Draw and save a figure, or say why there is none, as of numbers that are not finite; return what was written."""
    try:
        return [save(path, draw())]
    except ValueError as error:
        path.unlink(missing_ok=True)  # That of other numbers.
        print(f"tfvae: warning: {path.name} is left out: {error}", file=sys.stderr)
        return []


def one_of_each(x: np.ndarray, labels: Sequence[int] | np.ndarray | None, count: int) -> np.ndarray:
    """Return the first example of every class, then further ones, up to ``count``; the first ones without classes."""
    if labels is None:
        return x[:count]
    _, firsts = np.unique(np.asarray(labels), return_index=True)
    others = np.setdiff1d(np.arange(len(x)), firsts)
    return x[np.concatenate([firsts, others])[:count]]
