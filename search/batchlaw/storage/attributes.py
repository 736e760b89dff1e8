"""The user attributes that workers write to a trial: their names, and what each must be."""

from collections.abc import Callable, Mapping
from typing import Any

from batchlaw.recipe.result import Outcome
from batchlaw.storage.stored_values import check_list, check_mapping, check_text, check_whole, check_word

CONFIG = "config"  # its TrainConfig
RESULT = "result"  # its TrialResult
THREADS = "threads"  # of the CPU: fixed when it starts, and taken again wherever it or a repeat of it runs on
OUTCOME = "outcome"  # where Optuna's state of the trial does not tell it: every one but complete and pruned
REASON = "reason"  # of the outcome, one line
TRACEBACK = "traceback"  # of a failed trial
RETRY_OF = "retry_of"  # the number of the trial that it repeats
START = "start"  # of a trial that was queued when the study was made: the parameters that it was queued with
RETRIES, LOSSES = "retries", "losses"  # how many failures and how many dead workers of its parameters came before
ARGUMENTS = "arguments"  # of a program, as it was run: a list of texts
BREAKS = "breaks"  # of a trial that ended: the bounds of its search that it exceeds, by key of [search]
CODE = "code"  # a hash of the user's code that it ran
CONFIRMS = "confirms"  # of a trial on fresh seeds: whose configuration it trains ("trial"), "purpose" and "fold"
TURN = "turn"  # of an adaptive claim: trials of the same turn share their seeds
OUTPUT = "output"  # of a program: its last lines, at most 200 of both outputs together

PURPOSES = ("race", "score")  # of a trial on fresh seeds: to choose among contenders, or to score the chosen one

_CHECKS: dict[str, Callable[[object, str], None]] = {
    CONFIG: check_mapping, RESULT: check_mapping, REASON: check_text, TRACEBACK: check_text, ARGUMENTS: check_list,
    OUTPUT: check_list, BREAKS: check_list, CODE: check_text, START: check_mapping, RETRY_OF: check_whole,
    RETRIES: check_whole, LOSSES: check_whole, THREADS: check_whole, TURN: check_whole,
    CONFIRMS: lambda value, name: _check_confirms(value, name),
    OUTCOME: lambda value, name: check_word(value, name, tuple(Outcome)),
}  # fmt: skip


# Of other trials that have ended a worker reads none of these, and of the result only what the race needs. They are
# long; whoever reads records reads them anew.
_NOT_CACHED = (CONFIG, ARGUMENTS, OUTPUT, TRACEBACK)
_OF_RESULT = ("replicate_values", "train_seconds", "seconds")


def shortened(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a trial that has ended, as far as other trials are chosen by them."""
    found = {name: value for name, value in attributes.items() if name not in _NOT_CACHED}
    if isinstance(result := found.get(RESULT), dict):
        found[RESULT] = {name: result[name] for name in _OF_RESULT if name in result}
    return found


def _check_confirms(value: object, name: str) -> None:
    """A race on fresh seeds, or the score of its winner."""
    check_mapping(value, name)
    assert isinstance(value, dict)
    check_whole(value.get("trial"), f"{name}.trial")
    check_word(value.get("purpose"), f"{name}.purpose", PURPOSES)
    check_whole(value.get("fold", 0), f"{name}.fold")


def check_attribute(name: str, value: object) -> None:
    """Check an attribute of a trial.

    Raises:
        Unreadable: it is none that a worker writes.
    """
    if check := _CHECKS.get(name):
        check(value, name)
