"""What a change is counted by: etcd's revision, and the place within it.

One transaction, or the end of a lease, changes many keys in one revision of etcd. Who has seen the first
of them resumes after it: so a change's number is `revision << 20 | place`, and that of the last one in a
revision has all lower bits set, as has a view's.
"""

from __future__ import annotations

_BITS = 20
LAST = (1 << _BITS) - 1


def number(revision: int, place: int = LAST) -> int:
    return revision << _BITS | place


def split(numbered: int) -> tuple[int, int]:
    """Revision and place."""
    return numbered >> _BITS, numbered & LAST


def next_revision(numbered: int) -> int:
    """The revision that what comes after begins in; etcd counts from 1, and takes 0 for now."""
    revision, place = split(numbered)
    return revision + 1 if place == LAST else max(1, revision)
