"""The id that callers see, beside the record's own: a caller may use one several times."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("invocations", sa.Column("call_id", sa.Text, nullable=False, server_default=""))
