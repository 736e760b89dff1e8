"""Names of the user attributes that workers write to a trial."""

CONFIG = "config"  # its TrainConfig
RESULT = "result"  # its TrialResult
THREADS = "threads"  # of the CPU: fixed when it starts, and taken again wherever it or a repeat of it runs on
OUTCOME = "outcome"  # where Optuna's state of the trial does not tell it: every one but complete and pruned
REASON = "reason"  # of the outcome, one line
TRACEBACK = "traceback"  # of a failed trial
RETRY_OF, RETRIES = "retry_of", "retries"  # the number of the trial that it repeats, and how many repeats that makes
ARGUMENTS = "arguments"  # of a program, as it was run: a list of texts
OUTPUT = "output"  # of a program: its last lines, at most 200 of both outputs together
