"""The fixed split of a source that has no test part of its own."""

from __future__ import annotations

import numpy as np

from tfvae.datasets._examples import Examples

TEST_FRACTION = 0.2
_SEED = 0


def split(examples: Examples, name: str) -> tuple[Examples, Examples]:
    """Split off a fifth of the examples, always the same ones, as the test part."""
    count = len(examples.x)
    if count < 2:
        raise ValueError(
            f"{name} holds {count} example; at least 2 are needed to split off a test part. Give more examples."
        )
    order = permutation(count, _SEED)
    held_out = max(1, int(TEST_FRACTION * count))
    return _take(examples, np.sort(order[held_out:])), _take(examples, np.sort(order[:held_out]))


def permutation(count: int, seed: int) -> np.ndarray:
    """Return a random order of ``range(count)`` that no NumPy release changes: only the raw bit stream is promised."""
    return np.argsort(np.random.PCG64(seed).random_raw(count), kind="stable")


def _take(examples: Examples, rows: np.ndarray) -> Examples:
    return Examples(examples.x[rows], None if examples.labels is None else examples.labels[rows])
