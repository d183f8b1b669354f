"""The entry point: parse, run, and show mistakes as one line."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tfvae.cli._errors import UsageError, one_line
from tfvae.cli._parser import build

MISTAKE = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command ``tfvae``.

    Args:
        arguments: the words after ``tfvae``; those of the process if None.

    Returns:
        The exit code: 0; 2 for something the user can mend, told in one line on stderr; 130 after Ctrl-C.
    """
    try:
        parsed = build().parse_args(arguments)
        code: int = parsed.function(parsed)
        return code
    except UsageError as error:
        return _complain(one_line(error, limit=2000))
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        return _complain(f"{error.strerror or one_line(error)}{where}. Check the path, its permissions and free space.")
    except KeyboardInterrupt:
        print("\ntfvae: interrupted", file=sys.stderr)
        return INTERRUPTED


def _complain(message: str) -> int:
    print(f"tfvae: error: {message}", file=sys.stderr)
    return MISTAKE
