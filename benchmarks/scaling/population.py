"""A thousand functions with the shape of the Azure Functions trace of 2019.

Source of the figures: "Serverless in the Wild" (Shahrad et al., ATC'20). A function here is one of its
applications, which is what Azure starts and stops. Fixed by the paper, and held by a test:

- 45 % are called at most once an hour on average, 81 % at most once a minute, and the rest make 99.6 % of
  the calls. Rates are log-uniform between these points, as the paper's curve nearly is; the upper end is
  where the last figure comes out.
- Half run under 1 s on average, 96 % under 60 s: log-normal through both.
- Half take under 170 MB, 90 % under 400 MB: log-normal through both.
- Triggers by share of functions and of calls: HTTP 55 / 36 %, queue 15 / 34, event 2 / 25, timer 16 / 2, and
  12 / 3 for what the paper has beside them.

Ours, because the figures don't say: how calls of one function are spread over the day (arrivals). And what
a function may keep running at once on average is bounded by MOST_IN_FLIGHT: execution times are dealt so
that none is over it.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

FUNCTIONS = 1000
DAY_S = 86_400.0
HOURLY, EVERY_MINUTE = 24.0, 1440.0
"""Calls a day."""
RARE_SHARE, MIDDLE_SHARE, BUSY_CALLS_SHARE = 0.45, 0.36, 0.996
LEAST_CALLS = 1 / 14
"""One in the two weeks of the trace."""
MOST_IN_FLIGHT = 12.0
"""Four instances' worth at the default target."""


class Trigger(StrEnum):
    HTTP = "http"
    QUEUE = "queue"
    EVENT = "event"
    TIMER = "timer"
    OTHER = "other"


FUNCTION_SHARES = {
    Trigger.HTTP: 0.55,
    Trigger.QUEUE: 0.15,
    Trigger.EVENT: 0.02,
    Trigger.TIMER: 0.16,
    Trigger.OTHER: 0.12,
}
CALL_SHARES = {
    Trigger.HTTP: 0.36,
    Trigger.QUEUE: 0.34,
    Trigger.EVENT: 0.25,
    Trigger.TIMER: 0.02,
    Trigger.OTHER: 0.03,
}
PERIODS_S = (2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
"""What people give timers; once a day to every two seconds."""

_NORMAL = NormalDist()
EXECUTION_SIGMA = math.log(60) / _NORMAL.inv_cdf(0.96)
MEMORY_SIGMA = math.log(400 / 170) / _NORMAL.inv_cdf(0.90)


@dataclass(frozen=True, slots=True)
class SimulatedFunction:
    name: str
    trigger: Trigger
    calls_per_day: float
    execution_s: float
    """On average."""
    memory_mb: float


def population(seed: int, count: int = FUNCTIONS) -> list[SimulatedFunction]:
    """The same for the same seed. Shares hold to within one function."""
    rng = random.Random(f"population {seed}")
    rates = sorted(_rates(rng, count), reverse=True)
    triggers = _deal_triggers(rng, rates)
    rates = [_as_timer(r) if t is Trigger.TIMER else r for r, t in zip(rates, triggers, strict=True)]
    executions = _deal_executions(rng, rates)
    memories = [170 * math.exp(MEMORY_SIGMA * _NORMAL.inv_cdf(q)) for q in rng.sample(_strata(count), count)]
    return [
        SimulatedFunction(f"fn-{n:04}", trigger, rate, execution_s, memory_mb)
        for n, (trigger, rate, execution_s, memory_mb) in enumerate(
            zip(triggers, rates, executions, memories, strict=True)
        )
    ]


def _strata(count: int) -> list[float]:
    return [(n + 0.5) / count for n in range(count)]


def _rates(rng: random.Random, count: int) -> list[float]:
    """Log-uniform within each band, one function in each of as many equal steps."""
    rare, middle = round(RARE_SHARE * count), round(MIDDLE_SHARE * count)
    busy = count - rare - middle
    lower = [*_log_uniform(rng, LEAST_CALLS, HOURLY, rare), *_log_uniform(rng, HOURLY, EVERY_MINUTE, middle)]
    wanted = sum(lower) * BUSY_CALLS_SHARE / (1 - BUSY_CALLS_SHARE)
    return [*lower, *_log_uniform(rng, EVERY_MINUTE, _upper_end(EVERY_MINUTE, wanted / busy), busy)]


def _log_uniform(rng: random.Random, low: float, high: float, count: int) -> list[float]:
    steps = ((n + rng.random()) / count for n in range(count))
    return [low * (high / low) ** step for step in steps]


def _upper_end(low: float, mean: float) -> float:
    """Where a log-uniform distribution from `low` has to end to have this mean, by bisection."""
    below, above = low, low * 1e9
    while above / below > 1 + 1e-9:
        middle = math.sqrt(below * above)
        if (middle - low) / math.log(middle / low) < mean:
            below = middle
        else:
            above = middle
    return below


def _deal_triggers(rng: random.Random, rates: list[float]) -> list[Trigger]:
    """Busiest first, to the trigger that lacks most calls; the rest, who hardly count, at random."""
    left = {t: round(share * len(rates)) for t, share in FUNCTION_SHARES.items()}
    lacking = {t: share * sum(rates) for t, share in CALL_SHARES.items()}
    busy = sum(rate > EVERY_MINUTE for rate in rates)
    dealt = []
    for rate in rates[:busy]:
        trigger = max((t for t in Trigger if left[t]), key=lambda t: lacking[t])
        lacking[trigger] -= rate
        left[trigger] -= 1
        dealt.append(trigger)
    rest = [t for t, n in left.items() for _ in range(n)]
    rng.shuffle(rest)
    return dealt + rest


def _as_timer(rate: float) -> float:
    """The nearest rate that a timer would have, in the same band."""
    periods = [p for p in PERIODS_S if _band(DAY_S / p) == _band(rate)]
    period = min(periods, key=lambda p: abs(math.log(DAY_S / p / rate)))
    return DAY_S / period


def _band(rate: float) -> int:
    return (rate > HOURLY) + (rate > EVERY_MINUTE)


def _deal_executions(rng: random.Random, rates: list[float]) -> list[float]:
    """To the busiest first, any that it can have without too much in flight."""
    pool = sorted(math.exp(EXECUTION_SIGMA * _NORMAL.inv_cdf(q)) for q in _strata(len(rates)))
    dealt = []
    for rate in rates:
        longest = MOST_IN_FLIGHT * DAY_S / rate
        fitting = bisect_right(pool, longest)
        dealt.append(pool.pop(rng.randrange(max(1, fitting))))
    return dealt
