"""All requests of a scenario, and the sums over them.

An answer that broke off is lost, unless the scenario has a cause for such (code `cut_short`): the running
requests of an instance that it breaks itself in the middle of an answer. They count as platform errors,
and the platform has to have recorded why: see `Stage.recorded`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tests.faults.load.judge import CUT, Judged, Verdict
from tests.faults.load.request import LoadRequest

MOST_REASONS = 12


@dataclass(frozen=True, slots=True)
class Cause:
    """Errors that a scenario brings about: which, how many at most, of requests on the way when."""

    code: str
    at_most: int
    since_s: float = float("-inf")
    until_s: float = float("inf")
    says: str = ""
    """What the message has to match, anywhere."""
    function: str = ""
    """Empty for any."""
    phase: str = "during"
    """Empty for any."""

    def explains(self, judged: Judged) -> bool:
        return (
            judged.code == self.code
            and self.function in {"", judged.request.function}
            and self.phase in {"", judged.phase}
            and judged.seen.sent_s <= self.until_s
            and judged.seen.ended_s >= self.since_s
            and re.search(self.says, judged.reason) is not None
        )


@dataclass(frozen=True, slots=True)
class Kill:
    """The scenario itself killed a process: asked for at the first moment, and gone by the second."""

    since_s: float
    until_s: float

    def explains(self, judged: Judged) -> bool:
        """It ran then, and failed as what the process held does: its host told so, or nobody could."""
        failed = judged.verdict is Verdict.LOST or judged.code == "instance_failed"
        return failed and judged.seen.sent_s <= self.until_s and judged.seen.ended_s >= self.since_s


@dataclass(frozen=True, slots=True)
class Sums:
    """`sent` is always `answered + platform_errors + lost`; those that a kill `cut` are counted apart.

    A wrong answer is one lost and one wrong; an answered request that reached a function twice is one wrong.
    """

    sent: int
    answered: int
    platform_errors: int
    lost: int
    wrong: int
    cut: int
    refused: int
    p99_before_ms: float | None
    p99_during_ms: float | None
    errors: Mapping[str, int]
    reasons: Mapping[str, int]
    """Why requests were lost or wrong."""


class Ledger:
    """`causes`, `kills` and `away` may grow while requests run: they are looked at in the end."""

    def __init__(self) -> None:
        self.causes: list[Cause] = []
        self.kills: list[Kill] = []
        self.away: list[tuple[float, float]] = []
        """When no platform was there to connect to: what found none then was never sent."""
        self.timed = ""
        """The function whose times count; empty for all."""
        self.all: list[Judged] = []
        self.left: list[LoadRequest] = []
        """Of clients that didn't wait for their answers: a function may have got them, once."""
        self._wrong: Counter[str] = Counter()

    def add(self, judged: Judged) -> None:
        self.all.append(judged)

    def answered(self, phase: str = "") -> list[Judged]:
        return [j for j in self.all if j.verdict is Verdict.ANSWERED and phase in {"", j.phase}]

    def wrong(self, reason: str, count: int = 1) -> None:
        """Something that no single answer shows."""
        self._wrong[reason] += count

    def compare(self, received: Iterable[str], *, all_of_them: bool = True) -> None:
        """With the tokens that functions received, in whatever order; some may be missing otherwise."""
        counts = Counter(received)
        answered = {judged.request.token for judged in self.answered()}
        for request in (*(judged.request for judged in self.all), *self.left):
            times = counts.pop(request.token, 0)
            if times > 1 and not request.idempotent:
                self.wrong(f"a {request.method} reached functions more than once", times - 1)
            if not times and all_of_them and request.token in answered:
                self.wrong("an answer that no function gave")
        if counts:
            self.wrong("functions received what was never sent", len(counts))

    def sums(self) -> Sums:
        sent = [j for j in self.all if not self._never_sent(j)]
        cut = self._cut(sent)
        settled = list(self._with_causes(j for j in sent if id(j) not in cut))
        verdicts = Counter(j.verdict for j in settled)
        reasons = Counter(f"{j.verdict}: {j.reason}" for j in settled if j.reason and not _explained(j))
        reasons += Counter({f"wrong: {reason}": n for reason, n in self._wrong.items()})
        return Sums(
            sent=len(settled),
            answered=verdicts[Verdict.ANSWERED],
            platform_errors=verdicts[Verdict.PLATFORM_ERROR],
            lost=verdicts[Verdict.LOST] + verdicts[Verdict.WRONG],
            wrong=verdicts[Verdict.WRONG] + self._wrong.total(),
            cut=len(cut),
            refused=len(self.all) - len(sent),
            p99_before_ms=self._p99("before"),
            p99_during_ms=self._p99("during"),
            errors=dict(Counter(j.code for j in settled if _explained(j))),
            reasons=dict(_shortened(reasons)),
        )

    def _p99(self, phase: str) -> float | None:
        timed = [j for j in self.answered(phase) if self.timed in {"", j.request.function}]
        return percentile(timed, 0.99)

    def _cut(self, sent: list[Judged]) -> set[int]:
        """Which of them a kill explains, by identity."""
        return {id(judged) for judged in sent for kill in self.kills if kill.explains(judged)}

    def _with_causes(self, sent: Iterable[Judged]) -> Iterable[Judged]:
        """A platform error that nothing explains is a lost request."""
        left = {id(cause): cause.at_most for cause in self.causes}
        for judged in sent:
            if judged.verdict is not Verdict.PLATFORM_ERROR and judged.code != CUT:
                yield judged
                continue
            cause = next((c for c in self.causes if left[id(c)] > 0 and c.explains(judged)), None)
            if cause is None:
                why = f"{judged.code} without a cause: {judged.reason}"
                yield replace(judged, verdict=Verdict.LOST, reason=why)
            else:
                left[id(cause)] -= 1
                yield replace(judged, verdict=Verdict.PLATFORM_ERROR)

    def _never_sent(self, judged: Judged) -> bool:
        seen = judged.seen
        return seen.refused and any(since <= seen.ended_s <= until for since, until in self.away)


def percentile(judged: list[Judged], share: float) -> float | None:
    """Milliseconds, by the nearest rank; None of nothing."""
    times = sorted(j.took_ms for j in judged)
    return round(times[math.ceil(share * len(times)) - 1], 1) if times else None


def _explained(judged: Judged) -> bool:
    return judged.verdict is Verdict.PLATFORM_ERROR


def _shortened(reasons: Counter[str]) -> Iterable[tuple[str, int]]:
    """The most common ones, ids and numbers left out so that like ones add up."""
    alike: Counter[str] = Counter()
    for reason, count in reasons.items():
        alike[re.sub(r"\b(inst|fn|wrk|call|req)-[\w-]+|\d[\d.]*", "#", reason)[:200]] += count
    return alike.most_common(MOST_REASONS)
