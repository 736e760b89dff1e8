"""Workers forked from one process, which imports everything once: a study file on each line of the input.

It prints the PID of each, and when the input ends and all workers have ended their exit codes.
"""

import os
import sys

from batchlaw.objectives.runtime import Runtime
from batchlaw.study import Study
from batchlaw.workers.worker import Worker

assert Runtime and Worker  # what a worker imports
workers = []
for line in sys.stdin:
    file, url = line.split()
    if (pid := os.fork()) == 0:
        Study.create(file, url).run(workers=0, progress=False)
        os._exit(0)
    workers.append(pid)
    print(pid, flush=True)
print([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in workers])
