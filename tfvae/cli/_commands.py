"""``tfvae evaluate``, ``sample``, ``reconstruct`` and ``export``: what can be done with a saved run."""

from __future__ import annotations

import contextlib
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import tfvae
from tfvae import datasets, plots
from tfvae._files import write_file
from tfvae.cli import _evidence, _measure, _pictures
from tfvae.cli._data import Examples, in_blocks, prepare_again
from tfvae.cli._errors import UsageError, as_usage_errors, one_line
from tfvae.cli._run_folder import Run, RunFolder, check_event_shape
from tfvae.datasets._load import read_examples

_SHOWN = 12


def evaluate(arguments: Namespace) -> int:
    """Measure a run on its test examples, or on others."""
    folder = RunFolder(arguments.run)
    run = folder.read_run()
    # What the evidence is saved in is one file for whoever computes it.
    with folder.held() if arguments.evidence else contextlib.nullcontext():
        return _evaluate(folder, run, arguments)


def _evaluate(folder: RunFolder, run: Run, arguments: Namespace) -> int:
    vae = folder.load_model()
    examples = _examples(arguments.data, run, folder, vae)
    measured = _measure.measure(vae, examples.x, arguments.num_samples, arguments.seed)
    if not arguments.json:
        print("\n".join(_measure.describe(measured, held_out=arguments.data is None)), flush=True)
    if arguments.evidence:
        measured["evidence"] = _decompose(folder, vae, examples, arguments)
    if arguments.json:
        print(_measure.as_json(measured))
    return 0


def _decompose(folder: RunFolder, vae: tfvae.VAE, examples: Examples, arguments: Namespace) -> dict[str, Any]:
    some = examples.some(_evidence.LARGEST)
    of = len(examples.x)
    _evidence.announce(len(some.x), of, sys.stderr if arguments.json else sys.stdout)
    report, files = _evidence.decompose(folder, vae, some, arguments.num_samples, arguments.seed)
    if not arguments.json:
        print("\n".join(_evidence.describe(report, of, "Take a larger --num-samples.")))
        print(f"Wrote {', '.join(file.name for file in files)} into {folder.path}.")
    return report


def sample(arguments: Namespace) -> int:
    """Draw from the prior and decode."""
    folder = RunFolder(arguments.run)
    folder.read_run()
    vae = folder.load_model()
    target = _target(arguments.output, folder)
    z = vae.prior().sample(arguments.number, seed=tf.constant([arguments.seed, 0], tf.int32))
    drawn = in_blocks(lambda some: vae.likelihood_family.mean(vae.likelihood(some)), np.asarray(z))
    picture = _pictures.save(target / "samples.png", plots.samples(drawn[:100]))
    print(f"Wrote {_save_array(target / 'samples.npy', drawn)} {drawn.shape} and {picture}.")
    return 0


def reconstruct(arguments: Namespace) -> int:
    """Pass data through the model."""
    folder = RunFolder(arguments.run)
    run, vae = folder.read_run(), folder.load_model()
    x = _examples(arguments.data, run, folder, vae).x
    target = _target(arguments.output, folder)
    reconstructed = in_blocks(vae.reconstruct, x)
    figure = plots.reconstructions(x[:_SHOWN], reconstructed[:_SHOWN], count=_SHOWN)
    picture = _pictures.save(target / "reconstructions.png", figure)
    array = _save_array(target / "reconstructions.npy", reconstructed)
    print(f"Wrote {array} {reconstructed.shape}, row by row those of the data, and {picture}.")
    return 0


def export(arguments: Namespace) -> int:
    """Write a SavedModel."""
    folder = RunFolder(arguments.run)
    folder.read_run()
    vae = folder.load_model()
    target = folder.saved_model if arguments.output is None else arguments.output
    try:
        vae.export(target, ops=arguments.ops)
    except (ValueError, RuntimeError) as error:
        raise UsageError(one_line(error)) from error
    print(f"Wrote {target}, with the signatures encode, decode, reconstruct, sample and score ({arguments.ops} ops).")
    return 0


def _examples(data: str | None, run: Run, folder: RunFolder, vae: tfvae.VAE) -> Examples:
    """The run's own test examples, or those of the source given; as the model expects them."""
    with as_usage_errors():
        if data is None:
            examples = prepare_again(run, run.settings, folder.path, "give others with --data").test()
            check_event_shape(examples.x, vae, run.settings.data)
        else:
            found, class_names = read_examples(data)
            check_event_shape(found.x, vae, data)
            x = datasets.binarise(found.x, data) if run.binarised else found.x
            examples = Examples(x, found.labels, class_names)
        vae.likelihood_family.check_support(examples.x)
    return examples


def _target(output: str | None, folder: RunFolder) -> Path:
    target = folder.path if output is None else Path(output)
    if target.exists() and not target.is_dir():
        raise UsageError(f"{target} is a file; --output takes the name of a folder. Choose another name.")
    target.mkdir(parents=True, exist_ok=True)
    return target


def _save_array(path: Path, array: np.ndarray) -> Path:
    write_file(path, lambda temporary: np.save(temporary, array))
    return path
