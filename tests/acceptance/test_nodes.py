"""A trial over several machines: two nodes of a Ray cluster, and two agents of torchrun under submitit's executor."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import batchlaw as bl
import pytest
import tomli_w

from tests.acceptance.conftest import command, environment
from tests.leftovers import processes
from tests.waiting import wait_for

pytestmark = pytest.mark.filterwarnings("ignore")
TRAINERS = Path(__file__).parents[1] / "integration" / "trainers"
FUNCTION = """
import json, os
from pathlib import Path
import with_ddp

def train(trial):
    os.environ["SLOW"] = Path(__file__).with_name("slow").read_text()
    place = trial.run_dir / f"rank-{os.environ['RANK']}.json"
    place.write_text(json.dumps([os.environ["WORLD_SIZE"], os.environ.get("RAY_RAYLET_PID")]))
    return with_ddp.train(trial)
"""
ENDINGS = {"interrupted": {"waiting": 1}, "killed": {"lost": 1}, "a node is lost": {"failed": 1, "waiting": 1}}
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs pip install 'batchlaw[ray]'")


@pytest.fixture
def study(tmp_path):
    """A function that registers a study whose trials have two devices on two nodes."""

    def create(slow="0", **keys):
        (tmp_path / "slow").write_text(slow)
        for name in ("with_ddp.py", "nodes.sh"):
            shutil.copy(TRAINERS / name, tmp_path)
        (tmp_path / "placed.py").write_text(FUNCTION)
        table = {
            "name": "placed", "objective": "placed:train", "devices": 2, "nodes": 2, "train_size": 96,
            "space": {"batch_size": 16, "base_lr": 0.1}, "budget": {"epochs": 4},
            "search": {"metric": "loss", "direction": "minimize", "trials": 1, "pruner": "none", "confirm": False},
        }  # fmt: skip
        (tmp_path / "placed.toml").write_text(tomli_w.dumps(table | keys))
        return bl.Study.create(tmp_path / "placed.toml", f"sqlite:///{tmp_path / 'batchlaw.db'}")

    return create


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A Ray cluster of two nodes beside its head, all on this machine."""
    monkeypatch.setenv("HOME", str(tmp_path))  # where the folders of trials lie
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


@pytest.fixture
def launched(tmp_path, cluster, popen):
    """A function that starts `batchlaw launch` on the cluster, in the folder of the study."""

    def start():
        return popen(
            command("launch", "placed.toml", "--on", "ray", "--threads", 1), cwd=tmp_path,
            env=environment(tmp_path) | {"RAY_ADDRESS": cluster.address}, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    return start


def raylet(node):
    return node.all_processes["raylet"][0].process.pid


def raylet_of(pid):
    """The process of the node that a process was started on."""
    lines = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return int(dict(line.split("=", 1) for line in lines if line)["RAY_RAYLET_PID"])


def ranks():
    return [pid for pid, line in processes().items() if "batchlaw.objectives.rank" in line and "torch.dist" not in line]


@needs_ray
@pytest.mark.slow
def test_a_trial_has_two_nodes_of_a_ray_cluster(study, launched, tmp_path):
    placed = study()
    assert launched().wait() == 0
    assert placed.trials()["outcome"].tolist() == ["complete"]
    found = [json.loads(path.read_text()) for path in (tmp_path / ".cache").rglob("rank-*.json")]
    assert [size for size, _ in found] == ["2", "2"] and len({raylet for _, raylet in found}) == 2


@needs_ray
@pytest.mark.release
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_trial_on_two_nodes_ends_on_both(ending, study, launched, cluster):
    placed = study(slow="3600")
    launch = launched()
    wait_for(lambda: len(ranks()) == 2)
    (worker,) = [pid for pid, line in processes().items() if "-m batchlaw worker" in line]
    if ending == "interrupted":
        launch.send_signal(signal.SIGINT)
    elif ending == "killed":
        os.kill(worker, signal.SIGKILL)
    else:
        cluster.remove_node(next(node for node in cluster.worker_nodes if raylet(node) != raylet_of(worker)))
        wait_for(lambda: placed.status().outcomes.get("failed"))  # and the repeat waits for another node
        launch.send_signal(signal.SIGINT)
    wait_for(lambda: not ranks())
    assert launch.wait() != 0
    outcomes = {name: n for name, n in placed.status().outcomes.items() if n}
    assert outcomes == ENDINGS[ending]


@pytest.mark.skipif(importlib.util.find_spec("submitit") is None, reason="needs pip install 'batchlaw[slurm]'")
@pytest.mark.release
def test_a_launcher_of_ones_own_starts_the_nodes_of_a_job(study, batchlaw, tmp_path):
    placed = study(launcher=["sh", "nodes.sh", "{devices / nodes}"])
    batchlaw("launch", tmp_path / "placed.toml", "--on", "slurm", "--slurm-here", "--logs", tmp_path / "logs")
    wait_for(lambda: placed.status().state == "done")
    assert placed.trials()["outcome"].tolist() == ["complete"]
    (worker,) = placed.status().workers
    assert worker.trials_done == 1


def test_workers_of_one_machine_are_refused(study, batchlaw_here, tmp_path):
    placed = study()
    said = batchlaw_here("run", tmp_path / "placed.toml", code=2).stderr
    assert "nodes: got 2; start workers by `batchlaw launch --on slurm` or `--on ray`, or give a launcher" in said
    assert placed.trials().empty
