"""`batchlaw init`: the flags of scripts, against lists that were checked by hand, and the study files written."""

import re
import tomllib
from pathlib import Path

import batchlaw as bl
import pytest
from batchlaw.errors import BatchlawError, DataError
from batchlaw.recipe.arguments import check_arguments, check_reaches
from batchlaw.recipe.derive import check_space
from batchlaw.scripts import read_script, study_text
from batchlaw.scripts.help_text import flags_of_help
from batchlaw.scripts.printed import printed_metrics, printed_progress
from batchlaw.scripts.roles import recognised
from batchlaw.scripts.script import Flag
from batchlaw.spec import parse_spec

SCRIPTS = Path(__file__).parents[1] / "data" / "scripts"
# By hand: every flag that a study of the script should fill in, and with what. All others are to be left alone.
PLACED = {
    "mnist_flags.py": {"--batch-size": "{batch_size}", "--lr": "{lr}", "--epochs": "{budget}", "--seed": "{seed}"},
    "word_language_flags.py": {
        "--batch_size": "{batch_size}", "--lr": "{lr}", "--epochs": "{budget}", "--dropout": "{dropout}",
        "--seed": "{seed}", "--save": "{run_dir}/model.pt",
    },
    "nanogpt_flags.py": {
        "--batch_size": "{micro_batch_size}", "--gradient_accumulation_steps": "{accumulate}",
        "--learning_rate": "{lr}", "--min_lr": "{lr / 10}", "--max_iters": "{steps}", "--lr_decay_iters": "{steps}",
        "--warmup_iters": "{warmup_steps}", "--weight_decay": "{weight_decay}", "--dropout": "{dropout}",
        "--out_dir": "{run_dir}",
    },
    "run_clm_flags.py": {
        "--per_device_train_batch_size": "{micro_batch_size}", "--gradient_accumulation_steps": "{accumulate}",
        "--learning_rate": "{lr}", "--optim": "{optimizer}", "--num_train_epochs": "{budget}",
        "--warmup_ratio": "{warmup_fraction}", "--seed": "{seed}", "--output_dir": "{run_dir}",
    },
    "timm_flags.py": {
        "--batch-size": "{micro_batch_size}", "--grad-accum-steps": "{accumulate}", "--lr": "{lr}",
        "--opt": "{optimizer}", "--epochs": "{budget}", "--weight-decay": "{weight_decay}", "--drop": "{drop}",
        "--seed": "{seed}", "--output": "{run_dir}",
    },
    "dqn_flags.py": {
        "--batch-size": "{batch_size}", "--learning-rate": "{lr}", "--total-timesteps": "{budget}", "--seed": "{seed}",
    },
    "lightning_flags.py": {
        "--data.batch_size": "{micro_batch_size}", "--trainer.accumulate_grad_batches": "{accumulate}",
        "--model.learning_rate": "{lr}", "--trainer.max_steps": "{steps}", "--model.dropout": "{dropout}",
        "--optimizer.init_args.weight_decay": "{weight_decay}", "--seed_everything": "{seed}",
        "--trainer.default_root_dir": "{run_dir}",
    },
    "mingpt_project/chargpt_flags.py": {
        "--trainer.batch_size": "{batch_size}", "--trainer.learning_rate": "{lr}", "--trainer.max_iters": "{steps}",
        "--trainer.weight_decay": "{weight_decay}", "--model.resid_pdrop": "{resid_pdrop}",
        "--model.embd_pdrop": "{embd_pdrop}", "--system.seed": "{seed}", "--system.work_dir": "{run_dir}",
    },
}  # fmt: skip
METRICS = {  # what each prints, and the first of them, by hand
    "mnist_flags.py": ["test_average_loss", "test_accuracy"],
    "word_language_flags.py": ["valid_loss", "valid_ppl", "test_loss", "test_ppl"],
    "nanogpt_flags.py": ["val_loss", "loss", "train_loss"],
    "dqn_flags.py": ["episodic_return"],
    "mingpt_project/chargpt_flags.py": ["train_loss"],
}


PROGRESS = {
    "word_language_flags.py": (r"of epoch\s*(\d+)", "{budget}"), "nanogpt_flags.py": (r"step\s*(\d+)", "{steps}"),
    "mingpt_project/chargpt_flags.py": (r"iter\s*(\d+)", "{steps}"),
}  # fmt: skip


def drafted(script):
    return study_text(read_script(script), script.parent)


@pytest.mark.parametrize("name", PLACED)
def test_the_flags_of_a_script_are_those_found_by_hand(name):
    draft = drafted(SCRIPTS / name)
    assert dict(argument.split("=", 1) for argument in draft.placed) == PLACED[name]
    spec = parse_spec(tomllib.loads(draft.text), "draft")
    check_space(spec)
    check_reaches(spec, ())
    check_arguments(spec, ())
    assert {"batch_size", "base_lr"} <= set(spec.searched)
    assert list(spec.metrics) == METRICS.get(name, [])
    assert (spec.progress and (spec.progress.regex, spec.progress.of)) == PROGRESS.get(name)


def test_ranges_lie_around_the_defaults_and_the_budget_is_the_same_at_every_batch_size():
    spec = parse_spec(tomllib.loads(drafted(SCRIPTS / "nanogpt_flags.py").text), "draft")
    assert (spec.space.base_lr.low, spec.space.base_lr.high) == (2e-5, 0.02)  # 6e-4
    assert (spec.space.batch_size.low, spec.space.batch_size.high) == (64, 4096)  # 12 × 40
    assert spec.micro_batch_size == 12 and spec.budget.examples == 600_000 * 480
    dqn = parse_spec(tomllib.loads(drafted(SCRIPTS / "dqn_flags.py").text), "draft")
    assert (dqn.budget.amount, dqn.budget.unit, dqn.space.optimizer) == (500_000, "environment steps", "adam")
    timm = parse_spec(tomllib.loads(drafted(SCRIPTS / "timm_flags.py").text), "draft")
    assert timm.names == {"optimizer": {"momentum": "sgd"}}


def test_questions_name_what_could_not_be_decided():
    questions = {name: " ".join(drafted(SCRIPTS / name).questions) for name in PLACED}
    assert "--lr has no default" in questions["timm_flags.py"]
    assert "--trainer.max_iters has no default; 1000 steps is a guess" in questions["mingpt_project/chargpt_flags.py"]
    assert "no flag for a seed" in questions["nanogpt_flags.py"]
    assert "two trials would share" in questions["mnist_flags.py"]
    assert "which metric" in questions["run_clm_flags.py"]


def test_a_script_that_cannot_be_asked_is_read_from_its_source():
    script = read_script(SCRIPTS / "dqn_flags.py")
    assert "No module named 'gymnasium_that_is_not_installed'" in script.notes[0]
    assert {flag.name: flag.default for flag in script.flags}["--learning-rate"] == 2.5e-4


CLICK = """
import click
@click.command()
@click.option("--lr", default=0.1, show_default=True, help="the rate")
@click.option("-b", "--batch-size", type=int, default=32, help="examples")
@click.option("--opt", type=click.Choice(["sgd", "adam"]), default="sgd", show_default=True)
@click.option("--amp/--no-amp", default=False)
@click.option("--seed", type=int, required=True)
def main(**given): pass
main()
"""
TYPER = """
import typer
def main(
    data: str, lr: float = 0.1, batch_size: int = 32, amp: bool = False,
    weight_decay: float = typer.Option(1e-4, help="w"),
):
    pass
typer.run(main)
"""
HELP = {"click": CLICK, "typer": TYPER}


@pytest.mark.parametrize("library", HELP)
def test_real_help_of_other_libraries(tmp_path, library):
    (tmp_path / "train.py").write_text(HELP[library])
    script = read_script(tmp_path / "train.py")
    assert script.notes == ()
    flags = {flag.name: flag for flag in script.flags}
    assert flags["--lr"].default == 0.1 and flags["--lr"].is_number
    assert flags["--batch-size"].default == 32 and flags["--batch-size"].kind == "int"
    assert flags["--amp"].kind == "switch"
    if library == "click":
        assert flags["--opt"].choices == ("sgd", "adam") and flags["--seed"].required
    else:
        assert flags["--weight-decay"].default == 1e-4 and flags["data"].positional


# As `absl.flags` and tyro print them.
ABSL = """
train.py:
  --batch_size: Examples of a batch.
    (default: '32')
    (an integer)
  --learning_rate: The learning
    rate.
    (default: '0.1')
    (a number)
  --optimizer: <sgd|adam>: Which.
    (default: 'sgd')
  --[no]amp: Mixed precision.
    (default: 'false')

absl.logging:
  --[no]alsologtostderr: also log to stderr?
    (default: 'false')
"""
TYRO = """
usage: dqn.py [-h] [--seed INT] [--learning-rate FLOAT]

╭─ options ─────────────────────────────────────────────────────╮
│ -h, --help              show this help message and exit       │
│ --seed INT              seed of the experiment (default: 1)   │
│ --cuda, --no-cuda       if toggled, cuda will be enabled      │
│                         (default: True)                       │
│ --learning-rate FLOAT   the learning rate (default: 0.00025)  │
╰───────────────────────────────────────────────────────────────╯
"""


def test_the_help_of_absl_and_tyro():
    absl = {flag.name: flag for flag in flags_of_help(ABSL)}
    assert (absl["--batch_size"].default, absl["--batch_size"].kind) == (32, "int")
    assert (absl["--learning_rate"].default, absl["--learning_rate"].kind) == (0.1, "float")
    assert absl["--optimizer"].choices == ("sgd", "adam") and absl["--amp"].kind == "switch"
    tyro = {flag.name: flag.default for flag in flags_of_help(TYRO)}
    assert tyro == {"--seed": 1, "--cuda": True, "--learning-rate": 0.00025}


def test_hydra_is_asked_and_otherwise_its_files_are_read(tmp_path):
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "config.yaml").write_text("defaults:\n  - model: small\n  - _self_\nlr: 0.01\nseed: 3\n")
    (tmp_path / "conf" / "model" / "small.yaml").write_text("width: 64\ndropout: 0.1\n")
    (tmp_path / "train.py").write_text(
        "import sys\nraise SystemExit(2)\nimport hydra\n@hydra.main(config_path='conf')\ndef main(c): pass\n"
    )
    script = read_script(tmp_path / "train.py")
    assert set(script.flags) == {
        Flag(name="lr", default=0.01, kind="float"), Flag(name="seed", default=3, kind="int"),
        Flag(name="model.width", default=64, kind="int"), Flag(name="model.dropout", default=0.1, kind="float"),
    }  # fmt: skip
    assert {"lr={lr}", "model.dropout={dropout}"} <= set(study_text(script, tmp_path).placed)
    assert "exit code 2" in script.notes[0]


def test_a_script_that_reads_a_file_of_settings_is_asked_for_it(tmp_path):
    (tmp_path / "train.py").write_text("import sys\nraise SystemExit(2)\nc = yaml.safe_load(open(sys.argv[1]))\n")
    assert "settings from a file (yaml.safe_load): name it" in drafted(tmp_path / "train.py").questions[0]


def test_metrics_are_told_from_the_texts_that_a_script_prints():
    found = printed_metrics(
        "print('Epoch %d train_loss=%.3f val_acc=%.3f' % (1, 2, 3))\n"
        "print(f'  top-1: {a} | best val accuracy {b:.2%}')\nprint('the loss is large')\n"
    )
    lines = {"val_acc": "Epoch 3 train_loss=0.250 val_acc=0.913", "train_loss": "Epoch 3 train_loss=nan val_acc=0.9"}
    told = {metric.name: metric for metric in found}
    assert {"val_acc", "train_loss", "top_1", "best_val_accuracy"} == told.keys()
    assert re.search(told["val_acc"].regex, lines["val_acc"]).group(1) == "0.913"
    assert re.search(told["train_loss"].regex, lines["train_loss"]).group(1) == "nan"
    assert told["val_acc"].direction == "maximize" and told["train_loss"].direction == "minimize"


@pytest.mark.parametrize(
    ("printed", "unit", "line", "heard"),
    [
        ("'Train Epoch: {} [{}/{}]\\tLoss: {:.6f}'.format(1, 2, 3, 4.0)", "epochs", "Train Epoch: 3 [0/60]", ("3",)),
        ("f'Epoch [{epoch + 1}/{epochs}] loss {loss:.3f}'", "epochs", "Epoch [3/10] loss 0.5", ("3", "10")),
        ("'| end of epoch {:3d} | time: {:5.2f}s'.format(1, 2.0)", "epochs", "| end of epoch   3 | time", ("3",)),
        ("f'step {n}: train loss {loss:.4f}'", "steps", "step 300: train loss 2.1", ("300",)),
        (
            "'ep %d' % 1, '>>> [ep %d of %d] acc on val = %5.2f %%' % (1, 2, 3.0)", "epochs",
            ">>> [ep 2 of 3] acc on val = 97.1 %", ("2", "3"),
        ),
        ("f'Scheduled epochs: {n}'", "epochs", "", None),
        ("'the epoch is %s' % epoch", "epochs", "", None),
    ],
)  # fmt: skip
def test_progress_is_told_from_the_texts_that_a_script_prints(printed, unit, line, heard):
    found = printed_progress(f"print({printed})", unit)
    assert (found and re.search(found[0], line).groups()) == heard
    assert found is None or found[1] is (len(heard) == 2)


def test_the_metrics_of_a_gan_and_of_a_test_set():
    found = printed_metrics(
        "print('[%d/%d] Loss_D: %.4f Loss_G: %.4f' % (1, 2, 3, 4))\n"
        "print('Epoch: {} Average loss: {:.4f}'.format(1, 2))\n"
        "print('====> Test set loss: {:.4f}'.format(1))\n"
        "print('acc on the val set = %5.2f %%' % 97.1)\n"
    )
    told = {metric.name: re.compile(metric.regex) for metric in found}
    assert list(told) == ["val_acc", "test_loss", "loss_d", "loss_g", "average_loss"]
    assert told["val_acc"].search("acc on the val set = 97.10 %").group(1) == "97.10"
    assert told["loss_g"].search("[1/2] Loss_D: 0.5 Loss_G: 1.25").group(1) == "1.25"
    assert told["test_loss"].search("Epoch: 1 Average loss: 3.0") is None


def test_what_the_help_says_tells_epochs_from_steps():
    flags = flags_of_help(
        "options:\n  --niter NITER  number of epochs to train for (default: 25)\n  --lr LR  rate (default: 0.1)\n"
    )
    assert recognised(flags).roles.keys() == {"epochs", "lr"}
    assert "steps" in recognised(flags_of_help("options:\n  --niter N  iterations (default: 25)\n")).roles


def test_the_help_of_a_flag_with_an_odd_name_tells_its_role():
    flags = flags_of_help(
        "options:\n  --sz SZ  mini-batch size (default: 64)\n  --rs RS  random seed (default: 0)\n"
        "  --ep EP  the number of epochs to train for (default: 3)\n  --eta ETA  Learning rate. (default: 0.1)\n"
        "  --lg LG  epochs between two logs (default: 1)\n  --t T  batch size of the test set (default: 1000)\n"
    )
    roles = {role: flag.name for role, flag in recognised(flags).roles.items()}
    assert roles == {"batch_size": "--sz", "seed": "--rs", "epochs": "--ep", "lr": "--eta"}


def test_a_script_that_never_answers_is_ended(tmp_path):
    (tmp_path / "train.py").write_text("import time\nwhile True: time.sleep(1)\n# parser.add_argument('--lr')\n")
    script = read_script(tmp_path / "train.py", seconds=1.0)
    assert script.flags == () and "took longer than 1 s; --seconds gives it more" in script.notes[0]
    assert study_text(script, tmp_path).notes == script.notes


def test_init_writes_a_file_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draft = bl.init(SCRIPTS / "mnist_flags.py", "study.toml")
    assert (tmp_path / "study.toml").read_text() == draft.text and "folder = " in draft.text
    with pytest.raises(BatchlawError, match="is there already; nothing was written"):
        bl.init(SCRIPTS / "mnist_flags.py", "study.toml")
    assert (tmp_path / "study.toml").read_text() == draft.text


@pytest.mark.parametrize(("text", "words"), [("def (", "is no Python"), (None, "cannot be read")])
def test_what_is_no_script_is_refused_in_a_line(tmp_path, text, words):
    script = tmp_path / "train.py"
    if text is not None:
        script.write_text(text)
    with pytest.raises(DataError, match=words) as refusal:
        bl.init(script, tmp_path / "study.toml")
    assert "\n" not in str(refusal.value) and not (tmp_path / "study.toml").exists()


TRAIN = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--dropout", type=float, default=0.1)
parser.add_argument("--epochs", type=int, default=2)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
for epoch in range(args.epochs):
    print(f"epoch {epoch}: train loss {1.0:.3f} val loss {abs(args.lr - 0.3) + args.dropout:.6f}")
"""


def test_a_drafted_study_runs_as_it_is(tmp_path):
    (tmp_path / "train.py").write_text(TRAIN)
    bl.init(tmp_path / "train.py", tmp_path / "study.toml")
    study = bl.Study.create(tmp_path / "study.toml", f"sqlite:///{tmp_path / 's.db'}", trials=4)
    study.run(workers=0, progress=False)
    trials = study.trials()
    assert (trials.outcome == "complete").all()
    assert trials.value.tolist() == pytest.approx((abs(trials.peak_lr - 0.3) + trials.dropout).tolist(), abs=1e-6)
