"""The tables as the code sees them; the migrations make them.

The first columns of each are the wire contract's ("SQL"), which other programs may read and
write; those after `ours` are not in it, and have defaults in the database.
"""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, ForeignKey, Integer, MetaData, String, Table

from aether.adapters.sql.times import UtcTime

metadata = MetaData()

functions = Table(
    "functions",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("runtime", String, nullable=False),
    Column("code_path", String),
    Column("vcpu", Integer),
    Column("memory_mb", Integer),
    Column("port", Integer),
    Column("env_vars", JSON),
    Column("created_at", UtcTime),
    Column("updated_at", UtcTime),
    # ours
    Column("entrypoint", String, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("code_sha256", String, nullable=False),
    Column("limits", JSON, nullable=False),
    Column("good", JSON(none_as_null=True)),
    Column("domains", JSON, nullable=False),
    Column("archive_sha256", String, nullable=False),
    Column("generation", BigInteger, nullable=False),
)
"""A migration that adds what copies of rows have has to add 1 to every `generation`: they are made anew."""

identity = Table("aether_database", metadata, Column("id", String, primary_key=True))
"""One row, made with the table."""

function_domains = Table(
    "function_domains",
    metadata,
    Column("domain", String, primary_key=True),
    Column("function_id", String, ForeignKey("functions.id", ondelete="CASCADE"), nullable=False),
)
"""The same domains again, so that the database keeps them unique."""

invocations = Table(
    "invocations",
    metadata,
    Column("id", String, primary_key=True),
    Column("function_id", String, ForeignKey("functions.id", ondelete="CASCADE"), nullable=False),
    Column("status", String, nullable=False),
    Column("duration_ms", Integer),
    Column("started_at", UtcTime),
    Column("error_message", String),
    # ours
    Column("instance_id", String),
    Column("http_status", Integer),
    Column("method", String, nullable=False),
    Column("path", String, nullable=False),
    Column("cold", Boolean, nullable=False),
    Column("phases", JSON, nullable=False),
    Column("call_id", String, nullable=False),
    Column("attempts", Integer, nullable=False),
)
