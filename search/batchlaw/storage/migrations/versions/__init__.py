"""The migrations: a file each."""
