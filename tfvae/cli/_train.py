"""``tfvae train``."""

from __future__ import annotations

import dataclasses
import os
import shlex
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import tfvae
from tfvae import datasets
from tfvae._files import write_file, write_text
from tfvae.cli import _evidence, _measure, _networks, _pictures
from tfvae.cli._data import Parts, prepare, prepare_again
from tfvae.cli._errors import UsageError, as_usage_errors
from tfvae.cli._run_folder import Run, RunFolder
from tfvae.cli._settings import Settings
from tfvae.cli._training import Session
from tfvae.models._export import checked_target

# Decoded in all: a second or so for small networks.
_IMPORTANCE_DECODES = 400_000
_INTERRUPTED = 130


def run(arguments: Namespace) -> int:
    """Train, or go on training, and write everything into the folder."""
    given = vars(arguments)
    options = {field.name: given[field.name] for field in dataclasses.fields(Settings) if field.name in given}
    folder = RunFolder(arguments.output)
    if not arguments.resume:
        session = _begun(folder, options)
        with folder.held():
            return _finish(session)
    run = folder.read_run()
    with folder.held():
        return _finish(_resumed(folder, run, options))


def _finish(session: Session) -> int:
    """Train to the end, and write the results."""
    folder = session.folder
    try:
        session.fit()
    except KeyboardInterrupt:
        return _keep_best(session)
    session.take_best_weights()
    try:
        _write_results(session)
    except KeyboardInterrupt:
        print(
            "\nInterrupted while the results were written: some may be those of an earlier end of the run, or missing. "
            f"Go on with: {folder.resume_command}",
            flush=True,
        )
        return _INTERRUPTED
    return 0


def _begun(folder: RunFolder, options: dict[str, Any]) -> Session:
    if "data" not in options:
        raise UsageError("--data is missing: the name of a data set or a path. Only --resume goes without.")
    folder.check_is_new()
    with as_usage_errors():
        # What is not there is called in the message as it was typed.
        data = _lasting(options["data"]) if os.path.exists(options["data"]) else options["data"]
        settings = Settings(**{**options, "data": data})
        parts = prepare(settings.data, settings.likelihood)
    session = _session(parts, settings, folder)
    folder.begin(Run(settings, parts.likelihood, parts.binarised, parts.digest()))
    return session


def _resumed(folder: RunFolder, run: Run, options: dict[str, Any]) -> Session:
    changes = {"epochs": options.get("epochs", run.settings.epochs)}
    if "data" in options:  # Moved: prepare_again refuses others.
        changes["data"] = _lasting(options["data"])
    for name, value in options.items():
        before = getattr(run.settings, name)
        if name not in changes and value != before:
            option = "--" + name.replace("_", "-")
            raise UsageError(
                f"{option} is {value} and the run in {folder.path} was begun with {before}. Leave {option} out to go "
                "on with the run, or begin another in another folder."
            )
    with as_usage_errors():
        settings = dataclasses.replace(run.settings, **changes)
        parts = prepare_again(run, settings, folder.path, "begin another run in another folder")
    checked_target(folder.saved_model)  # What could not be replaced at the end.
    session = _session(parts, settings, folder)
    session.restore()
    # So that the next --resume finds the data, and goes on as far.
    lasting = dataclasses.replace(settings, epochs=max(settings.epochs, run.settings.epochs))
    if lasting != run.settings:
        folder.write_run(dataclasses.replace(run, settings=lasting))
    print(_how_it_goes_on(session))
    return session


def _how_it_goes_on(session: Session) -> str:
    finished, settings, path = session.progress.epoch, session.settings, session.folder.path
    if not session.ended:
        return f"Going on after epoch {finished} of the run in {path}."
    if finished >= settings.epochs:
        return (
            f"The run in {path} already has {finished} epochs, and --epochs is {settings.epochs}: nothing is left to "
            "train. Give a larger --epochs to go on."
        )
    return (
        f"The run in {path} ended after epoch {finished}, when its validation ELBO had not risen for "
        f"{settings.patience} epochs (--patience): nothing is left to train."
    )


def _session(parts: Parts, settings: Settings, folder: RunFolder) -> Session:
    family = parts.family()
    vae = _networks.build(parts.train, family, settings.latent_size, settings.seed)
    shape = " x ".join(map(str, parts.data.event_shape))
    note = ", the values binarised at 0.5 (--likelihood normal keeps them as they are)" if parts.binarised else ""
    counts = f"{len(parts.train)} training, {len(parts.validation)} validation and {len(parts.data.test)} test"
    print(f"{parts.data.name}: {counts} examples of {shape}.\nLikelihood: {type(family).__name__}{note}.")
    return Session(vae, parts, settings, folder)


def _lasting(data: str) -> str:
    """A path that still holds from another working folder; names stay."""
    return data if data in datasets.NAMES or not data else os.path.abspath(data)


def _keep_best(session: Session) -> int:
    """After Ctrl-C: go back to the last whole epoch, and write its best weights."""
    folder = session.folder
    session.restore()
    progress = session.progress
    if not progress.best_epoch:
        print(f"\nInterrupted before there were weights to keep. Go on with: {folder.resume_command}", flush=True)
        return _INTERRUPTED
    session.take_best_weights()
    write_file(folder.model, session.vae.save)
    earlier = " Its other results are those of an earlier end." if folder.metrics.exists() else ""
    print(
        f"\nInterrupted after epoch {progress.epoch} of {session.settings.epochs}. The best weights so far "
        f"(epoch {progress.best_epoch}, validation ELBO {progress.best_elbo:.3f}) are in {folder.model}.{earlier}\n"
        f"Go on with: {folder.resume_command}",
        flush=True,
    )
    return _INTERRUPTED


def _write_results(session: Session) -> None:
    folder, progress, parts = session.folder, session.progress, session.parts
    epochs = f"{progress.epoch} epoch{'' if progress.epoch == 1 else 's'}"
    print(
        f"Trained for {epochs} in {progress.seconds:.0f} s; keeping the weights of epoch {progress.best_epoch}, "
        f"validation ELBO {progress.best_elbo:.3f}. Writing the results ...",
        flush=True,
    )
    write_file(folder.model, session.vae.save)
    test = parts.data.test
    num_samples = min(1000, max(50, _IMPORTANCE_DECODES // len(test)))
    measured = _measure.measure(session.vae, test, num_samples, session.settings.seed)
    report = {
        **measured,
        "data": session.settings.data,
        "binarised": parts.binarised,
        "epochs": progress.epoch,
        "best_epoch": progress.best_epoch,
        "seconds": round(progress.seconds, 3),
        "backend": tfvae.build_info()["backend"],
        "tfvae": tfvae.__version__,
    }
    write_text(folder.metrics, _measure.as_json(report) + "\n")
    session.vae.export(folder.saved_model)
    pictures = _pictures.draw_all(folder.path, session.vae, parts.data, progress.history, session.settings.seed)
    print("\n".join(_measure.describe(measured, held_out=True)), flush=True)
    pictures += _decompose(session)
    print(_epilogue(folder, [picture.name for picture in pictures]))


def _decompose(session: Session) -> list[Path]:
    """Take the evidence of some test examples apart, and return the pictures."""
    folder, test = session.folder, session.parts.test()
    quick = _evidence.Request(_evidence.quick_count(test.x), _evidence.QUICK_SAMPLES, session.settings.seed)
    asked = _evidence.longer_request(folder, session.vae, test, quick)
    some = test.some(asked.examples)
    _evidence.announce(len(some.x), len(test.x), sys.stdout)
    report, files = _evidence.decompose(folder, session.vae, some, asked.num_samples, asked.seed)
    more = f"More draws: tfvae evaluate {shlex.quote(str(folder.path))} --evidence"
    print("\n".join(_evidence.describe(report, len(test.x), more)))
    return [file for file in files if file.suffix == ".png"]


def _epilogue(folder: RunFolder, pictures: list[str]) -> str:
    path, word = folder.path, shlex.quote(str(folder.path))
    return f"""\
Wrote into {path}:
  model.keras           the model: import tfvae, keras; keras.models.load_model({str(folder.model)!r})
  saved_model/          the same for TensorFlow without tfvae: encode, decode, reconstruct, sample, score
  metrics.json          ELBO, log p(x), rate, distortion and active units, as above
  evidence.json         log p(x), ELBO and the gap between them, as above; evidence.npz: of each of those examples
  history.csv           ELBO, reconstruction and KL of every epoch
  {", ".join(pictures)}
  run.json, checkpoint.npz    what --resume needs
What to do next:
  look at {path / "reconstructions.png"} and {path / "samples.png"}
  tfvae sample {word} --number 100         new examples from the prior
  tfvae reconstruct {word} --data FILE     pass your own data through the model
  tfvae evaluate {word}                    the numbers again, with more --num-samples or other --data
  tfvae evaluate {word} --evidence         log p(x), ELBO and gap of more examples, by more draws"""
