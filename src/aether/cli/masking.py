"""What is shown of secrets: enough to tell one from another, and of URLs all but their passwords."""

from __future__ import annotations

import re

SHOWN_CHARACTERS = 4
"""As many of a secret's last ones are shown, to tell it from others."""

USER_AND_PASSWORD = re.compile(r"://([^:/?#@]*):.*@")
"""Up to the last @: a password that was not escaped may have any character in it."""
PASSWORD_ARGUMENT = re.compile(r"([?&][^=&#]*(?:password|secret|token)[^=&#]*)=[^&#]*", re.IGNORECASE)


def masked(secret: str) -> str:
    """The end of it, or nothing of one so short that its end would give it away."""
    if not secret:
        return ""
    return "****" + (secret[-SHOWN_CHARACTERS:] if len(secret) > 4 * SHOWN_CHARACTERS else "")


def without_password(url: str) -> str:
    """A URL that may have a password in it, beside the user or as an argument."""
    return PASSWORD_ARGUMENT.sub(r"\1=****", USER_AND_PASSWORD.sub(r"://\1:****@", url))
