"""Secrets out of files: `NAME_FILE` for every secret `NAME`, as containers and systemd hand them over."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

FILE = "_FILE"
MOST_BYTES = 64 * 1024


class SecretFiles:
    """What such variables lead to: `values` by field, `wrong` by variable, `names` that set a field."""

    def __init__(self, secrets: Mapping[str, Iterable[str]], dotenv: Mapping[str, str]) -> None:
        """`secrets`: the variables of each secret field, the one that counts first."""
        self.values: dict[str, str] = {}
        self.wrong: dict[str, str] = {}
        self.names: dict[str, str] = {}
        environment = {name.upper(): value for name, value in os.environ.items() if value}
        for field, names in secrets.items():
            variables = [name + FILE for name in names]
            given = [name for name in variables if name in environment or name in dotenv]
            if not given:
                continue
            name = given[0]
            direct = [other for other in names if other in environment or other in dotenv]
            if direct:
                self.wrong[name] = f"{direct[0]} is set as well: which of the two is it?"
            else:
                self._read(field, name, environment.get(name) or dotenv[name])

    def _read(self, field: str, name: str, path: str) -> None:
        self.names[field] = name
        try:
            with Path(path).expanduser().open("rb") as file:
                raw = file.read(MOST_BYTES)
            value = raw.decode().removesuffix("\n").removesuffix("\r")
        except OSError as error:
            self.wrong[name] = f"can't read {path}: {error.strerror}"
        except UnicodeDecodeError:
            self.wrong[name] = f"{path} is not UTF-8 text"
        else:
            if not value:
                self.wrong[name] = f"{path} is empty"
            self.values[field] = value
