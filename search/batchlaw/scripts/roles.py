"""What flags mean, by their names: the table of usual names, and which flag of a script has which role."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from batchlaw.scripts.script import Flag

# The last part of a flag's name, in lower case with `_` between words. A name stands in one role only.
ROLES: dict[str, tuple[str, ...]] = {
    "lr": (
        "lr", "learning_rate", "base_lr", "max_lr", "peak_lr", "initial_lr", "init_lr", "lrate", "learningrate",
        "base_learning_rate", "peak_learning_rate", "lr_peak", "lr_max", "step_size_init",
    ),
    # One of these is the batch of an update, unless another flag counts the batches that are accumulated.
    "batch_size": (
        "batch_size", "batchsize", "train_batch_size", "batch_size_train", "training_batch_size", "bs", "bsz",
        "batch", "minibatch_size", "mini_batch_size", "global_batch_size", "total_batch_size", "train_bs", "bsize",
        "b_size",
    ),
    "device_batch_size": (
        "per_device_train_batch_size", "per_gpu_train_batch_size", "micro_batch_size", "device_batch_size",
        "per_device_batch_size", "batch_size_per_gpu", "batch_size_per_device",
    ),
    "accumulate": (
        "gradient_accumulation_steps", "grad_accum_steps", "accumulate_grad_batches", "accum_steps", "accum_iter",
        "gradient_accumulation", "grad_accumulation_steps", "accumulation_steps", "grad_accum", "accum_freq",
    ),
    "epochs": (
        "epochs", "num_train_epochs", "num_epochs", "max_epochs", "n_epochs", "nepochs", "epoch", "nb_epochs",
        "niter", "train_epochs", "total_epochs", "max_epoch", "nb_epoch",
    ),
    "steps": (
        "max_steps", "max_iters", "num_steps", "train_steps", "total_steps", "steps", "iters", "iterations",
        "num_iterations", "max_iterations", "num_train_steps", "n_steps", "training_steps", "max_train_steps",
        "niter", "n_iters", "num_iters", "max_iter",
    ),
    "environment_steps": (
        "total_timesteps", "total_env_steps", "num_env_steps", "env_steps", "timesteps", "num_timesteps",
        "max_timesteps",
    ),
    "decay_steps": ("lr_decay_iters", "lr_decay_steps", "decay_steps", "t_max", "cosine_steps"),
    "warmup_steps": (
        "warmup_steps", "warmup_iters", "num_warmup_steps", "warmup", "n_warmup_steps", "lr_warmup_steps",
        "warmup_iterations", "warmup_updates",
    ),
    "warmup_fraction": ("warmup_ratio", "warmup_fraction", "warmup_proportion", "warmup_frac", "pct_start"),
    "warmup_epochs": ("warmup_epochs", "lr_warmup_epochs", "num_warmup_epochs"),
    "min_lr": ("min_lr", "lr_min", "eta_min", "end_lr", "final_lr", "min_learning_rate"),
    "weight_decay": ("weight_decay", "wd", "weightdecay", "l2", "l2_reg", "weight_decay_rate"),
    "momentum": ("momentum", "sgd_momentum", "mom"),
    "beta1": ("beta1", "adam_beta1", "beta_1", "b1"),
    "beta2": ("beta2", "adam_beta2", "beta_2", "b2"),
    "eps": ("eps", "adam_epsilon", "adam_eps", "opt_eps", "epsilon_adam"),
    "optimizer": ("optimizer", "opt", "optim", "optimizer_name", "optimiser", "optimizer_type"),
    "decay": ("lr_scheduler_type", "sched", "scheduler", "lr_scheduler", "lr_schedule", "schedule", "lr_decay_style"),
    "seed": ("seed", "random_seed", "manual_seed", "seed_everything", "rng_seed", "manualseed", "random_state"),
    "run_dir": (
        "out_dir", "output_dir", "save_dir", "log_dir", "logdir", "work_dir", "checkpoint_dir", "ckpt_dir",
        "results_dir", "output", "outdir", "run_dir", "savedir", "outf", "default_root_dir", "exp_dir", "model_dir",
        "output_path",
    ),
    "saved_file": ("save", "save_path", "checkpoint", "checkpoint_path", "model_path", "save_model_path", "ckpt_path"),
    "dropout": (
        "dropout", "drop", "dropout_rate", "dropout_prob", "p_dropout", "drop_rate", "hidden_dropout",
        "attention_dropout", "attn_dropout", "resid_pdrop", "embd_pdrop", "attn_pdrop", "dropout_p",
    ),
    "smoothing": ("label_smoothing", "smoothing", "label_smoothing_factor"),
}  # fmt: skip
# What the help of a flag with another name says in full.
_HELP = {
    "lr": "(base |initial |peak |max(imum)? )?learning rate",
    "batch_size": "(train(ing)? |mini-?)?batch ?size( for training)?|(mini-?)?batch",
    "epochs": "(total )?(number|num|no\\.?|#) ?(of )?(train(ing)? )?epochs?( to (train|run)( for)?)?|epochs?",
    "seed": "(random |rng |manual )?seed",
}
_ROLE_OF = {name: role for role, names in ROLES.items() for name in names}
# Of two flags with the same role the one with the earlier name in the table is taken.
_RANK = {name: rank for names in ROLES.values() for rank, name in enumerate(names)}
_SEVERAL = ("dropout",)  # roles that several flags may have
# Numbers that shape a model or its training: they may be worth a search, which the user decides.
_SHAPES = re.compile(
    r"(^|_)(n?layers?|depth|width|hidden|nhid|emsize|embd|embed|heads?|nhead|dim|units|channels|filters|kernel|gamma|tau|"
    r"alpha|beta|clip|norm|temperature|mixup|cutmix|ema|rank|ratio|fraction|frequency|buffer|bptt|block|reprob|"
    r"start_e|end_e|starts|lambda|coef|coeff|margin|scale)(_|$|\d)|^(n|num)_"
)
_EPOCHS, _STEPS = (re.compile(words, re.IGNORECASE) for words in (r"\bepochs?\b", r"\b(steps?|iterations?|updates?)\b"))
_UNLIKE = re.compile(
    r"eval|test|val|log|save|print|report|worker|port|rank|gpu|device|node|world|checkpoint|thread|process|cpu|wandb|"
    r"verbos|version|limit|timeout|class|sanity"
)


@dataclass(frozen=True)
class Recognised:
    """The flags of a script by what they mean."""

    roles: dict[str, Flag]
    dropouts: tuple[Flag, ...]  # all with that role
    shapes: tuple[Flag, ...]  # numbers that the user may want to search
    undecided: tuple[Flag, ...]  # required, without a role
    left: tuple[Flag, ...]  # the others


def recognised(flags: Sequence[Flag]) -> Recognised:
    """Find the role of each flag."""
    roles: dict[str, Flag] = {}
    dropouts, shapes, undecided, left = [], [], [], []
    for flag in sorted(flags, key=lambda flag: _RANK.get(flag.word, 0)):
        role = role_of(flag)
        if role in _SEVERAL:
            dropouts.append(flag)
        elif role is not None and role not in roles:
            roles[role] = flag
        elif flag.required and role is None:
            undecided.append(flag)
        elif flag.default is not None and _is_shape(flag):
            shapes.append(flag)
        else:
            left.append(flag)
    order = {flag.name: place for place, flag in enumerate(flags)}
    if "batch_size" in roles and "device_batch_size" not in roles and "accumulate" in roles:
        roles["device_batch_size"] = roles.pop("batch_size")  # an update sees as many as are accumulated

    def in_order(found: list[Flag]) -> tuple[Flag, ...]:
        return tuple(sorted(found, key=lambda flag: order[flag.name]))

    return Recognised(roles, in_order(dropouts), in_order(shapes), in_order(undecided), in_order(left))


def role_of(flag: Flag) -> str | None:
    """The role that a flag's name and kind tell; None where there is none."""
    role = _ROLE_OF.get(flag.word) or _role_of_help(flag.help)
    if role is None or flag.positional:
        return None
    takes_text = role in ("optimizer", "decay", "run_dir", "saved_file")
    if flag.word == "seed_everything":  # of Lightning: true, or a number
        return role
    if flag.kind == "switch" or (not takes_text and flag.kind == "str" and not _is_number(flag.default)):
        return None
    if takes_text and flag.is_number:
        return None
    if role == "saved_file" and "." not in str(flag.default).rpartition("/")[2]:
        return None
    if role == "warmup_steps" and isinstance(flag.default, float) and 0 < flag.default < 1:
        return "warmup_fraction"
    if role == "steps" and _EPOCHS.search(flag.help) and not _STEPS.search(flag.help):  # `--niter` of DCGAN
        return "epochs"
    return role


def _role_of_help(text: str) -> str | None:
    """The role that a flag's help tells, apart from its article, its default and its full stop."""
    plain = re.sub(r"^(the|an?) ", "", re.split(r"[(\[,;:]", text.lower())[0].strip(" .\n"))
    return next((role for role, words in _HELP.items() if re.fullmatch(words, plain)), None)


def _is_shape(flag: Flag) -> bool:
    return flag.is_number and bool(_SHAPES.search(flag.word)) and not _UNLIKE.search(flag.word)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
