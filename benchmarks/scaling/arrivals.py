"""When a function's calls come, and how long each runs.

The figures of the trace don't say how calls are spread; the paper shows that few functions are regular, few
are Poisson, and most are more irregular than that. So, by trigger:

- timers: half of them strictly every period; half two timers of the same period, a random time apart, which
  is what an application with several has (the paper finds half of those with only timers regular);
- one in ten of the others is regular all the same (sensors, polling), each interval 5 % off;
- of the rest, three in four come in bursts: sessions of 5 to 50 calls on average, 0.3 to 20 s apart, that
  begin at random;
- what remains is Poisson with a daily rhythm, whose amplitude and peak are the function's own.

Bursts follow the daily rhythm too. Replayed are at most REPLAYED_CALLS a day of each function: at their true
rates the busiest would make more than nine in ten of the calls, and a day in pure Python would take an
hour. They have an instance on in any case; capped, they are harder on every policy, not easier.
"""

from __future__ import annotations

import math
import random
from array import array
from dataclasses import dataclass

from benchmarks.scaling.population import DAY_S, SimulatedFunction, Trigger

REPLAYED_CALLS = 7200.0
"""Five a minute."""
REGULAR_SHARE = 0.10
BURSTY_SHARE = 0.75
EXECUTION_SPREAD = 0.4
"""Of the logarithm of one call's time around the function's usual."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Of one function over a day; both arrays have the same length."""

    at_s: array[float]
    """Ascending, from 0 to a day."""
    execution_s: array[float]


def calls(function: SimulatedFunction, seed: int) -> Calls:
    """The same for the same function and seed."""
    rng = random.Random(f"calls {seed} {function.name}")
    per_day = min(function.calls_per_day, REPLAYED_CALLS)
    at_s = array("d", sorted(t for t in _times(rng, function.trigger, per_day) if 0 <= t < DAY_S))
    usual_s = function.execution_s * math.exp(-(EXECUTION_SPREAD**2) / 2)
    execution_s = array("d", (usual_s * rng.lognormvariate(0, EXECUTION_SPREAD) for _ in at_s))
    return Calls(at_s, execution_s)


def _times(rng: random.Random, trigger: Trigger, per_day: float) -> list[float]:
    if trigger is Trigger.TIMER:
        return _timers(rng, per_day)
    kind = rng.random()
    if kind < REGULAR_SHARE:
        return _regular(rng, DAY_S / per_day)
    day = _Day(rng)
    if kind < REGULAR_SHARE + (1 - REGULAR_SHARE) * BURSTY_SHARE:
        return _bursts(rng, day, per_day)
    return day.poisson(rng, per_day)


def _timers(rng: random.Random, per_day: float) -> list[float]:
    count = rng.choice((1, 2))
    period_s = DAY_S / per_day * count
    return [t for _ in range(count) for t in _every(rng.random() * period_s, period_s)]


def _every(first_s: float, period_s: float) -> list[float]:
    return [first_s + n * period_s for n in range(math.ceil((DAY_S - first_s) / period_s))]


def _regular(rng: random.Random, interval_s: float) -> list[float]:
    times, now_s = [], rng.random() * interval_s
    while now_s < DAY_S:
        times.append(now_s)
        now_s += interval_s * max(0.1, rng.gauss(1, 0.05))
    return times


def _bursts(rng: random.Random, day: _Day, per_day: float) -> list[float]:
    size = 5 * 10 ** rng.random()
    apart_s = 0.3 * (20 / 0.3) ** rng.random()
    times = []
    for begin_s in day.poisson(rng, per_day / size):
        now_s = begin_s
        for _ in range(1 + int(rng.expovariate(1 / (size - 0.5)))):
            times.append(now_s)
            now_s += rng.expovariate(1 / apart_s)
    return times


class _Day:
    """A rate over the day: a cosine around its mean."""

    def __init__(self, rng: random.Random) -> None:
        self._depth = rng.uniform(0.2, 0.95)
        self._peak_s = rng.gauss(14, 3) * 3600

    def poisson(self, rng: random.Random, per_day: float) -> list[float]:
        """By thinning a process at the highest rate."""
        highest = per_day / DAY_S * (1 + self._depth)
        times, now_s = [], rng.expovariate(highest)
        while now_s < DAY_S:
            wave = 1 + self._depth * math.cos(2 * math.pi * (now_s - self._peak_s) / DAY_S)
            if rng.random() * (1 + self._depth) < wave:
                times.append(now_s)
            now_s += rng.expovariate(highest)
        return times
