"""What columns are called, and which of several is meant."""

import pandas as pd
import pytest
from batchlaw.errors import BatchlawError, DataError
from batchlaw.tables.columns import Columns
from batchlaw.tables.names import batch_rank, is_seed, metric_of, rate_rank
from batchlaw.tables.reading import read_runs

RATES = [
    "lr",
    "LR",
    "learning_rate",
    "learningRate",
    "Learning rate",
    "config/lr",
    "params_lr",
    "params.lr",
    "config.lr",
    "η",
    "hparams.optimizer.lr",
    "optimizer.lr",
    "base_lr",
    "max_lr",
    "peak_lr",
    "init_lr",
    "learning_rate_init",
    "lr_max",
    "opt_base_learning_rate",
    "Hyperparams.opt_base_learning_rate",
    "effective peak LR",
    "base LR",
    "train.lr",
    "adam_lr",
    "user_attrs_lr",
    "config_lr",
    "param_learning_rate",
    "learning rate (peak)",
]
SIZES = [
    "bs",
    "BS",
    "B",
    "batch_size",
    "batchSize",
    "Batch size",
    "batchsize",
    "train_batch_size",
    "global_batch_size",
    "n_batch",
    "per_device_train_batch_size",
    "config/batch_size",
    "params.batch_size",
    "params_bs",
    "batch",
    "mini_batch_size",
    "total_batch_size",
    "bsz",
    "tokens_per_batch",
    "hparams.data.batch_size",
    "batch size (sequences)",
]
NEITHER = [
    "min_lr",
    "lr_scheduler",
    "lr_decay",
    "warmup_lr",
    "final_lr",
    "learning_rate_decay",
    "eval_batch_size",
    "batch_idx",
    "batch_norm",
    "step",
    "seed",
    "loss",
    "color",
    "alr",
    "val_batch_size",
    "batches",
    "clr",
    "hlr2",
    "flr_x",
    "log_lr",
]


def test_rates_and_batch_sizes_are_told_by_their_names():
    assert [name for name in RATES if rate_rank(name) is None] == []
    assert [name for name in SIZES if batch_rank(name) is None] == []
    assert [name for name in NEITHER if rate_rank(name) or batch_rank(name)] == []
    assert [name for name in RATES if batch_rank(name)] == [] == [name for name in SIZES if rate_rank(name)]


SMALLER = [
    "loss",
    "val_loss",
    "valLoss",
    "error",
    "test_err",
    "rmse",
    "mae",
    "mse",
    "perplexity",
    "val/ppl",
    "fid",
    "bpb",
    "wer",
    "metrics.val_loss",
    "eval/loss",
    "mean_squared_error",
    "val_loss_mean_of_3_seeds",
    "samples_to_converge",
    "test error (%)",
    "Epochs to converge",
    "steps_to_target",
    "negative_log_likelihood",
    "word error rate",
]
LARGER = [
    "acc",
    "accuracy",
    "val_acc",
    "auc",
    "f1",
    "bleu",
    "return",
    "mean_return",
    "reward",
    "score",
    "top1",
    "top_1",
    "r2",
    "dice",
    "miou",
    "mAP",
    "mean_test_score",
    "val/accuracy@1",
    "neg_mean_squared_error",
    "episode_reward_mean",
    "acc_s3",
]
NO_SCORE = [
    "lr",
    "loss_fn",
    "loss_scale",
    "std_test_score",
    "target_loss",
    "grad_norm",
    "config/loss",
    "params.loss",
    "epoch",
    "val_loss_std",
    "rank_test_score",
    "score_time",
    "error_bar_low",
    "step",
    "name",
]


def test_the_direction_is_told_by_the_metric():
    assert [name for name in SMALLER if getattr(metric_of(name), "better", None) != "smaller"] == []
    assert [name for name in LARGER if getattr(metric_of(name), "better", None) != "larger"] == []
    assert [name for name in NO_SCORE if metric_of(name) is not None] == []


def test_a_seed_is_a_column_that_says_so():
    yes = [
        "seed",
        "Seed",
        "run_seed",
        "random_state",
        "params.seed",
        "config/seed",
        "replicate",
        "rep",
        "user_attrs_seed",
    ]
    no = ["run", "trial", "fold", "dropout", "seeds_per_cell", "number", "speed", "epoch"]
    assert [name for name in yes if not is_seed(name)] == [] == [name for name in no if is_seed(name)]


def read(table=None, **options):
    return read_runs(table if table is not None else runs(), Columns.of(**options)).columns


def runs(*without, **more):
    """Three rates, four batch sizes, with a loss of 1 to 12."""
    cells = [(rate, size) for rate in (0.1, 0.2, 0.4) for size in (8, 16, 32, 64)]
    table = pd.DataFrame(cells, columns=["lr", "bs"]).assign(loss=range(1, 13), **more)
    return table.drop(columns=list(without))


PREFERRED = [
    # further columns, and which of them is taken for the score
    ({"val_loss": range(12), "train_loss": range(12), "test_loss": range(12)}, "val_loss"),
    ({"test_acc": range(12), "train_acc": range(12)}, "test_acc"),
    ({"val_acc": range(12), "val_loss": range(12)}, "val_loss"),
    ({"smooth_loss": range(12)}, "smooth_loss"),
    ({"final_val_loss": range(12), "best_val_loss": range(12)}, "final_val_loss"),
    ({"val_loss": 3.0}, "loss"),  # the same in all rows
]


@pytest.mark.parametrize(("more", "score"), PREFERRED)
def test_of_several_scores_one_is_taken_by_a_clear_order_and_the_others_are_named(more, score):
    columns = read(runs(**more))
    assert columns.score == (score,)
    assert "also there: " in columns.recognised or len(more) == 1


def test_of_several_rates_the_one_that_varies_and_is_no_log_of_training_is_taken():
    assert read(runs(**{"train/learning_rate": range(1, 13)})).lr == "lr"
    assert read(runs(**{"config/learning_rate": 0.1})).lr == "lr"
    assert read(runs("lr", **{"train/lr": range(1, 13), "config/lr": range(2, 14)})).lr == "config/lr"
    assert read(runs("lr", peak_lr=range(1, 13), base_lr=range(2, 14))).lr == "peak_lr"
    assert read(runs("lr", peak_lr=0.1, base_lr=range(2, 14))).lr == "base_lr"
    assert read(runs(global_batch_size=range(1, 13))).batch_size == "global_batch_size"
    per_device = read(runs("bs", per_device_train_batch_size=range(1, 13)))
    assert "(of one device; an expression such as" in per_device.recognised


def test_what_was_recognised_is_one_line_and_what_was_named_is_not_in_it():
    line = "learning rate is lr, batch size is bs, score is loss (smaller is better), seed is seed"
    assert read(runs(seed=[0, 1] * 6)).recognised == line
    assert read(lr="lr", batch_size="bs", score="loss", direction="minimize").recognised == ""
    assert read(score="loss").recognised.endswith("of loss smaller is better")


QUESTIONS = [
    (
        runs("lr", "bs"),
        {},
        "lr: the table has no column that is called a learning rate; it has loss; a number, such as",
    ),
    (runs("loss"), {}, "score: the table has no column that is called a score; it has lr, bs"),
    (
        runs("lr", actor_lr=range(1, 13), critic_lr=range(1, 13)),
        {},
        "lr: the table has several columns that may be the learning rate: actor_lr, critic_lr",
    ),
    (
        runs("loss", loss_a=range(12), loss_b=range(12)),
        {},
        "score: the table has several columns that may be the score: loss_a, loss_b",
    ),
    (runs("loss", value=range(12)), {}, "direction: is needed, minimize or maximize: the name 'value' does not tell"),
    (runs(), {"score": "bs", "batch_size": "lr", "lr": "loss"}, "direction: is needed"),
    (runs(), {"diverged_below": 3}, "diverged_below: got 3; goes with a score to maximize"),
]


@pytest.mark.parametrize(("table", "options", "line"), QUESTIONS)
def test_what_cannot_be_told_is_asked_in_one_line_that_names_the_options(table, options, line):
    with pytest.raises(BatchlawError) as refusal:
        read(table, **options)
    assert str(refusal.value).startswith(line) and "\n" not in str(refusal.value)


def test_columns_of_one_metric_are_seeds_only_where_their_names_differ_by_a_number():
    for names in (
        ["acc_s0", "acc_s1", "acc_s2"],
        ["seed 1337", "seed 1338", "seed 1339"],
        ["loss_0", "loss_1", "loss_2"],
    ):
        table = runs("loss", **{name: range(12) for name in names})
        assert read(table, direction="minimize").score == tuple(names)
    assert read(runs("loss", top_1=range(12), top_5=range(12), val_loss=range(12))).score == ("val_loss",)
    assert read(runs("loss", r2=range(12), train_loss=range(12))).score == ("r2",)


def test_an_expression_stands_for_a_column():
    table = runs().rename(columns={"lr": "base_lr"}).assign(devices=2, accumulate=4)
    found = read_runs(table, Columns.of(lr="base_lr * sqrt(bs / 128)", batch_size="bs * devices * accumulate"))
    assert found.columns.lr == "base_lr * sqrt(bs / 128)"
    rates = found.table[found.columns.lr]
    assert rates.tolist() == pytest.approx((table["base_lr"] * (table["bs"] / 128) ** 0.5).tolist())
    assert found.table[found.columns.batch_size].tolist() == (table["bs"] * 8).tolist()
    assert read(table.drop(columns="base_lr"), lr="0.001").lr == "0.001"
    for wrong, line in (
        ("base_lr * sqrt(bz)", "there is no 'bz'"),
        ("base_lr * (", "expected"),
        ("lr2", "no such column"),
    ):
        with pytest.raises((BatchlawError, DataError), match=line):
            read(table, lr=wrong)


def test_batch_sizes_are_told_in_tokens():
    found = read_runs(runs(length=[512, 1024] * 6), Columns.of(tokens_per_example="length"))
    assert found.columns.batch_size == "bs in tokens"
    assert found.table["bs in tokens"].tolist()[:2] == [8 * 512, 16 * 1024]
    assert read_runs(runs(), Columns.of(tokens_per_example=2048)).table["bs in tokens"].iloc[0] == 8 * 2048
    with pytest.raises(BatchlawError, match="tokens_per_example: got 0; must be a number above 0"):
        Columns.of(tokens_per_example=0)


def test_standard_errors_and_numbers_of_seeds_come_from_options_names_or_cells():
    table = runs().assign(sem=0.1, n=3)
    assert read_runs(table, Columns.of()).error == "sem"
    found = read_runs(table, Columns.of(error="sem", seeds="n"))
    assert (found.error, found.n_seeds) == ("sem", "n") and found.table["n"].tolist() == [3.0] * 12
    assert read_runs(table, Columns.of(seeds="5")).n_seeds == 5
    told = read_runs(runs().assign(loss=[f"{n}.5 ± 0.2" for n in range(12)]), Columns.of())
    assert told.table[told.error].tolist() == [0.2] * 12 and told.table["loss"].iloc[1] == 1.5
    assert any("±" in note for note in told.notes)
