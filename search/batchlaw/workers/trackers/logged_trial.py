"""A finished trial in the plain values that every library takes."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LoggedTrial:
    """What is logged of a trial.

    Attributes:
        study: the folder of the study's files: its first name, and an identity that no other study has.
        number: of the trial.
        ok: whether it ended with a result; not if it failed, or ran out of memory.
        started: in seconds since 1970.
        ended: likewise.
        params: its hyperparameters as it used them, and what follows from them.
        points: its metrics by step, in the order of the steps; the last are those of its end.
        tags: text about it, "study" and "outcome" among it.
    """

    study: str
    number: int
    ok: bool
    started: float
    ended: float
    params: dict[str, bool | int | float | str]
    points: list[tuple[int, dict[str, float]]]
    tags: dict[str, str]
