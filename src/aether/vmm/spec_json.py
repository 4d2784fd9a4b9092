"""A MachineSpec as JSON, for snapshot manifests and the records of running machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aether.ports.vmm import MachineSpec, Runtime


def spec_to_json(spec: MachineSpec) -> dict[str, Any]:
    """Plain JSON values; holds the environment, so whoever stores it keeps it private (0600)."""
    document = asdict(spec)
    document["code"] = str(spec.code)
    document["env"] = dict(spec.env)
    document["runtime"]["root"] = str(spec.runtime.root)
    document["runtime"]["command"] = list(spec.runtime.command)
    return document


def spec_from_json(document: Mapping[str, Any]) -> MachineSpec:
    """Raises KeyError, TypeError or ValueError on another shape. Unknown fields are ignored."""
    runtime = document["runtime"]
    return MachineSpec(
        instance_id=str(document["instance_id"]),
        function_id=str(document["function_id"]),
        runtime=Runtime(
            name=str(runtime["name"]),
            root=Path(runtime["root"]),
            command=tuple(str(word) for word in runtime["command"]),
            default_entrypoint=str(runtime["default_entrypoint"]),
            user=int(runtime["user"]),
            group=int(runtime["group"]),
            digest=str(runtime["digest"]),
            answers_probes=bool(runtime.get("answers_probes", False)),
        ),
        code=Path(document["code"]),
        entrypoint=str(document["entrypoint"]),
        port=int(document["port"]),
        vcpu=int(document["vcpu"]),
        memory_mib=int(document["memory_mib"]),
        env={str(name): str(value) for name, value in document["env"].items()},
    )
