"""Other libraries' training loops under a study: each module is imported by its users, and by nothing else here."""
