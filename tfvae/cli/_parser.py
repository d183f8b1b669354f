"""The command line: its words, defaults and help."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

import tfvae
from tfvae.cli import _commands, _info, _train
from tfvae.cli._errors import UsageError
from tfvae.cli._settings import LIKELIHOODS, Settings

_LARGEST = 2**31 - 1
_DATA = (
    "digits (bundled), mnist, fashion_mnist, cifar10, cifar100 (downloaded once), a .npy, .npz or .csv file, "
    "or a folder of images (sub-folders are classes, or train and test)"
)

_MAIN_EXAMPLES = """\
examples:
  tfvae train --data digits --output runs/digits      train on the bundled digits: a minute or so
  tfvae evaluate runs/digits                          ELBO and log p(x) on the test part
  tfvae sample runs/digits --number 100               new examples
  tfvae info                                          which backend is in use, and why
`tfvae COMMAND --help` tells more of each."""

_TRAIN_EXAMPLES = """\
The networks are small dense ones, or convolutions for images of at least 16 pixels a side. A tenth of the training part
is kept for validation; training stops when its ELBO (unweighted, in nats) has not risen for --patience epochs, and the
best weights are kept. Ctrl-C keeps the best weights so far; --resume goes on, bit for bit as if never interrupted.

examples:
  tfvae train --data digits --output runs/digits
  tfvae train --data measurements.csv --output runs/m --latent-size 3 --kl-warmup 20
  tfvae train --output runs/digits --resume           go on after an interruption
  tfvae train --output runs/digits --resume --epochs 400
                                                      the same, to a later last epoch"""

_EVALUATE_EXAMPLES = """\
With --evidence, log p(x) = ELBO + KL(q(z|x) || p(z|x)) is taken apart for up to 500 examples: how far the ELBO is below
log p(x), and how much of that is due to the encoder and how much to the family of q. This takes minutes; stopped, the
same command goes on where it was. In the folder of the run it writes evidence.json, evidence.npz (per example),
evidence.png and, where classes are known, evidence_by_class.png, in place of those of an earlier evaluation.

examples:
  tfvae evaluate runs/digits --num-samples 5000       a tighter estimate of log p(x)
  tfvae evaluate runs/digits --evidence               log p(x), ELBO and the gap between them
  tfvae evaluate runs/digits --data new.npy --json"""

_SAMPLE_EXAMPLES = """\
Writes samples.npy and samples.png: the mean of p(x|z) for z drawn from the prior.

example:
  tfvae sample runs/digits --number 1000 --seed 7 --output drawn"""

_RECONSTRUCT_EXAMPLES = """\
Writes reconstructions.npy and reconstructions.png: the mean of p(x|z) at the posterior mean of z.

example:
  tfvae reconstruct runs/digits --data new.npy --output reconstructed"""

_EXPORT_EXAMPLES = """\
With --ops stock (the default) the SavedModel loads where tfvae is not installed; with --ops native it keeps the
compiled op and loads after `import tfvae`.

example:
  tfvae export runs/digits --output served/1"""


def _integer_from(smallest: int, largest: int = _LARGEST) -> Callable[[str], int]:
    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = smallest - 1
        if not smallest <= value <= largest:
            raise argparse.ArgumentTypeError(f"expected an integer from {smallest} to {largest}, not {text!r}")
        return value

    return convert


def _folder(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("expected the name of a folder, not ''")
    return text


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line as any other mistake: one line."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}. See `{self.prog} --help`.")


def build() -> argparse.ArgumentParser:
    """Return the parser; the parsed arguments carry the command's function as ``function``."""
    parser = _Parser(
        prog="tfvae", description="Train and use variational autoencoders on TensorFlow.", epilog=_MAIN_EXAMPLES
    )
    parser.add_argument("--version", action="version", version=f"tfvae {tfvae.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)
    _add_train(commands)
    _add_evaluate(commands)
    _add_sample(commands)
    _add_reconstruct(commands)
    _add_export(commands)
    info = commands.add_parser("info", help="what is built, what is in use and why, versions")
    info.add_argument("--json", action="store_true", help="print JSON")
    info.set_defaults(function=_info.run)
    return parser


def _add_train(commands: Any) -> None:
    train = commands.add_parser("train", help="train a VAE on a data set", epilog=_TRAIN_EXAMPLES)
    train.add_argument("--data", metavar="SOURCE", default=argparse.SUPPRESS, help=_DATA)
    train.add_argument(
        "--output", type=_folder, metavar="FOLDER", required=True, help="where to write; must be new or empty"
    )
    train.add_argument("--resume", action="store_true", help="go on with the run in the --output folder")
    for option, kind, text in (
        ("--latent-size", int, "number of latent dimensions"),
        ("--epochs", int, "most epochs to train for"),
        ("--batch-size", int, "examples per step"),
        ("--learning-rate", float, "of the Adam optimizer"),
        ("--kl-warmup", int, "epochs over which the weight of the KL rises from 0 to 1"),
        ("--patience", int, "epochs without a better validation ELBO before stopping"),
        ("--seed", int, "of initial weights, noise and order of the data"),
    ):
        default = getattr(Settings, option[2:].replace("-", "_"))
        train.add_argument(
            option, type=kind, metavar="N", default=argparse.SUPPRESS, help=f"{text} (default: {default})"
        )
    train.add_argument(
        "--likelihood",
        choices=LIKELIHOODS,
        default=argparse.SUPPRESS,
        help="p(x|z): bernoulli for binary data (values in [0, 1] are binarised at 0.5), normal with learned "
        "scale for any other (default: auto, which is bernoulli where all values are 0 or 1, else normal)",
    )
    train.set_defaults(function=_train.run)


def _add_evaluate(commands: Any) -> None:
    evaluate = _add_run_command(commands, "evaluate", "ELBO, log p(x), rate and distortion on data", _EVALUATE_EXAMPLES)
    _add_data(evaluate)
    evaluate.add_argument(
        "--num-samples",
        type=_integer_from(1),
        metavar="N",
        default=1000,
        help="importance samples per example (default: 1000)",
    )
    _add_seed(evaluate)
    evaluate.add_argument("--evidence", action="store_true", help="take the gap between log p(x) and ELBO apart")
    evaluate.add_argument("--json", action="store_true", help="print JSON")
    evaluate.set_defaults(function=_commands.evaluate)


def _add_sample(commands: Any) -> None:
    sample = _add_run_command(commands, "sample", "new examples from the prior", _SAMPLE_EXAMPLES)
    sample.add_argument(
        "--number", type=_integer_from(1, 10**7), metavar="N", default=100, help="how many (default: 100)"
    )
    _add_seed(sample)
    _add_output(sample)
    sample.set_defaults(function=_commands.sample)


def _add_reconstruct(commands: Any) -> None:
    reconstruct = _add_run_command(commands, "reconstruct", "pass data through the model", _RECONSTRUCT_EXAMPLES)
    _add_data(reconstruct)
    _add_output(reconstruct)
    reconstruct.set_defaults(function=_commands.reconstruct)


def _add_export(commands: Any) -> None:
    export = _add_run_command(commands, "export", "write a SavedModel for TensorFlow and Serving", _EXPORT_EXAMPLES)
    export.add_argument("--ops", choices=("stock", "native"), default="stock", help="(default: stock)")
    export.add_argument(
        "--output",
        type=_folder,
        metavar="FOLDER",
        help="where to write: a new or empty folder, or an earlier export, which is replaced "
        "(default: saved_model in the run)",
    )
    export.set_defaults(function=_commands.export)


def _add_run_command(commands: Any, name: str, text: str, epilog: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, epilog=epilog)
    command.add_argument("run", metavar="RUN", help="the --output folder of a `tfvae train`")
    return command


def _add_data(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--data",
        metavar="SOURCE",
        help=f"other data: {_DATA}; of digits, the downloaded ones and a .npz file with x_test the test part is used, "
        "of anything else every example (default: the test part of the data trained on)",
    )


def _add_seed(command: argparse.ArgumentParser) -> None:
    command.add_argument("--seed", type=_integer_from(0), metavar="N", default=0, help="of the noise (default: 0)")


def _add_output(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--output", type=_folder, metavar="FOLDER", help="folder to write into (default: that of the run)"
    )
