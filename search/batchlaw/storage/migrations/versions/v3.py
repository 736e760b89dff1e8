"""Add a column to the table of workers, for `batchlaw stop`; rename batchlaw_boards, the table of pages."""

import sqlalchemy as sa
from alembic import op

revision = "3"
down_revision = "2"


def upgrade() -> None:
    """Change the tables, as far as an earlier attempt has not done it."""
    found = sa.inspect(op.get_bind())
    if all(column["name"] != "stop" for column in found.get_columns("batchlaw_workers")):
        op.add_column("batchlaw_workers", sa.Column("stop", sa.String(8)))
    if not found.has_table("batchlaw_pages"):
        op.rename_table("batchlaw_boards", "batchlaw_pages")
