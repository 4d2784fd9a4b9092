"""Which database it is: gateways over one registry must have the same one, and its copies are the same."""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    table = op.create_table("aether_database", sa.Column("id", sa.Text, primary_key=True))
    op.bulk_insert(table, [{"id": secrets.token_hex(10)}])
