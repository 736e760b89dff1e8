"""Alembic runs this file, which runs the migrations on the connection that it is given."""

from alembic import context

from batchlaw.storage.migrations import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"], version_table=VERSION_TABLE, transactional_ddl=True
)
context.run_migrations()
