"""Study files: what is refused, and in which words."""

import copy

import pytest
from batchlaw.errors import SpecError
from batchlaw.recipe.derive import check_space
from batchlaw.spec import parse_spec, read_spec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.spec.conftest import GOOD, STUDIES, changed

BROKEN = [
    # path, value, field named, what the line must hold beside it (the value, the bound, or the suggestion)
    ("space.batchsize", 32, "space.batchsize", ["unknown key", "did you mean 'batch_size'"]),
    ("taks", {}, "taks", ["unknown key", "did you mean 'task'"]),
    ("gpus_per_trial", 2, "gpus_per_trial", ["unknown key", "did you mean 'devices'"]),
    ("max_micro_batch_size", 2, "max_micro_batch_size", ["unknown key", "did you mean 'micro_batch_size'"]),
    ("space.base_lr.lo", 1.0, "space.base_lr.lo", ["unknown key", "low, high, log"]),
    ("space.batch_size", 3.5, "space.batch_size", ["integer", "3.5"]),
    ("space.base_lr", "fast", "space.base_lr", ["number", "fast"]),
    ("search.trials", "many", "search.trials", ["integer", "many"]),
    ("search.seed", True, "search.seed", ["integer", "true"]),
    ("space.base_lr", {"low": 1.0, "high": 0.1}, "space.base_lr.high", ["above low = 1.0", "0.1"]),
    ("space.base_lr", {"low": 0.1, "high": 0.1}, "space.base_lr.high", ["above low = 0.1", "0.1"]),
    ("space.base_lr", {"low": 0.0, "high": 1.0, "log": True}, "space.base_lr.low", ["above 0", "0.0"]),
    ("space.base_lr", [], "space.base_lr", ["at least one value"]),
    ("space.optimizer", ["sgd", "sgd"], "space.optimizer", ["repeat"]),
    ("space.batch_size", {"low": 3, "high": 64, "log2": True}, "space.batch_size.low", ["power of two", "3"]),
    ("space.batch_size", {"low": 2, "high": 1024, "log2": True}, "space.batch_size.high", ["at most 800", "1024"]),
    ("space.batch_size", 801, "space.batch_size", ["at most 800", "801"]),
    ("space.batch_size", [16, 32, 801], "space.batch_size", ["at most 800", "801"]),
    ("space.warmup_fraction", {"low": 0.0, "high": 0.4}, "space.warmup_fraction", ["milestones[0] = 0.3", "0.4"]),
    ("space.momentum", 1.0, "space.momentum", ["below 1", "1.0"]),
    ("space.weight_decay", [-0.1, 0.1], "space.weight_decay", ["at least 0", "-0.1"]),
    ("task.dataset", "digit", "task.dataset", ["did you mean 'digits'", "digit"]),
    ("task.model", "resnet", "task.model", ["did you mean 'resnet18'", "resnet"]),
    ("space.optimizer", ["sgd", "adamm"], "space.optimizer", ["did you mean 'adam'", "adamm"]),
    ("space.scaling_rule", "squareroot", "space.scaling_rule", ["constant, sqrt, linear, sde", "squareroot"]),
    ("search.sampler", "tpee", "search.sampler", ["did you mean 'tpe'", "tpee"]),
    ("search.pruner", "hyperbrand", "search.pruner", ["did you mean 'hyperband'", "hyperbrand"]),
    ("search.metric", "accuracy", "search.metric", ["validation_accuracy, validation_loss", "accuracy"]),
    ("search.direction", "minimize", "search.direction", ["maximize", "minimize"]),
    ("search.trials", 0, "search.trials", ["greater than or equal to 1", "0"]),
    ("search.reports", 21, "search.reports", ["less than or equal to 20", "21"]),
    ("search", None, "search", ["exactly one of [search] and [claim]"]),
    ("claim", {"hypotheses": ["H9"]}, "search", ["exactly one of [search] and [claim]"]),
    ("budget.steps", 100, "budget", ["one of epochs, steps, examples, tokens, lr_time, amount", '["epochs", "steps"]']),
    ("budget", {}, "budget", ["exactly one"]),
    ("budget", {"lr_time": 1.0}, "budget", ["min_steps <= max_steps"]),
    ("budget", {"epochs": 1, "max_steps": 5}, "budget", ["bound lr_time"]),
    ("task.train_size", 900, "task.train_size", ["at most 863", "900"]),
    ("task.validation_fraction", 1e-9, "task.validation_fraction", ["leaves 0 of 1438"]),
    ("task.augment", True, "task.augment", ["cifar10"]),
    ("task.model_options", {"norm": "group"}, "task.model_options.norm", ["not an option of mlp", "group"]),
    ("schedule.milestones", [0.6, 0.3], "schedule.milestones", ["increase", "0.6"]),
    ("schedule.max_batch_size", 900, "schedule.max_batch_size", ["at most 800", "900"]),
    ("objective", "my.module:train", "objective", ["exactly one of [task], objective and command"]),
    ("train_size", 10, "train_size", ["belongs in [task]", "10"]),
    ("name", "two words", "name", ["pattern", "two words"]),
    ("claim", {"pruner": "hyperband"}, "claim.pruner", ["never pruned", "hyperband"]),
    ("space.warmup", "untuned", "space.warmup_fraction", ["drop this key"]),
    ("space.scaling_rule", "sde", "space.optimizer", ["rmsprop, adam, adamw", "sgd"]),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "field", "words"), BROKEN, ids=[f"{b[0]}={b[1]}" for b in BROKEN])
def test_a_broken_spec_is_one_line_naming_field_value_and_bound(path, value, field, words):
    with pytest.raises(SpecError) as refusal:
        parse_spec(changed(path, value), "study.toml")
    line = str(refusal.value)
    assert "\n" not in line
    assert line.startswith(f"study.toml: {field}")
    for word in words:
        assert word in line


LEVELS = {"batch_size": {"low": 2, "high": 512, "log2": True}, "base_lr": [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64]}
BROKEN_CLAIMS = [
    ("claim.hypotheses", ["H99"], "claim.hypotheses.0", ["must be one of", "H99"]),
    ("claim.hypotheses", [], "claim.hypotheses", ["at least 1"]),
    ("claim.hypotheses", ["H9", "H9"], "claim.hypotheses", ["repeat"]),
    ("claim.replicates", 4, "claim.replicates", ["greater than or equal to 5", "4"]),
    ("claim.alpha", 0.0, "claim.alpha", ["greater than 0"]),
    ("claim.margin", 0.6, "claim.margin", ["less than or equal to 0.5", "0.6"]),
    ("claim.sampler", "tpe", "claim.sampler", ["unknown key"]),
    ("claim.metric", "accuracy", "claim.metric", ["validation_accuracy, validation_loss", "accuracy"]),
    ("space.base_lr", {"low": 0.01, "high": 1.0, "log": True}, "space.base_lr", ["levels", "give a list"]),
    ("space.momentum", {"low": 0.5, "high": 0.9}, "space.momentum", ["levels"]),
    ("space.scaling_rule", "linear", "space.scaling_rule", ["constant", "linear"]),
    ("space.batch_size", {"low": 2, "high": 128, "log2": True}, "space.batch_size", ["over 7 octaves", "7 over 6.0"]),
    ("claim.hypotheses", ["H10"], "space.train_size", ["H10 needs 4 levels or more over 3 octaves", "0 over"]),
    ("claim.hypotheses", ["H11"], "space.decay", ["H11 needs step, batch-growth as well"]),
    ("claim.hypotheses", ["H14"], "space.warmup_fraction", ["H14 needs 2 levels or more", "1"]),
    ("claim.hypotheses", ["H24"], "space.base_lr", ["H24 needs 8 levels or more over 4 octaves", "7 over 6.0"]),
    ("claim", {"hypotheses": ["H27"]}, "claim.reports", ["H27 needs 8 or more", "4"]),
    ("claim.hypotheses", ["H18"], "task.model_options.init_scale", ["H18 needs at most 0.1", "null"]),
    ("task.model_options", {"init_scale": 0.0}, "task.model_options.init_scale", ["greater than 0", "0.0"]),
    ("task.model_options", {"a\nb": 1}, 'task.model_options."a\\nb"', ["unknown key"]),
    ("claim.hypotheses", ["H9m"], "space.momentum", ["5 levels or more over 3 octaves", "1 over 0.0"]),
    ("space.train_size", [512, 900], "space.train_size", ["at most 863", "900"]),
    ("space.train_size", [256, 800], "space.batch_size.high", ["at most 256", "512"]),
    ("space.base_lr", [0.01, 0.1, 1.0], "space.base_lr", ["6 levels or more over 5 octaves", "3 over 6.6"]),
    ("claim.grid", "shifted", "claim.grid", ["crossed, staggered", "shifted"]),
    (
        "claim",
        {"hypotheses": ["H9", "H6"], "grid": "staggered"},
        "claim.hypotheses",
        ["H6 compares learning rates at one batch size", 'grid = "staggered" suits H9 alone'],
    ),
    (
        "claim",
        {"hypotheses": ["H9", "H17"], "grid": "staggered"},
        "claim.hypotheses",
        ["H17 needs a crossed grid", 'grid = "staggered" suits H9 alone'],
    ),
    (
        "claim",
        {"hypotheses": ["H9"], "grid": "staggered", "design": "adaptive", "runs": 100},
        "claim.grid",
        ['belongs to design = "factorial"', "staggered"],
    ),
    (
        "claim",
        {"hypotheses": ["H9"], "grid": "staggered"},
        "claim.grid",
        ["the largest batch size of a staggered grid must be at most 800, the training size", "813"],
    ),
]


@pytest.mark.parametrize(
    ("path", "value", "field", "words"), BROKEN_CLAIMS, ids=[f"{b[0]}={b[1]}" for b in BROKEN_CLAIMS]
)
def test_a_broken_claim_is_one_line_naming_field_value_and_bound(path, value, field, words):
    table = changed("search", None)
    table["space"] |= LEVELS | {"scaling_rule": "constant", "warmup_fraction": 0.0, "decay": "constant"}
    table["claim"] = {"hypotheses": ["H9"]}
    parse_spec(table, "study.toml")
    *outer, key = path.split(".")
    inner = table
    for part in outer:
        inner = inner[part]
    inner[key] = value
    with pytest.raises(SpecError) as refusal:
        parse_spec(table, "study.toml")
    line = str(refusal.value)
    assert "\n" not in line and line.startswith(f"study.toml: {field}: "), line
    for word in words:
        assert word in line


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("optimizer", "adam", 'space.optimizer: H27 needs sgd as well; got ["adam"]'),
        ("decay", ["linear", "cosine"], 'space.decay: H27 needs constant as well; got ["linear", "cosine"]'),
    ],
)
def test_h27_is_about_plain_sgd_at_a_constant_rate(key, value, line):
    table = changed("search", None)
    table["space"] |= LEVELS | {"scaling_rule": "constant", "warmup_fraction": 0.0, "decay": "constant"}
    table["claim"] = {"hypotheses": ["H27"], "reports": 8}
    parse_spec(table, "study.toml")
    table["space"][key] = value
    with pytest.raises(SpecError) as refusal:
        parse_spec(table, "study.toml")
    assert str(refusal.value) == f"study.toml: {line}"


IMPOSSIBLE = [
    ({"space.scaling_rule": "sde", "space.optimizer": "adam"}, ["κ(1-beta1)", "below 1", "16"]),
    ({"budget": {"examples": 300}}, ["batch_size", "300 examples", "512"]),
    (
        {"space.warmup_fraction": None, "space.warmup": "untuned", "space.optimizer": "adam"},
        ["2000 warmup steps", "at most"],
    ),
]


@pytest.mark.parametrize(("changes", "words"), IMPOSSIBLE)
def test_an_impossible_corner_of_the_space_is_refused_before_anything_runs(changes, words):
    table = copy.deepcopy(GOOD)
    for path, value in changes.items():
        *parents, key = path.split(".")
        inner = table
        for parent in parents:
            inner = inner[parent]
        inner.pop(key, None)
        if value is not None:
            inner[key] = value
    spec = parse_spec(table, "study.toml")
    with pytest.raises(SpecError) as refusal:
        check_space(spec)
    assert "\n" not in str(refusal.value)
    for word in words:
        assert word in str(refusal.value)


@pytest.mark.parametrize("file", sorted(STUDIES.glob("*.toml")), ids=lambda file: file.stem)
def test_shipped_studies_are_valid_and_begin_with_their_question(file):
    check_space(read_spec(file))
    first = file.read_text().splitlines()[0]
    assert first.startswith("# ") and first.endswith("?")


def test_specs_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        parse_spec(GOOD, "a").name = "b"


leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.lists(st.integers(), max_size=3)
)
tables = st.recursive(leaves, lambda inner: st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=5)
TABLES = {"search", "taks", "budget", "claim"}
PATHS = [*sorted({path for path, *_ in BROKEN} - TABLES), "space.base_lr.low", "budget.epochs"]


@settings(max_examples=200, deadline=None)
@given(path=st.sampled_from(PATHS), value=tables.filter(lambda value: value is not None))
def test_hostile_values_never_raise_anything_but_a_one_line_spec_error(path, value):
    try:
        check_space(parse_spec(changed(path, value), "study.toml"))
    except SpecError as refusal:
        assert "\n" not in str(refusal)
