"""Identifiers of calls."""

from datetime import UTC, datetime, timedelta

from aether.domain.ids import CALL_ID, new_call_id

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_later_calls_sort_after_earlier_ones():
    """Records are kept in order of their ids: each then goes to the end."""
    steps = [timedelta(0), timedelta(microseconds=2), timedelta(hours=1), timedelta(days=365 * 50)]
    ids = [new_call_id(NOW + step) for step in steps]
    assert ids == sorted(ids)
    assert len({len(each) for each in ids}) == 1


def test_calls_of_one_moment_have_ids_of_their_own():
    ids = {new_call_id(NOW) for _ in range(1000)}
    assert len(ids) == 1000
    assert all(CALL_ID.fullmatch(each) for each in ids)
