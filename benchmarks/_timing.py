"""Time rival calls against each other, in interleaved rounds."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Call = Callable[[], object]
Name = TypeVar("Name", bound=Hashable)

_SAMPLE_SECONDS = 0.002
_WARM_UP_SECONDS = 0.05
_WARM_UP_CALLS = 3
_MAX_ROUNDS = 201


@dataclass(frozen=True)
class Effort:
    """How much to measure: rounds that fill about ``seconds`` per group of rivals, but never fewer than ``rounds``.

    ``chain`` is the number of ops in a call from which the time of one is found.
    """

    seconds: float
    rounds: int
    chain: int = 16


FULL = Effort(seconds=3.0, rounds=7)
QUICK = Effort(seconds=0.02, rounds=3, chain=2)


@dataclass(frozen=True)
class Timing:
    """Seconds: median and quartiles of ``samples`` samples."""

    median: float
    lower: float
    upper: float
    samples: int


def measure(calls: Mapping[Name, Call], effort: Effort) -> dict[Name, list[float]]:
    """Return the seconds per call of every round, after a warm-up; each round runs every call.

    A change in the machine's speed during the measurement so hits all alike. A sample repeats a short call until it
    takes 2 ms, after one untimed call that brings its data back into the cache; each round starts with another rival.
    """
    counts, round_seconds = {}, 0.0
    for name, call in calls.items():
        seconds = _warm_up(call)
        counts[name] = max(1, math.ceil(_SAMPLE_SECONDS / seconds))
        round_seconds += counts[name] * seconds
    rounds = min(_MAX_ROUNDS, max(effort.rounds, int(effort.seconds / max(round_seconds, 1e-9))))
    samples: dict[Name, list[float]] = {name: [] for name in calls}
    names = list(calls)
    collecting = gc.isenabled()
    gc.disable()
    try:
        for number in range(rounds):
            start = number % max(1, len(names))
            for name in names[start:] + names[:start]:
                samples[name].append(_sample(calls[name], counts[name]))
    finally:
        if collecting:
            gc.enable()
    return samples


def summarize(samples: Sequence[float]) -> Timing:
    """Return the median and the quartiles of ``samples``, two or more."""
    lower, _, upper = statistics.quantiles(samples, n=4, method="inclusive")
    return Timing(statistics.median(samples), lower, upper, len(samples))


def _warm_up(call: Call) -> float:
    """Call a few times and return the shortest time of one call after the first, which may compile."""
    call()
    shortest, spent, calls = math.inf, 0.0, 0
    while calls == 0 or (calls < _WARM_UP_CALLS and spent < _WARM_UP_SECONDS):
        seconds = _sample(call, 1)
        shortest, spent, calls = min(shortest, seconds), spent + seconds, calls + 1
    return max(shortest, 1e-9)


def _sample(call: Call, count: int) -> float:
    if count > 1:
        call()
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count
