"""Add a column for `batchlaw stop` to the workers; rename the table of pages; hold JSON past 64 KB on MySQL."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "3"
down_revision = "2"


def upgrade() -> None:
    """Change the tables, as far as an earlier attempt has not done it."""
    found = sa.inspect(op.get_bind())
    if all(column["name"] != "stop" for column in found.get_columns("batchlaw_workers")):
        op.add_column("batchlaw_workers", sa.Column("stop", sa.String(8)))
    if not found.has_table("batchlaw_pages"):
        op.rename_table("batchlaw_boards", "batchlaw_pages")
    if op.get_bind().dialect.name == "mysql":
        _widen(found)


def _widen(found: sa.Inspector) -> None:
    """Give Optuna's columns of JSON the length that they have in other databases; TEXT ends at 64 KB."""
    for table in found.get_table_names():
        for column in [] if table.startswith("batchlaw_") else found.get_columns(table):
            if column["name"].endswith("_json") and not isinstance(column["type"], mysql.LONGTEXT):
                op.alter_column(
                    table, column["name"], type_=mysql.LONGTEXT(),
                    existing_type=column["type"], existing_nullable=column["nullable"],
                )  # fmt: skip
