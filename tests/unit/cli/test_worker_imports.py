"""Calls wait while a worker restarts: it imports nothing that it has no use for."""

from __future__ import annotations

import subprocess
import sys

CHECK = """
import sys
import aether.cli.roles.machines, aether.cli.roles.serving, aether.cli.roles.worker_role
print(*(name for name in ("sqlalchemy", "alembic", "asyncpg", "fastapi", "starlette") if name in sys.modules))
"""


def test_a_worker_imports_neither_the_database_nor_the_api():
    shown = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == []
