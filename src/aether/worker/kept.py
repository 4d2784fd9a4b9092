"""What is kept on disk of instances, so that a later process of this worker can adopt them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog
from pydantic import TypeAdapter, ValidationError

from aether.domain.job import ProvisionJob

log = structlog.get_logger()

VERSION = 1
"""Of the files' shape. Fields may be added; one that a reader must know of needs the next version."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Of one instance whose machine is ready."""

    instance_id: str
    job: ProvisionJob
    request_id: str
    """That it was started for, by the number of the instance where a job asks for several."""
    proxy_port: int
    started_at: datetime
    version: int = VERSION


_FORM = TypeAdapter(Kept)


class KeptInstances:
    """A file each, in a directory of its own. Where it can't be written the instance serves all the same."""

    def __init__(self, directory: Path | None = None) -> None:
        """None keeps nothing: the machines end with this process."""
        self._directory = directory

    @property
    def keeps(self) -> bool:
        return self._directory is not None

    def keep(self, kept: Kept) -> None:
        """Whole or not at all."""
        if self._directory is None:
            return
        path = self._path(self._directory, kept.instance_id)
        partial = path.with_suffix(".partial")
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(_FORM.dump_json(kept))
            partial.rename(path)
        except OSError as error:
            log.warning("instance can't be adopted later", instance=kept.instance_id, reason=str(error))

    def forget(self, instance_id: str) -> None:
        """Idempotent."""
        if self._directory is not None:
            self._path(self._directory, instance_id).unlink(missing_ok=True)

    def all(self) -> Mapping[str, Kept]:
        """By instance id. What can't be read, or is of a later version, is removed."""
        if self._directory is None or not self._directory.is_dir():
            return {}
        found = {}
        for path in list(self._directory.iterdir()):
            kept = _read(path)
            if kept is None:
                path.unlink(missing_ok=True)
            else:
                found[kept.instance_id] = kept
        return found

    @staticmethod
    def _path(directory: Path, instance_id: str) -> Path:
        return directory / f"{instance_id}.json"


def _read(path: Path) -> Kept | None:
    if path.suffix != ".json":
        return None
    try:
        kept = _FORM.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        log.warning("what was kept of an instance can't be read", file=path.name, reason=str(error))
        return None
    return kept if kept.version == VERSION and path.stem == kept.instance_id else None
