"""Where instances go, by properties and over whole clusters in simulation."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether.domain.placement import Coming, Placement, Want, place, why_not
from aether.domain.worker import InstanceLoad, Worker

MIB = 1 << 20
GIB = 1 << 30
WANT = Want(128, "node")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def worker(name: str, gib: int = 64, **facts) -> Worker:
    """One of ours with nothing on it."""
    ours = {"free_mem": gib * GIB, "free_slots": gib * 16, "runtimes": ("node",)}
    return Worker(name, name, "10.0.0.1", 4, gib * GIB, "1", NOW, **(ours | facts))


def with_instances(record: Worker, count: int) -> Worker:
    """As that worker would tell of itself with so many on it."""
    return replace(
        record,
        instances={f"{record.id}-{n}": InstanceLoad("fn", 0, 0.0) for n in range(count)},
        free_mem=record.total_mem - count * 128 * MIB,
        free_slots=record.free_slots - count,
    )


def placed(*workers: Worker, seed: int = 0, want: Want = WANT, **known) -> str | None:
    placement = place(want, workers, Random(seed), **known)
    assert placement is not None
    return placement.worker_id


@dataclass
class Gateway:
    """It sees records as they were at its last `look`, and remembers what it placed since."""

    random: Random
    records: dict[str, Worker] = field(default_factory=dict)
    mine: Counter[str] = field(default_factory=Counter)
    holders: dict[str, set[str]] = field(default_factory=dict)

    def look(self, records: dict[str, Worker]) -> None:
        self.records = dict(records)
        self.mine.clear()

    def start(self, function: str) -> str:
        coming = {name: Coming(n, n * 128 * MIB) for name, n in self.mine.items()}
        holders = self.holders.setdefault(function, set())
        placement = place(WANT, list(self.records.values()), self.random, coming=coming, holders=holders)
        assert placement is not None
        assert placement.worker_id is not None
        self.mine[placement.worker_id] += 1
        holders.add(placement.worker_id)
        return placement.worker_id


def shares(workers: list[Worker], gateways: int, starts: list[str], look_every: int, seed: int) -> Counter:
    """What each worker has in the end, in percent, when gateways look only now and then."""
    them = [Gateway(Random(seed * 1000 + n)) for n in range(gateways)]
    got: Counter[str] = Counter()
    for number, function in enumerate(starts):
        if number % look_every == 0:
            for gateway in them:
                gateway.look({w.id: with_instances(w, got[w.id]) for w in workers})
        got[them[number % gateways].start(function)] += 1
    return Counter({name: count * 100 / len(starts) for name, count in got.items()})


def thirty_functions(seed: int, starts: int = 300) -> list[str]:
    random = Random(seed)
    return [f"fn-{random.randrange(30)}" for _ in range(starts)]


THREE = [worker("a"), worker("b"), worker("c")]


@pytest.mark.parametrize("look_every", [1, 20, 300])
@pytest.mark.parametrize("gateways", [1, 2, 5])
def test_of_three_equal_workers_none_gets_over_40_percent(gateways, look_every):
    for seed in range(3):
        got = shares(THREE, gateways, thirty_functions(seed), look_every, seed)
        assert max(got.values()) <= 40, (seed, got)
        assert len(got) == 3


@given(st.integers(0, 1 << 30), st.integers(1, 40), st.integers(1, 3))
def test_the_share_is_bounded_however_functions_and_looks_fall(seed, functions, gateways):
    random = Random(seed)
    starts = [f"fn-{int(random.paretovariate(1)) % functions}" for _ in range(300)]
    got = shares(THREE, gateways, starts, random.randint(1, 60), seed)
    assert max(got.values()) <= 42, got


def test_functions_stay_together_as_far_as_the_bound_lets_them():
    gateway = Gateway(Random(1))
    gateway.look({w.id: w for w in THREE})
    first = gateway.start("fn")
    others = Counter(gateway.start(f"other-{n}") for n in range(60))
    assert len(others) == 3
    assert gateway.start("fn") == first


def test_one_that_holds_the_code_is_passed_over_when_it_carries_more_than_the_bound():
    busy, free = with_instances(worker("busy"), 20), worker("free")
    assert {placed(busy, free, seed=s, holders={"busy"}) for s in range(50)} == {"free"}
    even = [with_instances(worker("even"), 20), with_instances(worker("other"), 20)]
    assert {placed(*even, seed=s, holders={"even"}) for s in range(50)} == {"even"}


def test_a_worker_of_twice_the_size_carries_twice_as_many():
    got = shares([worker("small", 32), worker("large", 64)], 1, thirty_functions(3), 1, 3)
    assert 60 <= got["large"] <= 73


@pytest.mark.parametrize(
    "facts",
    [
        {"draining": True},
        {"free_mem": 127 * MIB},
        {"free_slots": 0},
        {"short_of": 1},
        {"runtimes": ("python",)},
        {"max_instances": 1, "starting": {"fn": 1}},
        {"free_mem": 200 * MIB, "instance_overhead": 73 * MIB},
    ],
    ids=str,
)
@given(seed=st.integers())
def test_what_may_not_have_it_gets_none_whatever_it_holds(facts, seed):
    bad, good = worker("bad", **facts), with_instances(worker("good"), 500)
    assert placed(bad, good, seed=seed, holders={"bad"}) == "good"
    assert place(WANT, [bad], Random(seed)) is None
    assert why_not(bad, WANT)
    assert why_not(good, WANT) is None


def test_what_is_on_its_way_counts_as_there():
    nearly_full = worker("a", free_mem=300 * MIB)
    one = {"a": Coming(1, 128 * MIB)}
    assert placed(nearly_full, coming=one) == "a"
    assert place(WANT, [nearly_full], Random(0), coming={"a": Coming(2, 256 * MIB)}) is None
    slots = worker("a", free_slots=2)
    assert placed(slots, coming=one) == "a"
    assert place(WANT, [slots], Random(0), coming={"a": Coming(2)}) is None


def test_where_it_was_refused_it_is_not_placed_again():
    assert {placed(*THREE, seed=s, tried={"a", "b"}, holders={"a"}) for s in range(20)} == {"c"}
    assert place(WANT, THREE, Random(0), tried={"a", "b", "c"}) is None


def test_the_unreachable_get_none_while_others_are_there_and_all_when_none_is():
    assert {placed(*THREE, seed=s, unreachable={"a", "b"}) for s in range(20)} == {"c"}
    full = worker("c", free_slots=0)
    assert place(WANT, [*THREE[:2], full], Random(0), unreachable={"a", "b"}) is None
    everywhere = {placed(*THREE, seed=s, unreachable={"a", "b", "c"}) for s in range(50)}
    assert everywhere == {"a", "b", "c"}


def foreign(name: str = "foreign", **facts) -> Worker:
    """What the contract's bare record becomes: it tells nothing of its room."""
    return Worker(name, "host", "10.0.0.9", 4, 8 * GIB, "0.1", NOW, free_mem=0, free_slots=0, **facts)


def test_foreign_workers_are_asked_by_the_shared_queue_when_none_of_ours_has_room():
    assert {placed(worker("ours"), foreign(), seed=s) for s in range(20)} == {"ours"}
    assert place(WANT, [worker("ours", free_slots=0), foreign()], Random(0)) == Placement(None)
    assert place(WANT, [foreign()], Random(0)) == Placement(None)
    assert place(WANT, [foreign(draining=True)], Random(0)) is None


def test_nobody_is_there():
    assert place(WANT, [], Random(0)) is None


@given(st.data())
def test_whoever_is_chosen_could_have_it(data):
    sizes = st.integers(0, 400).map(lambda mib: mib * MIB)
    workers = [
        worker(
            f"w{n}",
            free_mem=data.draw(sizes),
            free_slots=data.draw(st.integers(0, 3)),
            draining=data.draw(st.booleans()),
            runtimes=data.draw(st.sampled_from([("node",), ("python",), ("node", "python")])),
        )
        for n in range(data.draw(st.integers(0, 5)))
    ]
    names = st.sets(st.sampled_from([f"w{n}" for n in range(5)]))
    tried, unreachable, holders = data.draw(names), data.draw(names), data.draw(names)
    coming = {w.id: Coming(data.draw(st.integers(0, 2)), data.draw(sizes)) for w in workers}
    placement = place(
        WANT,
        workers,
        Random(data.draw(st.integers())),
        coming=coming,
        holders=holders,
        tried=tried,
        unreachable=unreachable,
    )
    there = [w for w in workers if w.id not in unreachable] or workers
    could = {w.id for w in there if w.id not in tried and why_not(w, WANT, coming[w.id]) is None}
    assert (placement is None) == (not could)
    assert placement is None or placement.worker_id in could
