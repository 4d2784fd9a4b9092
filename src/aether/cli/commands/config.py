"""`aether config show`: every setting, and where it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cyclopts import App

from aether.cli import output
from aether.cli.connection import Connection, Target
from aether.cli.masking import masked, without_password
from aether.cli.options import PLAIN, Json
from aether.cli.up_options import NOTHING_GIVEN, UpOptions

if TYPE_CHECKING:
    from aether.cli.settings import Settings

config = App(
    name="config",
    default_parameter=PLAIN,
    help="""Show every setting, and where it came from.

**Examples**

```
aether config show
aether config show --json | jq -r '.[] | select(.from != "default") | .name'
```
""",
)


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    value: str | int | None
    origin: str


@config.command
def show(*, options: UpOptions = NOTHING_GIVEN, json: Json = False) -> None:
    """Show the settings that `aether up` or a role would start with, and what other commands would talk to.

    Takes the options of `aether up`. Of secrets only the end is shown.

    Parameters
    ----------
    json
        Print a list of objects: `name` in the environment, `value`, `from`.
    """
    rows = [*_settings(options.settings()), *_connection(Connection(data_dir=options.data_dir).target())]
    if json:
        output.print_json([{"name": row.name, "value": row.value, "from": row.origin} for row in rows])
    else:
        table = [(row.name, _text(row.value), row.origin) for row in rows]
        output.print_table(("SETTING", "VALUE", "FROM"), table)


def _settings(settings: Settings) -> list[Row]:
    # Where these are not given they follow from others.
    values = {"socket_dir": settings.sockets, "db_path": settings.database}
    return [
        Row(
            settings.environment_names(field)[0],
            _plain(values.get(field, getattr(settings, field))),
            str(settings.origin(field)),
        )
        for field in type(settings).model_fields
    ]


def _plain(value: Any) -> str | int | None:
    """As it is told: a secret says of itself what may be shown of it."""
    if value is None or isinstance(value, int):
        return value
    return str(value)


def _connection(target: Target) -> list[Row]:
    key = None if target.key is None else masked(target.key)
    return [
        Row("AETHER_URL", without_password(target.url), str(target.url_from)),
        Row("AETHER_KEY", key, str(target.key_from)),
        Row("AETHER_PROFILE", target.profile, str(target.profile_from)),
    ]


def _text(value: str | int | None) -> str:
    return "" if value is None else output.printable(str(value))
