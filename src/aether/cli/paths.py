"""Where Aether keeps things, by the XDG base directory specification."""

from __future__ import annotations

import os
from pathlib import Path


def default_data_dir() -> Path:
    """State that must survive: functions, code, the API key. `$XDG_DATA_HOME/aether`."""
    return _under("XDG_DATA_HOME", ".local/share")


def default_cache_dir() -> Path:
    """What set-up can build again: kernel, initramfs, runtimes. `$XDG_CACHE_HOME/aether`."""
    return _under("XDG_CACHE_HOME", ".cache")


def config_file() -> Path:
    """What the command knows of platforms: `$XDG_CONFIG_HOME/aether/config.toml`."""
    return _under("XDG_CONFIG_HOME", ".config") / "config.toml"


def key_file(data_dir: Path) -> Path:
    """Holds the key that the first start of the platform made; readable by its owner only."""
    return data_dir / "api-key"


def _under(variable: str, fallback: str) -> Path:
    # The specification says that a relative path in these variables must be ignored.
    given = os.environ.get(variable, "")
    base = Path(given) if given.startswith("/") else Path.home() / fallback
    return base / "aether"
