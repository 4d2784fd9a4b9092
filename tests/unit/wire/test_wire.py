"""A version reads what the one before wrote, and writes what that can read: held to recorded shapes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.wire import SHAPES, recorded, written

RECORDED = [
    pytest.param(folder / f"{name}.json", name, id=f"{name} {folder.name}")
    for folder in recorded()
    for name in SHAPES
    if (folder / f"{name}.json").exists()
]
CHANGED = (
    "the shape of {} has changed. If all that happened is a new field with a default, record it: "
    "`python -m tests.wire` (`--next` once a release has the one before). Fields are never removed, renamed "
    "or given another type: programs of the version before run beside this one."
)


@pytest.mark.parametrize("name", SHAPES)
def test_what_is_written_is_what_was_recorded(name):
    newest = json.loads((recorded()[-1] / f"{name}.json").read_text())
    assert written(SHAPES[name]) == newest, CHANGED.format(name)


@pytest.mark.parametrize(("path", "name"), RECORDED)
def test_what_was_recorded_is_read_with_nothing_lost(path: Path, name: str):
    before = json.loads(path.read_text())
    shape = SHAPES[name]
    again = json.loads(shape.dump(shape.load(path.read_bytes())))
    assert {field: again[field] for field in before} == before


@pytest.mark.parametrize(("path", "name"), RECORDED)
def test_what_is_written_has_all_that_readers_of_before_know(path: Path, name: str):
    missing = sorted(_missing(json.loads(path.read_text()), written(SHAPES[name])))
    assert not missing, CHANGED.format(name)


@pytest.mark.parametrize("name", SHAPES)
def test_a_field_of_a_later_version_is_passed_over(name):
    shape = SHAPES[name]
    later = {**written(shape), "of_a_later_version": {"any": ["thing"]}}  # type: ignore[dict-item]
    assert shape.load(json.dumps(later).encode()) == shape.load(json.dumps(written(shape)).encode())


def _missing(before: object, now: object, path: str = "") -> list[str]:
    """Fields that are there no more, or of another type."""
    if type(before) is not type(now):
        return [path]
    if isinstance(before, dict) and isinstance(now, dict):
        return [
            gone
            for field, value in before.items()
            for gone in (
                _missing(value, now[field], f"{path}.{field}") if field in now else [f"{path}.{field}"]
            )
        ]
    if isinstance(before, list) and isinstance(now, list):
        return _missing(before[0], now[0], f"{path}[]") if before and now else []
    return []
