"""Leaves processes behind in every way: in its session, in one of their own, and without parent and environment."""

import json
import subprocess
import sys
import time
from pathlib import Path

SLEEP = "import time; time.sleep(3600)"
DETACHED = f"""
import os, subprocess, sys
if os.fork() == 0:
    os.setsid()
    print(subprocess.Popen([sys.executable, "-c", {SLEEP!r}], env={{}}, stdout=-3, stderr=-3).pid, flush=True)
    os._exit(0)
"""


def main() -> None:
    pids = [
        subprocess.Popen([sys.executable, "-c", SLEEP]).pid,
        subprocess.Popen([sys.executable, "-c", SLEEP], start_new_session=True).pid,
    ]
    if "detached" in sys.argv:
        found = subprocess.run([sys.executable, "-c", DETACHED], capture_output=True, text=True, check=True)
        pids.append(int(found.stdout))
    Path(sys.argv[1]).write_text(json.dumps(pids))
    print(json.dumps({"progress": 0.5, "validation_loss": 1.0}), flush=True)
    if "stays" in sys.argv:
        time.sleep(3600)
    print(json.dumps({"validation_loss": 0.5}))


if __name__ == "__main__":
    main()
