"""How often a row has changed, whoever changed it: writers compare it, and copies of the row are told apart.

Also by programs that know nothing of it (the version before, or by another hand): the database counts.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("functions", sa.Column("generation", sa.BigInteger, nullable=False, server_default="1"))
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE TRIGGER functions_generation AFTER UPDATE ON functions"
            " WHEN NEW.generation = OLD.generation"
            " BEGIN UPDATE functions SET generation = OLD.generation + 1 WHERE id = NEW.id; END"
        )
        return
    op.execute(
        "CREATE FUNCTION functions_generation() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.generation = OLD.generation + 1; RETURN NEW; END $$"
    )
    op.execute(
        "CREATE TRIGGER functions_generation BEFORE UPDATE ON functions FOR EACH ROW"
        " WHEN (NEW.generation = OLD.generation) EXECUTE FUNCTION functions_generation()"
    )
