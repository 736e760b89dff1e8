"""Workers as tasks of a Ray cluster, through Ray's own API."""

import logging
import os
import time
import uuid
from datetime import datetime
from typing import Any

from batchlaw.errors import BatchlawError
from batchlaw.workers.fleet import WorkerEnd
from batchlaw.workers.launch import process, ray_nodes


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
        nodes: int = 1,
    ) -> None:
        """Start on the cluster of `RAY_ADDRESS`, or on a new cluster of this machine.

        With several `nodes` each worker has a placement group of as many machines, among which its cores are not
        shared and its GPUs are.

        Raises:
            BatchlawError: Ray is missing, or its cluster cannot be reached.
        """
        try:
            import ray
        except ModuleNotFoundError:
            raise BatchlawError("Ray is not installed: pip install 'batchlaw[ray]'") from None
        self._ray: Any = ray
        try:
            ray.init(
                namespace=ray_nodes.NAMESPACE, logging_level=logging.ERROR, log_to_driver=False, include_dashboard=False
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise BatchlawError(f"Ray: {' '.join(str(error).split())}") from None
        gpus = 1 / workers_per_gpu if workers_per_gpu else gpus_per_worker or 0
        # By value: Ray puts this process's working folder first on the path of its workers, and a batchlaw.py in there
        # would be imported.
        self._ray.cloudpickle.register_pickle_by_value(process)
        self.started, self.began = datetime.now(), time.monotonic()
        cpus, gpus = threads or cores, gpus if nodes == 1 else gpus // nodes
        task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(process.run_worker)
        environment = process.worker_environment(storage_url, threads, cores)
        self._tasks = []
        for _ in range(workers):
            placed, where = (task, {}) if nodes == 1 else self._placed(task, nodes, {"CPU": cpus, "GPU": gpus})
            self._tasks.append(placed.remote(arguments, environment | where))

    def _placed(self, task: Any, nodes: int, share: dict[str, float]) -> tuple[Any, dict[str, str]]:
        """A task on the first of several nodes that are its own, and what its processes need to find the others."""
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        from batchlaw.objectives.ranks import ON_NODES

        name = uuid.uuid4().hex
        bundle = {resource: amount for resource, amount in share.items() if amount}
        group = self._ray.util.placement_group([bundle] * nodes, strategy="STRICT_SPREAD", name=name)
        address = self._ray.get_runtime_context().gcs_address
        return (
            task.options(scheduling_strategy=PlacementGroupSchedulingStrategy(group, 0)),
            {ray_nodes.GROUP: name, "RAY_ADDRESS": address, ON_NODES: os.environ[ON_NODES]},
        )

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
