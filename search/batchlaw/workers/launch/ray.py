"""Workers as tasks of a Ray cluster, through Ray's own API."""

import logging
from datetime import datetime
from typing import Any

from batchlaw.errors import BatchlawError
from batchlaw.workers.fleet import WorkerEnd
from batchlaw.workers.launch import process


class RayFleet:
    """The worker tasks of one launch; leaving the context cancels what still runs."""

    def __init__(
        self,
        arguments: list[str],
        *,
        storage_url: str,
        workers: int,
        threads: int | None,
        cores: int,
        gpus_per_worker: int | None,
        workers_per_gpu: int | None,
    ) -> None:
        """Start on the cluster of `RAY_ADDRESS`, or on a new cluster of this machine.

        Raises:
            BatchlawError: Ray is missing, or its cluster cannot be reached.
        """
        try:
            import ray
        except ModuleNotFoundError:
            raise BatchlawError("Ray is not installed: pip install 'batchlaw[ray]'") from None
        self._ray: Any = ray
        try:
            ray.init(logging_level=logging.ERROR, log_to_driver=False, include_dashboard=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise BatchlawError(f"Ray: {' '.join(str(error).split())}") from None
        gpus = 1 / workers_per_gpu if workers_per_gpu else gpus_per_worker or 0
        # By value: Ray puts this process's working folder first on the path of its workers, and a batchlaw.py in there
        # would be imported.
        self._ray.cloudpickle.register_pickle_by_value(process)
        self.started = datetime.now()
        task = ray.remote(num_cpus=threads or cores, num_gpus=gpus, max_retries=0)(process.run_worker)
        environment = process.worker_environment(storage_url, threads, cores)
        self._tasks = [task.remote(arguments, environment) for _ in range(workers)]

    def __enter__(self) -> "RayFleet":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._ray.wait(self._tasks, num_returns=len(self._tasks), timeout=30)
        self._ray.shutdown()

    @property
    def running(self) -> int:
        """How many workers have not ended, including those that wait for a free place in the cluster."""
        _, left = self._ray.wait(self._tasks, num_returns=len(self._tasks), timeout=0)
        return len(left)

    def stop(self) -> None:
        """Ask every worker to hand its trial back and end."""
        for task in self._tasks:
            self._ray.cancel(task)

    def ends(self) -> list[WorkerEnd]:
        """How each worker ended; call it when none is running. The output of workers is in Ray's logs."""
        ends = []
        for index, task in enumerate(self._tasks):
            try:
                code, line = int(self._ray.get(task)), "see Ray's logs"
            except Exception as error:  # the task or its node failed
                code, line = 1, (str(error).splitlines() or [type(error).__name__])[-1]
            ends.append(WorkerEnd(worker=index, exit_code=code, last_line=line))
        return ends
