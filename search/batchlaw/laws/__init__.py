"""What a study says about moving from one batch size to another: its law, and the practical answers that follow."""

from batchlaw.laws.law import Law, known_laws, laws_of

__all__ = ["Law", "known_laws", "laws_of"]
