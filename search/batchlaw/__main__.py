"""`python -m batchlaw` is the command `batchlaw`."""

import os
import sys

if __name__ == "__main__":
    # `python -m` puts the working folder first, where a user's torch.py would be imported in place of PyTorch.
    if not sys.flags.safe_path and sys.path[0] in ("", os.getcwd()):  # noqa: PTH109  (as Python wrote it)
        del sys.path[0]
    from batchlaw.cli import main

    main()
