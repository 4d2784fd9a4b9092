"""`python -m aether.cli.reference FOLDER` writes cli.md and settings.md out of the code itself.

A test holds the two files in docs/ to what this writes.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from aether.cli.failures import ExitCode
from aether.cli.main import EPILOGUE, build_app
from aether.cli.settings import Settings
from aether.cli.settings.platform import PlatformSettings
from aether.cli.settings.roles import RoleSettings
from aether.cli.settings.stores import StoreSettings

CLI_HEAD = """\
<!-- Written by `python -m aether.cli.reference docs`; change the code instead. -->

# The command `aether`

Data goes to standard output, everything said to people to standard error. There is no colour and no
spinner in a pipe, and no colour with `NO_COLOR` set. `--json` prints what the API answered.

## Which platform

An option (`--url`, `--key`, `--profile`) comes before the environment (`AETHER_URL`, `AETHER_KEY`,
`AETHER_PROFILE`), that before the profile in use (`aether profile use`), and that before the platform
on this machine. The key of a profile goes to the URL of that profile and nowhere else; the key in the
data directory goes to this machine only, unless `--url` or `AETHER_URL` and a data directory are given
together. Profiles are in `~/.config/aether/config.toml`, which only its owner can read:

```toml
profile = "production"

[profiles.production]
url = "https://faas.example.com"
key_file = "/home/ada/keys/faas"
```

## Exit codes

| Code | Means |
|---|---|
"""

SETTINGS_HEAD = """\
<!-- Written by `python -m aether.cli.reference docs`; change the code instead. -->

# Settings of `aether up` and of the roles

Read once, at the start. An option of the command comes before the environment, the environment
before a `.env` file in the current directory, and that before the default. A variable that is set
to nothing counts as not set. A name that begins with `AETHER_` and is no setting is an error, with
the name that may have been meant.

`aether config show` tells each value and where it came from; it takes the options of `aether up`.
A `.env` may have been meant for something else, a function in the same folder, say, with a `PORT` of
its own: the start names every setting that it took from there, and says when the port is from `PORT`.

Secrets are shown nowhere, of long ones but their last four characters. For each secret `NAME` there is
`NAME_FILE`, a file to read it from; both together are an error.
"""

SECTIONS = (
    ("The platform, and each role", PlatformSettings),
    ("Stores of roles", StoreSettings),
    ("Roles", RoleSettings),
)
SECTION_HEAD = """
## {title}

| Environment | Default | |
|---|---|---|
"""

MEANINGS = {
    ExitCode.OK: "done",
    ExitCode.REFUSED: "the platform refused, or what was given can't be used",
    ExitCode.USAGE: "wrong usage: an option, an argument or a setting",
    ExitCode.UNREACHABLE: "the platform was not reached, or what answers there is not Aether",
    ExitCode.FUNCTION_ERROR: "`invoke`: the function itself answered with status 400 or above",
    ExitCode.STORE: "a role's store was not reached, or refused us",
    ExitCode.INTERNAL: "a defect of the command itself; `AETHER_DEBUG=1` shows where",
    ExitCode.INTERRUPTED: "Ctrl-C",
    ExitCode.BROKEN_PIPE: "whoever read the output went away",
}


def cli_page() -> str:
    codes = "".join(f"| {code.value} | {MEANINGS[code]} |\n" for code in ExitCode)
    commands = build_app().generate_docs()
    # Our own head says more than the generated one, and the epilogue stands in it once.
    commands = commands[commands.index("## Table of Contents") :].replace(EPILOGUE.strip(), "")
    commands = commands.replace("## Table of Contents", "## Commands").replace(
        "```\naether", "```console\naether"
    )
    # Cyclopts takes the module that Python runs for the program in the usage of commands two levels deep.
    commands = re.sub(r"^(aether [a-z ]+) -m [\w.]+", r"\1", commands, flags=re.MULTILINE)
    page = f"{CLI_HEAD}{codes}\n{commands}"
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+$", "", page, flags=re.MULTILINE)).strip() + "\n"


def settings_page() -> str:
    page = SETTINGS_HEAD
    for title, section in SECTIONS:
        page += SECTION_HEAD.format(title=title) + "".join(_row(name) for name in section.model_fields)
    return page


def _row(name: str) -> str:
    first, *others = Settings.environment_names(name)
    if name in Settings.secrets():
        others.append(f"{first}_FILE")
    also = f" Also read: {', '.join(f'`{other}`' for other in others)}." if others else ""
    return f"| `{first}` | {_default(name)} | {Settings.model_fields[name].description}{also} |\n"


def _default(name: str) -> str:
    # These two depend on who starts it; the page is the same for all.
    told = {"data_dir": "`$XDG_DATA_HOME/aether` or `~/.local/share/aether`",
            "cache_dir": "`$XDG_CACHE_HOME/aether` or `~/.cache/aether`"}  # fmt: skip
    default = Settings.model_fields[name].default
    return told.get(name) or ("" if default is None or str(default) == "" else f"`{default}`")


def main() -> int:
    folder = Path(sys.argv[1])
    (folder / "cli.md").write_text(cli_page())
    (folder / "settings.md").write_text(settings_page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
