"""Uploads through the whole platform: its edge, its API, its stores."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.platform.conftest import Platform, running

from aether.vmm.simulated.behaviour import Behaviour


@pytest.fixture
async def platform(tmp_path) -> AsyncIterator[Platform]:
    async with running(tmp_path / "data", lambda _spec: Behaviour()) as it:
        yield it
    assert list((tmp_path / "data").glob("work/*")) == [], "temporary files are left"


def stored(platform: Platform) -> dict[str, int]:
    """Every file that code may have left in the data directory, with its inode."""
    folders = (platform.data_dir / name for name in ("work", "function-code", "code-cache"))
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(platform.data_dir)): path.stat().st_ino for path in files}


def image_of(platform: Platform, function_id: str) -> Path:
    return platform.data_dir / "function-code" / function_id / "code.ext4"


def debugfs(image: Path, command: str) -> str:
    ran = subprocess.run(["debugfs", "-R", command, str(image)], capture_output=True, check=True)
    return ran.stdout.decode()
