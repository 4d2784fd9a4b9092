"""Reading all settings at once, and wording what is wrong with them for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

from pydantic import AliasChoices, PrivateAttr, SecretStr, ValidationError
from pydantic_settings import SettingsConfigDict

from aether.cli.masking import without_password
from aether.cli.origins import Origin, origins, read_dotenv, unknown_names
from aether.cli.settings.kinds import SecretUrl
from aether.cli.settings.platform import PlatformSettings
from aether.cli.settings.roles import RoleSettings
from aether.cli.settings.secret_files import FILE, SecretFiles
from aether.cli.settings.stores import StoreSettings
from aether.domain.errors import InvalidRequest


class InvalidSettings(InvalidRequest):
    """`fields` maps the environment name of each wrong setting to what is wrong with it."""


class Settings(RoleSettings, StoreSettings, PlatformSettings):
    """Every setting, typed. Build it with `load_settings`, which words the errors for people."""

    model_config = SettingsConfigDict(
        env_prefix="AETHER_",
        env_file=".env",
        env_ignore_empty=True,
        populate_by_name=True,
        extra="ignore",
        frozen=True,
    )

    _origins: Mapping[str, Origin] = PrivateAttr(default_factory=dict)

    def origin(self, field: str) -> Origin:
        """What set it; a default when these settings were not loaded."""
        return self._origins.get(field, Origin("default"))

    def told_name(self, field: str) -> str:
        """The name to tell people of a setting: the one that set it, else the wire contract's or ours."""
        origin = self.origin(field)
        return self.environment_names(field)[-1] if origin.kind == "default" else origin.name

    @classmethod
    def environment_names(cls, field: str) -> list[str]:
        """The names that set a field, the preferred one first."""
        alias = cls.model_fields[field].validation_alias
        if isinstance(alias, AliasChoices):
            return [str(choice) for choice in alias.choices]
        return [f"AETHER_{field.upper()}"]

    @classmethod
    def secrets(cls) -> dict[str, type[SecretStr]]:
        """The fields that are secrets, and how each is shown."""
        return {
            name: field.annotation
            for name, field in cls.model_fields.items()
            if isinstance(field.annotation, type) and issubclass(field.annotation, SecretStr)
        }

    @classmethod
    def load(cls, overrides: dict[str, Any]) -> Self:
        names = {field: cls.environment_names(field) for field in cls.model_fields}
        secrets = {field: names[field] for field in cls.secrets()}
        settable = {
            field: some + [name + FILE for name in some if field in secrets] for field, some in names.items()
        }
        try:
            dotenv = read_dotenv()
            files = SecretFiles(secrets, dotenv)
            wrong = (
                dict(unknown_names((name for some in settable.values() for name in some), dotenv))
                | files.wrong
            )
            settings = cls(**(files.values | overrides))
        except UnicodeDecodeError as error:
            raise InvalidSettings(f"The file .env is not UTF-8 text: {error}.") from None
        except ValidationError as error:
            wrong |= dict(_wrong(cls, error, files.names))
        if wrong:
            told = "; ".join(f"{name}: {what}" for name, what in wrong.items())
            raise InvalidSettings(f"Settings are wrong: {told}.", fields=wrong)
        settings._origins = origins(settable, overrides, dotenv)
        return settings


def load_settings(**overrides: Any) -> Settings:
    """Settings with the command's own options on top; an option that is None was not given.

    Raises InvalidSettings, naming each wrong one.
    """
    return Settings.load({name: value for name, value in overrides.items() if value is not None})


def _shown(given: str) -> str:
    """What was given, without what may be a user and a password, whether or not a scheme is there."""
    before, at, where = given.rpartition("@")
    if not at:
        return without_password(given)
    scheme = before.partition("://")[0] + "://" if "://" in before else ""
    return f"{scheme if scheme[:-3].isalpha() else ''}****@{without_password(where)}"


def _wrong(
    settings: type[Settings], error: ValidationError, files: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Environment names of the wrong settings, and what is wrong with each."""
    secrets = settings.secrets()
    for problem in error.errors(include_url=False):
        given = str(problem["loc"][0])
        field = next((f for f in settings.model_fields if given in {f, *settings.environment_names(f)}), "")
        name = files.get(field) or (settings.environment_names(field)[0] if field else given)
        what = problem["msg"].removeprefix("Value error, ")
        what = what[:1].lower() + what[1:]
        if secrets.get(field, SecretUrl) is SecretUrl:
            yield name, f"{what}, not {_shown(str(problem['input']))!r}"
        else:
            yield name, what
