"""Where the sources of what set-up builds are: in an installed package, or in a checkout."""

from __future__ import annotations

from pathlib import Path

from aether.images.errors import SetupFailed

PACKAGE = Path(__file__).resolve().parents[1]
CHECKOUT = PACKAGE.parents[1]


def guest_sources() -> Path:
    """The folder with `agent/` and `node/`."""
    return existing(PACKAGE / "guest_sources", CHECKOUT / "guest")


def build_requirements() -> Path:
    """The pinned and hashed list of the compiler and the Node binary."""
    return existing(PACKAGE / "guest_sources" / "build.txt", CHECKOUT / "requirements" / "build.txt")


def agent_sources() -> list[Path]:
    """The agent's C files, headers included, in a fixed order."""
    folder = guest_sources() / "agent"
    found = sorted([*folder.glob("*.c"), *folder.glob("*.h")])
    if not found:
        raise SetupFailed(f"no sources of the guest agent in {folder}")
    return found


def existing(*places: Path) -> Path:
    for place in places:
        if place.exists():
            return place
    raise SetupFailed(
        f"not found: {places[-1]}", hint="install Aether again, or run it from a whole checkout"
    )
