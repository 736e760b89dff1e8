"""Having the workers of a study leave."""

import os
import socket
import time

from batchlaw.interrupts import StopRequest
from batchlaw.storage import StoredStudy, ask_to_stop

_LOOK_SECONDS = 0.5


def stop_study(stored: StoredStudy, request: StopRequest, *, wait: bool) -> int:
    """See `Study.stop`."""
    here, asked = (socket.gethostname()[:255], os.getpid()), set[str]()
    while True:
        live = ask_to_stop(stored.storage.engine, stored.study_id, request)  # also those that have just started
        asked |= {worker.worker for worker in live}
        if not wait or all((worker.host, worker.pid) == here for worker in live):
            return len(asked)
        time.sleep(_LOOK_SECONDS)
