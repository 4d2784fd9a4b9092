"""Settings of the stores that roles share: where they are, who we are to them, and whom we trust."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, AliasChoices, Field
from pydantic_settings import BaseSettings

from aether.cli.settings.kinds import (
    ExpandedPath,
    Secret,
    SecretUrl,
    as_database_url,
    as_etcd_endpoints,
    as_redis_url,
    as_s3_endpoint,
)

NO_SECRET = Secret("")
NO_URL = SecretUrl("")


class StoreSettings(BaseSettings):
    """`aether up` has its stores with it and reads none of these; roles do."""

    etcd_endpoints: Annotated[str, AfterValidator(as_etcd_endpoints)] = Field(
        default="",
        validation_alias=AliasChoices("AETHER_ETCD_ENDPOINTS", "ETCD_ENDPOINTS"),
        description="etcd's members, separated by commas: `host:port`, or `https://host:port` for TLS.",
    )
    etcd_user: str = Field(default="", description="User at etcd, where it asks for one.")
    etcd_password: Secret = Field(default=NO_SECRET, description="That user's password.")
    etcd_ca: ExpandedPath | None = Field(
        default=None, description="Authorities (PEM) that sign etcd's certificates; the system's without it."
    )
    etcd_cert: ExpandedPath | None = Field(
        default=None, description="Certificate (PEM) to show to etcd, where it asks for one."
    )
    etcd_key: ExpandedPath | None = Field(default=None, description="That certificate's key (PEM).")
    redis_addr: Annotated[SecretUrl, AfterValidator(as_redis_url)] = Field(
        default=NO_URL,
        validation_alias=AliasChoices("AETHER_REDIS_ADDR", "REDIS_ADDR"),
        description="Redis: `host:port`, `redis://host:port/db`, or `rediss://…` for TLS.",
    )
    redis_user: str = Field(default="", description="User at Redis; its default user without one.")
    redis_password: Secret = Field(default=NO_SECRET, description="That user's password.")
    redis_ca: ExpandedPath | None = Field(
        default=None, description="Authorities (PEM) that sign Redis' certificate; the system's without it."
    )
    redis_cert: ExpandedPath | None = Field(
        default=None, description="Certificate (PEM) to show to Redis, where it asks for one."
    )
    redis_key: ExpandedPath | None = Field(default=None, description="That certificate's key (PEM).")
    minio_endpoint: Annotated[str, AfterValidator(as_s3_endpoint)] = Field(
        default="",
        validation_alias=AliasChoices("AETHER_MINIO_ENDPOINT", "MINIO_ENDPOINT"),
        description="Any S3 store, for code: `host:port`, or `https://host` for TLS.",
    )
    minio_access_key: Secret = Field(
        default=NO_SECRET,
        validation_alias=AliasChoices("AETHER_MINIO_ACCESS_KEY", "MINIO_ACCESS_KEY"),
        description="Access key at the S3 store.",
    )
    minio_secret_key: Secret = Field(
        default=NO_SECRET,
        validation_alias=AliasChoices("AETHER_MINIO_SECRET_KEY", "MINIO_SECRET_KEY"),
        description="Its secret key.",
    )
    s3_bucket: str = Field(
        default="function-code", min_length=3, max_length=63, description="Bucket for code; made if missing."
    )
    s3_region: str = Field(default="us-east-1", min_length=1, description="Region of the S3 store.")
    s3_ca: ExpandedPath | None = Field(
        default=None,
        description="Authorities (PEM) that sign the S3 store's certificate; well-known ones without it.",
    )
    code_dir: ExpandedPath | None = Field(
        default=None,
        description="A directory for code instead of an S3 store; gateways and workers all see the same one.",
    )
    database_url: Annotated[SecretUrl, AfterValidator(as_database_url)] = Field(
        default=NO_URL,
        description="PostgreSQL instead of the SQLite database: `postgresql://user:password@host/database`.",
    )
