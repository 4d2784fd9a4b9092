"""A database as the system that Aether grew from leaves it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

FUNCTIONS = """
CREATE TABLE functions (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, runtime TEXT NOT NULL, code_path TEXT DEFAULT '',
    vcpu INTEGER DEFAULT 1, memory_mb INTEGER DEFAULT 128, port INTEGER DEFAULT 3000,
    env_vars TEXT DEFAULT '{}', created_at DATETIME, updated_at DATETIME)
"""
INVOCATIONS = """
CREATE TABLE invocations (
    id TEXT PRIMARY KEY, function_id TEXT NOT NULL, status TEXT NOT NULL, duration_ms INTEGER,
    started_at DATETIME, error_message TEXT)
"""


def make(path: Path, *functions: dict[str, object], calls: int = 0) -> Path:
    """`functions` by column; `calls` of the first of them."""
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute(FUNCTIONS)
        raw.execute(INVOCATIONS)
        for number, function in enumerate(functions):
            row = {
                "runtime": "node",
                "created_at": f"2025-03-0{number + 1} 10:00:00.123456789+00:00",
            } | function
            columns, marks = ", ".join(row), ", ".join("?" * len(row))
            raw.execute(f"INSERT INTO functions ({columns}) VALUES ({marks})", list(row.values()))
        for number in range(calls):
            raw.execute(
                "INSERT INTO invocations VALUES (?, ?, 'success', ?, '2025-03-05 10:00:00', NULL)",
                (f"call-{number}", functions[0]["id"], number),
            )
    return path
