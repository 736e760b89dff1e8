"""Create the tables of slots, workers and pages.

Databases of the versions 1 and 2 were made without Alembic; this adds what they lack.
"""

import time

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = None

metadata = sa.MetaData()
sa.Table("batchlaw_schema", metadata, sa.Column("version", sa.Integer, primary_key=True, autoincrement=False))
slots = sa.Table(
    "batchlaw_slots",
    metadata,
    sa.Column("study_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("slot", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("state", sa.String(8), nullable=False),
    sa.Column("trial_id", sa.Integer),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("holder", sa.String(32)),
    sa.Column("process_space", sa.String(255)),
    sa.Column("pid", sa.Integer),
    sa.Column("lease_until", sa.Float(53)),
    sa.Index("batchlaw_slots_by_state", "study_id", "state", "slot"),
)
sa.Table(
    "batchlaw_workers",
    metadata,
    sa.Column("worker", sa.String(32), primary_key=True),
    sa.Column("study_id", sa.Integer, nullable=False),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("process_space", sa.String(255), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("device", sa.String(255), nullable=False),
    sa.Column("threads", sa.Integer, nullable=False),
    sa.Column("state", sa.String(8), nullable=False),
    sa.Column("trial", sa.Integer),
    sa.Column("trials_done", sa.Integer, nullable=False),
    sa.Column("started", sa.Float(53), nullable=False),
    sa.Column("last_seen", sa.Float(53), nullable=False),
    sa.Index("batchlaw_workers_by_study", "study_id"),
)
boards = sa.Table(
    "batchlaw_boards",
    metadata,
    sa.Column("study_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("holder", sa.String(32)),
    sa.Column("held_until", sa.Float(53), nullable=False),
    sa.Column("due", sa.Float(53), nullable=False),
    sa.Column("drawn", sa.Integer, nullable=False),
)


def upgrade() -> None:
    """Create what is missing, and the rows of pages of studies from version 1."""
    connection = op.get_bind()
    for table in metadata.sorted_tables:
        table.create(connection, checkfirst=True)
        for index in table.indexes:
            index.create(connection, checkfirst=True)
    studies = sa.select(slots.c.study_id).distinct().where(slots.c.study_id.not_in(sa.select(boards.c.study_id)))
    now = time.time()
    for study_id in connection.scalars(studies).all():
        connection.execute(boards.insert().values(study_id=study_id, held_until=now, due=now + 60, drawn=0))
