"""What is written to stores and disks for other versions to read: every shape, with every field filled.

`python -m tests.wire` records today's shapes as the newest folder of `tests/fixtures/wire`; with `--next`, as
one more. A change that only adds fields with defaults is recorded over the newest as long as no release has
it. What was recorded before stays: today's readers are held to it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import types
import typing
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

from pydantic import TypeAdapter

from aether.adapters.etcd import entries
from aether.adapters.redis.job_form import dump_job, dump_reply, load_job, load_reply
from aether.domain.function import FunctionConfig
from aether.domain.gateway import GatewayRecord
from aether.domain.instance import Instance
from aether.domain.job import JobReply, ProvisionJob
from aether.domain.worker import DrainWish, Worker
from aether.worker.kept import Kept

FIXTURES = Path(__file__).parent / "fixtures" / "wire"
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
REMAINING_MS = 128
_KEPT = TypeAdapter(Kept)


@dataclasses.dataclass(frozen=True)
class Shape:
    """One kind of thing that is written, and how it is read and written."""

    of: type
    dump: Callable[[typing.Any], bytes]
    load: Callable[[bytes], object]


def _form(form: entries._Form) -> tuple[Callable[[typing.Any], bytes], Callable[[bytes], object]]:
    return form.dump, form.load


SHAPES: dict[str, Shape] = {
    "worker": Shape(Worker, *_form(entries.WORKER)),
    "instance": Shape(Instance, *_form(entries.INSTANCE)),
    "config": Shape(FunctionConfig, *_form(entries.CONFIG)),
    "gateway": Shape(GatewayRecord, *_form(entries.GATEWAY)),
    "drain": Shape(DrainWish, *_form(entries.DRAIN)),
    "job": Shape(ProvisionJob, dump_job, lambda raw: load_job(raw, REMAINING_MS)),
    "reply": Shape(JobReply, dump_reply, load_reply),
    "kept": Shape(Kept, _KEPT.dump_json, _KEPT.validate_json),
}


def filled(of: type, name: str = "") -> typing.Any:
    """A value of that type with something in every field, so that no field can come or go unseen."""
    if dataclasses.is_dataclass(of):
        hints = typing.get_type_hints(of)
        return of(**{f.name: filled(hints[f.name], f.name) for f in dataclasses.fields(of)})
    origin, arguments = typing.get_origin(of), typing.get_args(of)
    if origin is typing.Union or origin is types.UnionType:
        return filled(next(each for each in arguments if each is not type(None)), name)
    if origin is not None and issubclass(origin, Mapping):
        return {filled(arguments[0], f"{name}-key"): filled(arguments[1], name)}
    if origin is tuple:
        return (filled(arguments[0], name),)
    if issubclass(of, Enum):
        return list(of)[-1]
    plain: dict[type, object] = {str: name, int: REMAINING_MS, float: 1.5, bool: True, datetime: AT}
    return plain[of]


def written(shape: Shape) -> object:
    """As JSON."""
    return json.loads(shape.dump(_sane(filled(shape.of))))


def _sane(value: typing.Any) -> typing.Any:
    """Within the bounds that readers of jobs hold them to."""
    if isinstance(value, ProvisionJob):
        return dataclasses.replace(value, vcpu=2, count=3)
    if isinstance(value, Kept):
        return dataclasses.replace(value, version=1)
    return value


def recorded() -> list[Path]:
    """Folders, the oldest first."""
    return sorted(FIXTURES.iterdir(), key=lambda folder: int(folder.name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--next", action="store_true", help="as a new folder")
    newest = recorded()[-1]
    if parser.parse_args().next:
        newest = FIXTURES / str(int(newest.name) + 1)
        newest.mkdir()
    for name, shape in SHAPES.items():
        (newest / f"{name}.json").write_text(json.dumps(written(shape), indent=1, sort_keys=True) + "\n")
    print(f"recorded in {newest}")


if __name__ == "__main__":
    main()
