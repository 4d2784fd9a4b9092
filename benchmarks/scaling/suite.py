"""Each policy over the same days: one population and one day of it per seed."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields

from aether.domain.keep_alive import FIXED_KEEP_S, SEED_KEEP_S, FixedTime, HybridHistogram, Learned, Policy
from benchmarks.report import percentile
from benchmarks.scaling.arrivals import Calls, calls
from benchmarks.scaling.population import DAY_S, population
from benchmarks.scaling.replay import Outcome, Replay

RUNS = 3
"""Seeds 1, 2 and 3: as many days, of as many populations."""
START_S = 0.5
"""From the order of an instance to its first request."""
REVIEW_EVERY_S = 300.0
ROOMY = 1.45
"""Times what the seed's rule would spend while idle, at most: an hour has to save a cold start even then."""

POLICIES: Mapping[str, Callable[[], Policy]] = {
    "seed": lambda: FixedTime(SEED_KEEP_S),
    "fixed": lambda: FixedTime(FIXED_KEEP_S),
    "histogram": HybridHistogram,
    "ours": Learned,
    "ours_roomy": lambda: Learned(spends=ROOMY),
}
"""The last is ours with more to spend than the seed's rule: another point of the same trade."""


@dataclass(frozen=True, slots=True)
class Figures:
    cold_share: float
    """Calls that waited for an instance, of all that were replayed."""
    instance_seconds: float
    wait_p99_ms: float
    wait_mean_ms: float
    cold_share_p75: float
    """Three in four functions have no greater share than this."""
    starts: float
    calls: float


def measure(runs: int) -> dict[str, float]:
    """Averages over the seeds, and the first three of each seed beside them."""
    seeds = range(1, runs + 1)
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        by_seed = dict(zip(seeds, pool.map(measure_day, seeds), strict=True))
    _print_table(by_seed)
    metrics = {
        f"{field.name}_{policy}": sum(getattr(f[policy], field.name) for f in by_seed.values()) / runs
        for field in fields(Figures)
        for policy in POLICIES
    }
    for seed, figures in by_seed.items():
        for field in fields(Figures)[:3]:
            metrics |= {
                f"seed_{seed}_{field.name}_{policy}": getattr(f, field.name) for policy, f in figures.items()
            }
    return metrics


def _print_table(by_seed: Mapping[int, Mapping[str, Figures]]) -> None:
    titles = ("cold share", "instance-seconds", "wait p99", "mean wait", "cold p75", "starts")
    print("\npolicy      seed  " + "".join(f"{title:>18}" for title in titles))
    for policy in POLICIES:
        for seed, figures in by_seed.items():
            f = figures[policy]
            cells = (
                f"{f.cold_share:.3%}",
                f"{f.instance_seconds / 1e6:.2f} million",
                f"{f.wait_p99_ms:.0f} ms",
                f"{f.wait_mean_ms:.2f} ms",
                f"{f.cold_share_p75:.1%}",
                f"{f.starts:.0f}",
            )
            print(f"{policy:<11} {seed:4}  " + "".join(f"{cell:>18}" for cell in cells))


def measure_day(seed: int) -> dict[str, Figures]:
    """By policy; tells of each when it is done."""
    day = {f.name: calls(f, seed) for f in population(seed)}
    figures = {}
    for name, make in POLICIES.items():
        figures[name] = of_one = summed_up(replay(make(), day))
        print(
            f"seed {seed} {name:<10} of {of_one.calls:8.0f} calls {of_one.cold_share:8.4%} cold, "
            f"{of_one.instance_seconds / 1e6:6.2f} million instance-seconds, {of_one.starts:6.0f} starts",
            flush=True,
        )
    return figures


def replay(policy: Policy, day: Mapping[str, Calls], start_s: float = START_S) -> list[Outcome]:
    """Of each function, side by side in simulated time: a policy may weigh one against another."""
    replays = [Replay(name, of_one, policy, start_s) for name, of_one in day.items()]
    now_s = 0.0
    while now_s < DAY_S:
        now_s += REVIEW_EVERY_S
        for one in replays:
            one.advance(now_s)
        policy.review(now_s)
    return [one.finish(DAY_S) for one in replays]


def summed_up(outcomes: list[Outcome]) -> Figures:
    called = [o for o in outcomes if o.calls]
    total = sum(o.calls for o in called)
    waits_ms = array("d", (wait_s * 1000 for o in called for wait_s in o.waits_s))
    return Figures(
        cold_share=len(waits_ms) / total,
        instance_seconds=sum(o.instance_s for o in called),
        wait_p99_ms=_percentile_with_zeros(waits_ms, total, 99),
        wait_mean_ms=sum(waits_ms) / total,
        cold_share_p75=percentile([len(o.waits_s) / o.calls for o in called], 75),
        starts=sum(o.starts for o in called),
        calls=total,
    )


def _percentile_with_zeros(waits: array[float], total: int, percent: float) -> float:
    """Of `total` waits, of which those that are not given took no time."""
    rank = int(total * percent / 100)
    return sorted(waits)[rank - (total - len(waits))] if rank >= total - len(waits) else 0.0
