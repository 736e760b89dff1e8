"""Statistics as pure functions on numbers and arrays: no Optuna, no torch."""
