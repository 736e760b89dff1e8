"""The JSON Schema of a study file, in which every key says what it means, for editors and for the documentation."""

from typing import Any

from batchlaw.spec.knobs import KNOBS
from batchlaw.spec.study import StudySpec

_ARM = {
    "replicates": "Seeds of a trial; its score is their mean.",
    "metric": (
        "What is compared: validation_accuracy, validation_loss, of a text validation_bits_per_byte, or a metric of "
        "your own code."
    ),
    "direction": "Whether more or less of the metric is better; a built-in metric needs none.",
    "reports": "How often a trial reports, at equal shares of its budget.",
    "seed": "From which the sampler and every trial draw.",
    "budget_seconds": "After as many seconds of work on the study no trial starts.",
    "max_retries": "How often a trial that failed is run again.",
    "noise_scale": "Whether the gradient noise scale is measured at each report (McCandlish et al. 2018).",
}
# By table, then by key. The hyperparameters in Space are described by their own table, `batchlaw.spec.knobs`.
MEANINGS: dict[str, dict[str, str]] = {
    "StudySpec": {
        "command": "A program, one argument a part; expressions in braces are filled in.",
        "folder": "Where the program runs, from the folder of the study file.",
        "environment": "Variables of the program's environment, whose values may have expressions in braces.",
        "files": "Files that are written before the program starts: a path below {run_dir}, and its template.",
        "keep_runs": "Whether the folder of a trial stays when the trial has ended.",
        "devices": "How many devices share a batch.",
        "nodes": "On how many machines these devices are, equally many on each.",
        "micro_batch_size": "The most examples that a device computes at once.",
        "launcher": "What starts a function on several devices, in place of torchrun on this machine.",
        "diverged": "By what a run of the program is known to have diverged.",
        "out_of_memory": "By what a failed run of the program is known to have had too little memory.",
        "metrics": "Where each metric is read; one that is not listed is read from lines of JSON.",
        "progress": "Where the program tells how far it is.",
        "names": "The program's own words for the values of a hyperparameter.",
        "score_command": "A program that runs after a training that ended well; its metrics join the trial's.",
        "name": "The study's name in the database.",
        "question": "What the study is to answer, in a sentence.",
        "task": "A built-in data set and network.",
        "objective": "A training function of your own, as package.module:function.",
        "train_size": "Training examples in an epoch, with an objective or a command.",
        "tokens_per_example": "Tokens of an example; with it budgets and batches are known in tokens.",
        "budget": "How long a trial trains.",
        "space": "What is searched, and what all trials share.",
        "parameters": "Hyperparameters of your own, by name.",
        "schedule": "Settings of the decays step, batch-growth, seesaw and wsd.",
        "search": "Makes the study a search; exactly one of search and claim.",
        "claim": "Makes the study a designed one, which decides claims.",
        "log": "A library that every finished trial is logged to; it is no part of the fingerprint.",
    },
    "Budget": {
        "epochs": "Passes over the training examples.",
        "steps": "Updates of the weights.",
        "examples": "Examples seen in all updates together.",
        "tokens": "Tokens seen in all updates together; needs tokens_per_example.",
        "lr_time": "Steps × peak learning rate: the higher the rate, the fewer the steps.",
        "min_steps": "The fewest steps with lr_time.",
        "max_steps": "The most steps with lr_time.",
        "amount": "An amount in the program's own unit.",
        "unit": 'The unit of amount, such as "environment steps".',
    },
    "Search": {
        **_ARM,
        "trials": "How many trials the study has; this or budget_seconds, or both.",
        "sampler": "What chooses configurations; per-second weighs their gain by the seconds that they take.",
        "pruner": "What stops trials early.",
        "trial_seconds": "A trial that takes longer is stopped.",
        "confirm": "Whether the last fifth of the budget trains contenders for the best on fresh seeds.",
        "start": "Configurations that are tried first, such as what is in use now; what one leaves out is sampled.",
        "published_start": "Whether a search without `start` tries the published default of each optimizer first.",
        "max_seconds": "The most seconds that a run may take to be named; the search learns to keep to it.",
        "max_memory": 'The most memory that a run may take on an accelerator to be named: bytes, or "2GB".',
        "against": 'What a better score may cost; short for it is metric = ["validation_accuracy", "seconds"].',
        "stop": "Ends the search before its budget is spent, once going on would hardly gain.",
    },
    "Stop": {
        "gain": "What going on must gain, in the metric.",
        "confidence": "How sure it must be that it gains less.",
    },
    "Claim": {
        **_ARM,
        "hypotheses": "The claims to decide; `batchlaw claim --list` shows them.",
        "design": "factorial: every combination of the levels. adaptive: what tells most about the best levels.",
        "grid": "staggered: the batch sizes of successive learning rates are shifted by a third of their spacing.",
        "runs": "The number of trials of an adaptive design.",
        "alpha": "The rate of wrong decisions that is accepted.",
        "margin": "By how much a slope may differ from the one that is claimed.",
        "targets": "The training losses to which H20 and H23 count steps; chosen from the curves if there are none.",
    },
    "Space": {
        "reference_batch_size": "The batch size for which base_lr is meant.",
        "warmup": "untuned: 2/(1 - beta2) steps (Ma & Yarats 2021) in place of warmup_fraction.",
        "family_factors": "false: base_lr is the peak learning rate of every optimizer.",
        "exempt_norms_and_biases": "Whether weight decay leaves norms and biases out.",
        "beta1": "Adam's first decay rate.",
        "beta2": "Adam's second decay rate.",
        "rmsprop_alpha": "RMSprop's decay rate.",
        "beta2_half_life_examples": "Sets beta2 by its half-life in examples (Marek et al. 2025).",
        "beta2_floor": "The least beta2 that a half-life gives, at large batches.",
        "beta2_ceiling": "The largest beta2 that a half-life gives, at small batches.",
        "eps": "What Adam and RMSprop add to the denominator.",
    },
    "Schedule": {
        "milestones": "Shares of the budget at which the rate falls or the batch grows (Smith et al. 2018).",
        "decay_factor": "By how much.",
        "max_batch_size": "Where batch-growth and seesaw stop.",
        "cooldown_fraction": "The share of the budget, its last, over which wsd cools down (Hägele et al. 2024).",
        "horizons": "Shares of the budget, the last 1: at each a branch of a wsd run cools down and is scored.",
        "cooldown": "The shape of the cooldown of wsd: 1 - √ of its progress, or a straight line.",
    },
    "Task": {
        "dataset": "A data set of scikit-learn or torchvision, a file of arrays (.npz), text, or python-source.",
        "file": "The file of a text, in UTF-8; its bytes are tokens.",
        "model": "A network.",
        "model_options": "Options of the network.",
        "train_size": "Training examples; without it all that validation leaves.",
        "validation_fraction": "The share of the training data that is kept for validation.",
        "label_noise": "The share of training labels that are replaced by another class.",
        "split_seed": "From which the split into training and validation is drawn.",
        "fold": "Above 0 another division of the same examples into training and validation.",
        "augment": "Random crop and flip, for CIFAR.",
        "precision": "bfloat16 is by autocast.",
        "micro_batch_size": "The most examples that are computed at once.",
        "evaluation_tokens": "Of a text the most tokens on which a loss is measured, 16,384 without it.",
        "data": "Of data that are not built in what is known of them; it is filled in when the file is read.",
    },
    "OwnData": {
        "sha256": "Of the arrays or of the bytes.",
        "n_train": "Examples to split into training and validation; of a text bytes.",
        "n_test": "Examples of the test part; of a text bytes.",
        "n_classes": "The number of classes.",
        "shape": "Of an example.",
        "folder": "Where the file lay.",
    },
    "ModelOptions": {
        "widths": "Units of each hidden layer of mlp.",
        "channels": "Channels of the first layer of cnn.",
        "norm": "The norm of resnet18.",
        "patch_size": "Pixels at a side of a patch of vit-tiny.",
        "init_scale": "What the initial weights of mlp and cnn are multiplied by.",
        "width": "Features of a token of gpt, 64 without it.",
        "depth": "Blocks of gpt, 2 without it.",
        "heads": "Heads of attention of gpt, 2 without it.",
        "context": "Tokens of an example of gpt, 64 without it.",
    },
    "Log": {
        "to": "The library.",
        "uri": "MLflow's tracking URI; without it MLflow's own settings hold, such as MLFLOW_TRACKING_URI.",
        "experiment": "MLflow's experiment; the study's name without it.",
        "project": "The project of Weights & Biases; the study's name without it.",
        "entity": "The user or team of Weights & Biases.",
        "folder": "TensorBoard's folder, from the working folder of the worker; runs without it.",
    },
    "Conditional": {"when": "An expression; the arguments are there where it is true.", "args": "Arguments."},
    "Divergence": {
        "exit_codes": "Exit codes of the program.",
        "pattern": "A regex; a line that has it ends the run.",
    },
    "OutOfMemory": {"pattern": "A regex of a line of the output."},
    "Listener": {
        "regex": "A regex with one group, the number, or two, a ratio.",
        "csv": "A CSV file that the program writes.",
        "column": "The column of the CSV file.",
        "json_file": "A JSON file that the program writes.",
        "key": "The key in the JSON file, such as eval.loss.",
        "tensorboard": "A folder of TensorBoard's.",
        "tag": "The tag in TensorBoard.",
        "reduce": "Which of several numbers counts: last, best, mean, or last-50-mean.",
    },
    "Progress": {
        "regex": "A regex whose group is how far the program is.",
        "of": "The number at its end, an expression in braces; without it the group is a share of 1.",
    },
    "FloatRange": {
        "low": "The lowest value.",
        "high": "The highest value.",
        "log": "Whether it is searched on a logarithmic scale.",
    },
    "IntRange": {
        "low": "The lowest value.",
        "high": "The highest value.",
        "log": "Whether it is searched on a logarithmic scale.",
        "log2": "Only powers of two.",
    },
}


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a study file, with a description of every key."""
    made = StudySpec.model_json_schema()
    of_knobs = {knob.name: f"{knob.label} ({knob.unit})".removesuffix(" ()").capitalize() + "." for knob in KNOBS}
    for table, part in {"StudySpec": made, **made["$defs"]}.items():
        meanings = MEANINGS.get(table, {}) | (of_knobs if table == "Space" else {})
        for key, value in part.get("properties", {}).items():
            if key in meanings:
                value["description"] = meanings[key]
    return made
