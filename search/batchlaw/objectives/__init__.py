"""What a trial runs: a built-in task, a function or a program."""
