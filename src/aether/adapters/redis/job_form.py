"""A job and a reply as JSON. A bare job, with the seed's fields only, is one too."""

from __future__ import annotations

from dataclasses import replace

from aether.adapters.json_form import JsonForm
from aether.domain.job import JobReply, ProvisionJob

BARE_REMAINING_MS = 30_000
"""The time that a job without a deadline has, from when it is first taken: a function's default deadline."""

_BOUNDS = {
    "vcpu": range(1, 17),
    "memory_mb": range(64, 16385),
    "port": range(1, 65536),
    "count": range(1, 1001),
}
"""Source: the wire contract, "Defaults per function"; `count`: as many as a function may have instances."""

_JOB = JsonForm(
    ProvisionJob,
    absent={"runtime": "node", "entrypoint": "", "vcpu": 1, "memory_mb": 128, "port": 3000, "env_vars": {}}
    | {"code_sha256": "", "remaining_ms": BARE_REMAINING_MS, "reply_to": ""},
    lenient=("trace_context",),
)
_REPLY = JsonForm(JobReply)


def dump_job(job: ProvisionJob) -> bytes:
    return _JOB.dump(job)


def load_job(raw: bytes, remaining_ms: int) -> ProvisionJob:
    """Raises ValueError for what no worker could start."""
    job = _JOB.load(raw)
    job = replace(job, remaining_ms=remaining_ms, count=job.count or 1)
    if not job.request_id or not job.function_id:
        raise ValueError("it names no request, or no function")
    for name, bounds in _BOUNDS.items():
        if getattr(job, name) not in bounds:
            raise ValueError(f"{name} is {getattr(job, name)}, not from {bounds[0]} to {bounds[-1]}")
    return job


def dump_reply(reply: JobReply) -> bytes:
    return _REPLY.dump(reply)


def load_reply(raw: bytes) -> JobReply:
    return _REPLY.load(raw)
