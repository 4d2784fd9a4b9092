"""The options of `aether up`, which `aether config show` takes as well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from aether.cli.origins import DOTENV

if TYPE_CHECKING:
    from aether.cli.settings import Settings


@Parameter(name="*")
@dataclass(frozen=True)
class UpOptions:
    """Each is a setting, under the setting's name; one that is None was not given."""

    host: str | None = None
    """Address to listen on. Default: 127.0.0.1"""

    port: int | None = None
    """Port to listen on; 0 takes a free one. Default: 8080"""

    data_dir: Path | None = None
    """Where state is kept. Default: ~/.local/share/aether"""

    base_domain: str | None = None
    """`{name}.DOMAIN` leads to the function of that name. Default: none"""

    keep_invocations_days: Annotated[int | None, Parameter(name="--keep-invocations")] = None
    """Days that records of calls are kept. Default: 30"""

    drain_timeout_s: Annotated[int | None, Parameter(name="--drain-timeout")] = None
    """Seconds that calls may still take at a stop. Default: 35"""

    auth: Literal["on", "off"] | None = None
    """off opens the management API to whoever reaches it. Default: on"""

    tls_cert: Path | None = None
    """Certificate chain to serve HTTPS with. Default: none, HTTP"""

    tls_key: Path | None = None
    """The certificate's key. Default: none"""

    log_level: Literal["debug", "info", "warning", "error"] | None = None
    """Least severe message that is written to stderr. Default: info"""

    def settings(self, **more: object) -> Settings:
        """These, and a command's own, on top of environment, `.env` and defaults. Raises InvalidSettings."""
        from aether.cli.settings import load_settings  # noqa: PLC0415 - pydantic is slow to import

        return load_settings(**asdict(self), **more)


NOTHING_GIVEN = UpOptions()


def told_elsewhere(settings: Settings) -> Iterator[str]:
    """Lines for whoever starts the platform, on settings that may have been meant for something else.

    A `.env` is read wherever the command is started, a function's folder included, and PORT is a
    name that many programs read.
    """
    if settings.origin("port").name == "PORT":
        yield f"The port is from {settings.origin('port')}; --port or AETHER_PORT set another."
    from_file = [
        origin.name
        for field in type(settings).model_fields
        if (origin := settings.origin(field)).kind == ".env"
    ]
    if from_file:
        yield f"From {DOTENV.absolute()}: {', '.join(from_file)}."
