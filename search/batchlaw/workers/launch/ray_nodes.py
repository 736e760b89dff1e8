"""Run a command on each node of a trial's placement group; it ends on all of them together. On Slurm srun does this.

python -m batchlaw.workers.launch.ray_nodes COMMAND…

On the first node, where the worker is, the command runs as a process of this one. On the others a task of Ray runs it.
"""

import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

GROUP = "BATCHLAW_RAY_GROUP"  # in the environment: the name of the placement group
NAMESPACE = "batchlaw"  # of Ray
_KILLED = 128
_POLL_SECONDS = 0.1
_END_SECONDS = 10.0  # for a task to end its command


def main(command: Sequence[str]) -> int:
    """Run a command on each node, print what it prints anywhere, and return the first exit code that is not 0."""
    import ray
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    signal.signal(signal.SIGTERM, _end)
    folder = os.getcwd()  # noqa: PTH109
    here = subprocess.Popen(command)
    os.chdir("/")  # Ray has its workers import from this process's working folder
    ray.init(address=os.environ["RAY_ADDRESS"], namespace=NAMESPACE, logging_level=logging.ERROR, log_to_driver=False)
    group: Any = ray.util.get_placement_group(os.environ[GROUP])
    given = {name: text for name, text in os.environ.items() if not name.startswith(("RAY_", "CUDA_VISIBLE_"))}
    codes: queue.SimpleQueue[int] = queue.SimpleQueue()
    there = [
        ray.remote(num_cpus=0, num_gpus=bundle.get("GPU", 0), max_retries=0)(_lines)
        .options(scheduling_strategy=PlacementGroupSchedulingStrategy(group, index))
        .remote(command, folder, given)
        for index, bundle in enumerate(group.bundle_specs)
        if index > 0
    ]
    threading.Thread(target=lambda: codes.put(here.wait()), daemon=True).start()
    following = [threading.Thread(target=_follow, args=(ray, task, codes), daemon=True) for task in there]
    for thread in following:
        thread.start()
    try:
        for _ in range(1 + len(there)):
            if code := codes.get():
                return code if code > 0 else _KILLED - code
        return 0
    finally:
        here.terminate()
        for task in there:
            ray.cancel(task)
        here.wait()
        for thread in following:
            thread.join(_END_SECONDS)  # Ray ends tasks whose driver has ended before they can end what they started


def _end(number: int, _: object) -> None:
    raise SystemExit(_KILLED + number)


def _lines(command: Sequence[str], folder: str, environment: Mapping[str, str]) -> Iterator[str | int]:
    """Run a command in this task, and give its lines and at last its exit code."""
    from batchlaw.objectives.processes import MARK, Watchdog, end_all

    mark = f"{environment[MARK]}-{os.getpid()}"
    watchdog = Watchdog(mark)
    process = subprocess.Popen(
        command, cwd=folder, env={**os.environ, **environment, MARK: mark}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, text=True, errors="replace",
    )  # fmt: skip
    watchdog.watch(process.pid)
    try:
        output: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=_read, args=(process, output), daemon=True).start()
        while True:
            with suppress(queue.Empty):
                if (line := output.get(timeout=_POLL_SECONDS)) is None:  # a request to stop interrupts no longer wait
                    break
                yield line
        yield process.wait()
    finally:
        end_all(process.pid, mark)
        watchdog.close()


def _read(process: "subprocess.Popen[str]", output: "queue.SimpleQueue[str | None]") -> None:
    """Pass on the lines of a process, and None at their end."""
    assert process.stdout is not None
    for line in process.stdout:
        output.put(line)
    output.put(None)


def _follow(ray: Any, task: Any, codes: "queue.SimpleQueue[int]") -> None:
    """Print the lines of a task, and pass on the exit code."""
    code = 1
    try:
        for each in task:
            told = ray.get(each)
            if isinstance(told, str):
                sys.stdout.write(told)
                sys.stdout.flush()
            else:
                code = told
    except Exception as error:  # the task or its node failed
        sys.stderr.write(f"{error}\n")
    codes.put(code)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
