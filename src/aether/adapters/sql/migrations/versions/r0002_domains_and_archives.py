"""A function's own host names, unique over all functions, and the archive that its code came in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    domains = sa.JSON().with_variant(sa.Text(), "sqlite")
    op.add_column("functions", sa.Column("domains", domains, nullable=False, server_default="[]"))
    op.add_column("functions", sa.Column("archive_sha256", sa.Text, nullable=False, server_default=""))
    op.create_table(
        "function_domains",
        sa.Column("domain", sa.Text, primary_key=True),
        sa.Column(
            "function_id",
            sa.Text,
            sa.ForeignKey("functions.id", ondelete="CASCADE", name="domains_of_function"),
            nullable=False,
        ),
    )
    op.create_index("function_domains_function", "function_domains", ["function_id"])
