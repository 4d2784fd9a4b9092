"""`Server-Timing` read, and drawn."""

import pytest

from aether.cli.timing import WIDTH, server_timing, summary, waterfall


@pytest.mark.parametrize(
    ("values", "phases"),
    [
        (["queue;dur=0.1, boot;dur=812, fn;dur=1.2"], [("queue", 0.1), ("boot", 812.0), ("fn", 1.2)]),
        (["a;dur=1", "b;desc=x;dur=2"], [("a", 1.0), ("b", 2.0)]),
        (['a;DUR="3.5"', "miss, hit;desc=none"], [("a", 3.5)]),
        (["", ",;,", "a;dur=", "a b;dur=1", "a;dur=-1"], []),
        ([], []),
    ],
)
def test_durations_are_read_in_order(values, phases):
    assert server_timing(values) == phases


def test_each_bar_begins_where_the_one_before_ended():
    lines = list(waterfall([("a", 25.0), ("bc", 75.0)], encoding="ascii"))
    assert lines[0] == "a        25.0 ms  " + "#" * (WIDTH // 4)
    assert lines[1] == "bc       75.0 ms  " + " " * (WIDTH // 4) + "#" * (WIDTH * 3 // 4)


@pytest.mark.parametrize("phases", [[("a", 0.0), ("b", 0.0)], [("a", 1e6), ("b", 0.001)], [("a", 0.1)], []])
def test_bars_are_seen_and_stay_inside(phases):
    for line in waterfall(phases, encoding="UTF-8"):
        bar = line.split(" ms  ")[1]
        assert bar.strip(" ").strip("█") == ""
        assert 1 <= len(bar) <= WIDTH


def test_summary_takes_the_nearest_rank():
    assert summary([float(n) for n in range(1, 101)]) == "min 1.0  median 50.5  p95 95.0  max 100.0 ms"
    assert summary([7.0]) == "min 7.0  median 7.0  p95 7.0  max 7.0 ms"
