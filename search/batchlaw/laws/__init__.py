"""How the best learning rate moves with the batch size, and what follows for batch sizes that were not tried."""

from batchlaw.laws.law import Law
from batchlaw.laws.studies import best_rate, known_laws, laws_of

__all__ = ["Law", "best_rate", "known_laws", "laws_of"]
