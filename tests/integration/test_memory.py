"""Code of the user's own that runs out of memory: smaller micro-batches, the same batch, and all trials know of it."""

import json
from contextlib import nullcontext

import batchlaw as bl
import pytest
import tomli_w

PROGRAM = """
import json, os, signal, sys
batch_size, micro, parts = map(int, sys.argv[1:4])
with open("log", "a") as file:
    file.write(json.dumps([batch_size, micro, parts]) + "\\n")
print(json.dumps({"loss": 2.0, "progress": 0.25}), flush=True)
if micro > int(os.environ.get("FITS", "5")):
    if micro % 3 == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    sys.exit("torch.OutOfMemoryError: CUDA out of memory.")
for share in (0.25, 0.5, 1.0):
    print(json.dumps({"loss": 1.0 / share, "progress": share}))
"""
WORDS = ["python", "program.py", "{batch_size}", "{micro_batch_size}", "{accumulate}"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "program.py").write_text(PROGRAM)
    return tmp_path


def study_of(folder, **keys):
    """A study whose first trial has a batch of 24, of which 5 fit at once."""
    search = {"metric": "loss", "direction": "minimize", "trials": 1, "sampler": "random", "pruner": "none",
              "confirm": False, "reports": 4, "start": [{"batch_size": 24}]}  # fmt: skip
    table = {"name": "full", "train_size": 96, "budget": {"epochs": 1}, "space": {"batch_size": [24, 32]}}
    (folder / "full.toml").write_text(tomli_w.dumps(table | {"search": search} | keys))
    return bl.Study.create(folder / "full.toml", f"sqlite:///{folder / 'full.db'}")


def calls(folder):
    return [json.loads(line) for line in (folder / "log").read_text().splitlines()]


def test_a_program_computes_less_at_once_until_it_fits(folder):
    study = study_of(folder, command=WORDS).run(workers=0, progress=False)
    assert calls(folder) == [[24, 24, 1], [24, 12, 2], [24, 6, 4], [24, 3, 8]]  # the batch is that which was searched
    assert study.trials()["outcome"].tolist() == ["complete"]
    shown = study.show(0)
    assert "  computed   3 examples at once, in 8 parts of each batch" in shown.lines()
    assert [point["progress"] for point in shown.as_dict()["curve"]] == [0.25, 0.5, 1.0]  # of the last run alone
    assert study.export("command").endswith("program.py 24 3 8")
    status = study.status()
    assert status.as_dict()["fits"] == {"cpu": {"most": 3, "refused": 6}}
    assert status.fits["cpu"].line("cpu") == "cpu: at most 3 examples at once, since 6 ran out of memory"
    # Another worker knows it.
    study.run(workers=1, trials=3, progress=False)
    later = calls(folder)[4:]
    assert len(later) == 2 and {tuple(call) for call in later} <= {(24, 3, 8), (32, 2, 16)}


@pytest.mark.parametrize(
    ("fits", "keys", "called"),
    [
        ("0", {"command": WORDS}, 6),  # not one example
        ("5", {"command": [*WORDS[:3], "{batch_size}", "1"]}, 1),  # a program that is not told how many at once
        ("4", {"command": WORDS, "micro_batch_size": 4}, 1),  # what the study says fits
    ],
)
def test_what_is_learnt_is_what_was_seen_to_fit(folder, monkeypatch, fits, keys, called):
    monkeypatch.setenv("FITS", fits)
    study = study_of(folder, **keys)
    with nullcontext() if fits == "4" else pytest.raises(bl.WorkFailed, match="memory"):
        study.run(workers=0, progress=False)
    assert len(calls(folder)) == called and study.status().fits == {}
    assert study.trials()["outcome"].tolist() == ["complete" if fits == "4" else "out-of-memory"]


FUNCTION = """
from pathlib import Path
import torch

def train(trial):
    with open("log", "a") as file:
        print([trial.batch_size, trial.micro_batch_size, trial.accumulate], file=file)
    if trial.micro_batch_size > 5:
        torch.empty(trial.micro_batch_size * 2**50)
    return {"loss": 1.0}
"""


def test_a_function_computes_less_at_once_until_it_fits(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "function_that_fills.py").write_text(FUNCTION)
    study = study_of(folder, objective="function_that_fills:train").run(workers=0, progress=False)
    assert calls(folder) == [[24, 24, 1], [24, 12, 2], [24, 6, 4], [24, 3, 8]]
    assert study.status().fits == {"cpu": (3, 6)} and study.trials()["outcome"].tolist() == ["complete"]


def test_a_note_that_is_none_is_told_and_left_alone(folder, caplog):
    study = study_of(folder, command=WORDS)
    study.stored.study.set_user_attr("batchlaw:fit:cpu", [0, "many"])
    assert study.status().fits == {} and "what fits as stored cannot be read" in caplog.text


def test_a_loop_of_ones_own_that_runs_out_of_memory_is_given_less_at_once(folder):
    study = bl.Study.create(
        name="loop", metric="loss", direction="minimize", trials=2, train_size=96, epochs=1, space={"batch_size": 24},
        sampler="random", pruner="none", storage=f"sqlite:///{folder / 'loop.db'}",
    )  # fmt: skip
    sizes = []
    while (trial := study.ask()) is not None:
        sizes.append(trial.micro_batch_size)
        fits = sizes[-1] <= 3
        study.tell(trial, {"loss": 1.0} if fits else MemoryError("pretended"))
    assert sizes == [24, 12, 6, 3, 3] and study.status().fits == {"cpu": (3, 6)}
    assert study.trials()["outcome"].tolist() == ["failed"] * 3 + ["complete"] * 2
