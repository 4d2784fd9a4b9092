"""`aether db`: the database of functions and of records of calls."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

from cyclopts import App, Parameter

from aether.cli import output
from aether.cli.failures import WrongUsage
from aether.cli.options import PLAIN, Json

if TYPE_CHECKING:
    from aether.adapters.sql.adopt import Adopted
    from aether.adapters.sql.database import Database
    from aether.cli.settings import Settings

T = TypeVar("T")
DataDir = Annotated[Path | None, Parameter(env_var="AETHER_DATA_DIR")]

db = App(
    name="db",
    default_parameter=PLAIN,
    help="""Bring the database of functions up to date, or take another one over.

It is PostgreSQL by AETHER_DATABASE_URL, else the SQLite file that DB_PATH names, else `aether.db` in the
data directory.

**Examples**

```
aether db migrate
aether db adopt /var/lib/old/aether.db
```
""",
)


@db.command
def migrate(*, json: Json = False, data_dir: DataDir = None) -> None:
    """Bring the tables up to date, as every start does: for when that is to be apart from a start.

    One process does it, others wait meanwhile; one that ends in the middle has changed nothing. A SQLite
    file of the system that Aether grew from is taken over where it is.

    **Examples**

    ```
    aether db migrate
    AETHER_DATABASE_URL=postgresql://aether@db.internal/aether aether db migrate
    ```

    Parameters
    ----------
    json
        Print an object: `database`, `from` and `to` (migrations; the first is empty where there were no
        tables), `renamed` (old and new names of functions, by id).
    data_dir
        Where the SQLite file is. Default: ~/.local/share/aether
    """
    from aether.cli.stores.sql import migrated, sql_target  # noqa: PLC0415 - imports SQL

    settings = _settings(data_dir)
    before, after, renamed = asyncio.run(migrated(settings))
    database = str(sql_target(settings))
    if json:
        told = {"database": database, "from": before, "to": after, "renamed": renamed}
        output.print_json(told)
        return
    if before == after:
        output.say(f"{database} is up to date, at {after}.")
    else:
        output.say(f"{database} is at {after} now{f', it was at {before}' if before else ''}.")
    for function_id, (old, new) in renamed.items():
        output.say(
            f"{function_id} is named {output.printable(new)} now: {output.printable(old)} is another's."
        )


@db.command
def adopt(file: Path, /, *, json: Json = False, data_dir: DataDir = None) -> None:
    """Take the functions and records of a SQLite file over into the database.

    The file is one of Aether's own (of `aether up`, say, to go on over PostgreSQL), or one of the system
    that Aether grew from; it stays as it is. What is there already is left alone, so that it can be done
    again. Where a name is taken, the function gets a number behind it. Code is not moved: it is expected in
    the store for code, where code without a known sha256 is run as it is there.

    **Examples**

    ```
    aether db adopt /var/lib/old/aether.db
    aether db adopt ~/.local/share/aether/aether.db --json | jq -r '.functions[] | select(.was_named != "")'
    ```

    Parameters
    ----------
    file
        The SQLite database.
    json
        Print an object: `functions` (`id`, `name`, `outcome`, `was_named`, `runs`, `changes`), and how many
        `calls` were taken.
    data_dir
        Where the SQLite file to take them over into is. Default: ~/.local/share/aether
    """
    from aether.adapters.sql.adopt import adopt as take  # noqa: PLC0415 - imports SQL
    from aether.adapters.sql.adopt import opened  # noqa: PLC0415 - as above

    settings = _settings(data_dir)
    database_url = settings.database_url.get_secret_value()
    if not database_url and settings.database.exists() and file.exists() and file.samefile(settings.database):
        raise WrongUsage(
            f"{file} is the database itself.", hint="To take it over where it is: aether db migrate"
        )

    async def taken(database: Database) -> tuple[list[Adopted], int]:
        async with opened(file) as source:
            return await take(source, database)

    functions, calls = asyncio.run(_with_database(settings, taken))
    if json:
        output.print_json({"functions": [asdict(function) for function in functions], "calls": calls})
        return
    rows = [
        (f.id, output.printable(f.name), f.outcome, output.printable(f.was_named), f.runs) for f in functions
    ]
    header = ("ID", "NAME", "OUTCOME", "WAS NAMED", "RUNS")
    output.print_list(functions, header, rows, empty="There are no functions in it.", json=False)
    for function in functions:
        for change in function.changes:
            output.say(f"{function.id}: {output.printable(change)}")
    count = sum(function.outcome == "taken" for function in functions)
    output.say(f"{count} of {len(functions)} functions and {calls} records of calls taken over.")


async def _with_database(settings: Settings, work: Callable[[Database], Awaitable[T]]) -> T:
    from aether.cli.stores.sql import open_sql  # noqa: PLC0415 - imports SQL

    async with open_sql(settings, wait=False) as database:
        return await work(database)


def _settings(data_dir: Path | None) -> Settings:
    from aether.cli.settings import load_settings  # noqa: PLC0415 - pydantic is slow to import

    return load_settings(data_dir=data_dir)
