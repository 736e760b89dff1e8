"""`python -m search` is the command `batchlaw`."""

from batchlaw.cli import main

if __name__ == "__main__":
    main()
