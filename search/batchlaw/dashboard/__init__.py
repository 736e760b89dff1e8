"""optuna-dashboard over the studies of a database, with what batchlaw knows of their trials.

Nothing is imported here: a worker needs `refresh` alone, and the server's libraries take seconds to import.
"""
