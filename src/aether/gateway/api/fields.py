"""The fields of a function as they come in: types with their bounds.

Source of the bounds: the wire contract, "Defaults per function".
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from aether.domain.function import DOMAIN, KEEP_ALIVE_FIXED, KEEP_ALIVE_LEARNED, NAME

MAX_ENV_BYTES = 32 << 10
"""All names and values of `env_vars` together: they travel in every job and over the control channel."""
MAX_DOMAINS = 20
ENV_NAME_PATTERN = r"(?!AETHER_)(?!PORT$)[A-Za-z_][A-Za-z0-9_]*"
"""`PORT` and `AETHER_…` are the platform's to set."""
_PART = r"\.?[^./\x00-\x1f\x7f-\x9f][^/\x00-\x1f\x7f-\x9f]*"
ENTRYPOINT_PATTERN = rf"(?:\./)?{_PART}(?:/{_PART})*"
_ENV_NAME, _ENTRYPOINT = re.compile(ENV_NAME_PATTERN), re.compile(ENTRYPOINT_PATTERN)
_MAX_ENTRYPOINT = 255
_TIME_BOUND_S = 86_400


def _whole(value: object) -> object:
    """2.0 is a whole number in JSON, which has one kind of number only."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError(
            "must be 1 to 63 of a-z, 0-9 and '-', not '-' at either end, and not begin with 'fn-'"
        )
    return value


def _entrypoint(value: str) -> str:
    if len(value) > _MAX_ENTRYPOINT or not _ENTRYPOINT.fullmatch(value):
        raise ValueError("must be the path of a file inside the archive, like handler.js or dist/main.js")
    return value.removeprefix("./")


def _env_vars(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if name == "PORT" or name.startswith("AETHER_"):
            raise ValueError(f"{name} is set by the platform")
        if not _ENV_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name for an environment variable")
        if "\0" in text:
            raise ValueError(f"{name} has a NUL in its value")
    if sum(len(name.encode()) + len(text.encode()) for name, text in value.items()) > MAX_ENV_BYTES:
        raise ValueError(f"takes more than {MAX_ENV_BYTES} bytes in all")
    return value


def _domains(value: list[str]) -> list[str]:
    domains = [domain.lower().removesuffix(".") for domain in value]
    for domain in domains:
        if not DOMAIN.fullmatch(domain):
            raise ValueError(f"{domain!r} is no host name of two labels or more, like shop.example.com")
    return sorted(set(domains))


Domains = Annotated[
    list[str],
    Field(max_length=MAX_DOMAINS),
    AfterValidator(_domains),
    WithJsonSchema(
        {
            "type": "array",
            "maxItems": MAX_DOMAINS,
            "items": {"type": "string", "pattern": f"^{DOMAIN.pattern}$"},
            "description": "Host names that lead to this function, each to no other.",
        }
    ),
]
Name = Annotated[
    str,
    AfterValidator(_name),
    WithJsonSchema({"type": "string", "pattern": f"^{NAME.pattern}$", "minLength": 1, "maxLength": 63}),
]
Entrypoint = Annotated[
    str,
    AfterValidator(_entrypoint),
    WithJsonSchema(
        {"type": "string", "pattern": f"^{ENTRYPOINT_PATTERN}$", "minLength": 1, "maxLength": _MAX_ENTRYPOINT}
    ),
]
EnvVars = Annotated[
    dict[str, str],
    AfterValidator(_env_vars),
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"pattern": f"^{ENV_NAME_PATTERN}$"},
            "additionalProperties": {"type": "string", "pattern": r"^[^\x00]*$"},
            "description": f"At most {MAX_ENV_BYTES} bytes in all.",
        }
    ),
]
_WHOLE = BeforeValidator(_whole)
Vcpu = Annotated[int, Field(ge=1, le=16), _WHOLE]
MemoryMb = Annotated[int, Field(ge=64, le=16_384), _WHOLE]
Port = Annotated[int, Field(ge=1, le=65_535), _WHOLE]
CallSeconds = Annotated[float, Field(gt=0, le=900)]
StreamSeconds = Annotated[float, Field(gt=0, le=86_400)]
IdleSeconds = Annotated[float, Field(gt=0, le=_TIME_BOUND_S)]
Concurrency = Annotated[int, Field(ge=1, le=1000), _WHOLE]
MinInstances = Annotated[int, Field(ge=0, le=10_000), _WHOLE]
MaxInstances = Annotated[int, Field(ge=1, le=10_000), _WHOLE]
KeepAlive = Annotated[
    str,
    Field(pattern=f"^({KEEP_ALIVE_FIXED}|{KEEP_ALIVE_LEARNED})$"),
]
HealthPath = Annotated[str, Field(pattern=r"^(/[!-~]*)?$", max_length=1024)]
MaxWaiting = Annotated[int, Field(ge=0, le=100_000), _WHOLE]
