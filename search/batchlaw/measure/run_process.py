"""One of the processes of a `batchlaw.measure.run_pool.RunPool`: it trains the runs that it is told, one by one.

python -m batchlaw.measure.run_process DESCRIPTOR FOLDER

The descriptor is that of a connection: first comes the study, then a request for each run, which is answered.
"""

import json
import os
import queue
import signal
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, closing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from batchlaw.cores import cores
from batchlaw.errors import BatchlawError, Diverged, Interrupted
from batchlaw.interrupts import Interrupts
from batchlaw.objectives.devices import Devices
from batchlaw.objectives.function import error_line, load_user_code, train_function
from batchlaw.objectives.machine_device import MachineDevice
from batchlaw.objectives.processes import adopt_orphans
from batchlaw.objectives.runtime import Runtime
from batchlaw.spec import StudySpec, TrainConfig

_IDLE_SECONDS = 0.1  # between looks for free devices


def main(connection: Connection, folder: Path) -> None:
    """Train until the other end is closed.

    Args:
        connection: to the pool.
        folder: of the study file.
    """
    interrupts = Interrupts()
    interrupts.install()
    adopt_orphans()
    spec = StudySpec.model_validate_json(connection.recv_bytes())
    requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, requests), daemon=True).start()
    runtime = Runtime(MachineDevice("cpu", "cpu"), Path(), load_user_code(spec, folder), interrupts)
    runtime.threads.use(cores())
    with closing(runtime), closing(Devices(spec)) as devices:
        try:
            while (request := requests.get()) is not None:
                answer = _answer(json.loads(request), spec, runtime, devices)
                connection.send_bytes(json.dumps(answer).encode())
        except (Interrupted, BrokenPipeError):  # the pool is no more
            return


def _listen(connection: Connection, requests: "queue.SimpleQueue[bytes | None]") -> None:
    """Pass on what the pool asks for; at its end, whatever ended it, stop the run under way."""
    try:
        while True:
            requests.put(connection.recv_bytes())
    except (EOFError, OSError):
        requests.put(None)
        os.kill(os.getpid(), signal.SIGTERM)


def _answer(request: dict[str, Any], spec: StudySpec, runtime: Runtime, devices: Devices) -> dict[str, Any]:
    """Train one run: its metrics, that it diverged, or why it failed."""
    config = TrainConfig.model_validate_json(request["config"])
    with ExitStack() as stack, runtime.interrupts.armed(None):
        while not stack.enter_context(devices.taken()):
            time.sleep(_IDLE_SECONDS)
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="batchlaw-"))  # nothing to resume from
        try:
            score = train_function(
                config, spec, lambda progress, metrics: None, runtime, Path(folder), number=request["number"]
            )
        except Diverged as ending:
            return {"diverged": dict(ending.untrained)}
        except BatchlawError as error:
            return {"error": str(error)}
        except Exception as error:  # whatever the user's code raises
            return {"error": error_line(error)}
    return {"diverged": {}} if score.diverged else {"metrics": score.replicates[0]}


if __name__ == "__main__":
    main(Connection(int(sys.argv[1])), Path(sys.argv[2]))
