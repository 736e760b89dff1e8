"""The Python form of an export: plain PyTorch that builds the optimizer and the schedule, and runs as it stands."""

from importlib.resources import files

from batchlaw.export.provenance import Provenance
from batchlaw.recipe.schedule import schedule_of
from batchlaw.spec import TrainConfig
from batchlaw.spec.families import FAMILIES
from batchlaw.spec.knobs import GROWING

_DECAYS = {
    ("cosine", None): "(1 + math.cos(math.pi * position)) / 2",
    ("linear", None): "1 - position",
    ("wsd", "linear"): "1 - position",
    ("wsd", "1-sqrt"): "1 - math.sqrt(position)",
}  # by decay and cooldown
_EXEMPT = """\
    small = [p for name, p in model.named_parameters() if p.ndim <= 1 or name.endswith("bias")]
    large = [p for name, p in model.named_parameters() if not (p.ndim <= 1 or name.endswith("bias"))]
    groups = [{{"params": large, "weight_decay": {weight_decay!r}}}, {{"params": small, "weight_decay": 0.0}}]
"""
_MUON = """\
    matrices = hidden_matrices(model)
    of_muon = {id(matrix) for matrix in matrices}
    groups = [
        {"params": matrices, "weight_decay": %(decay)r, "muon": True},
        *({**group, "params": [p for p in group["params"] if id(p) not in of_muon]} for group in groups),
    ]
    groups = [group for group in groups if group["params"]]
"""
_GROUPS = """\
    groups = [{"params": list(model.parameters()), "weight_decay": %(decay)r}]
"""
_TRAINING = """\
    optimizer = %(optimizer)s
    optimizer.train()  # call eval() before you score or save the model, and train() before you go on
    return optimizer
"""
_RECIPE = '''\
BATCH_SIZE = {batch_size}  # examples a step{growth_note}
PEAK_LR = {peak_lr!r}
STEPS = {steps}
WARMUP_STEPS = {warmup_steps}
{parameters}PHASES = {phases!r}  # (batch size, steps, factor of the learning rate)

{definitions}
def build_optimizer(model: torch.nn.Module) -> torch.optim.Optimizer:
{building}

def phase(step: int) -> tuple[int, float, int]:
    """Batch size and factor of the learning rate at a step, and the examples seen before it."""
    seen = 0
    for batch_size, steps, factor in PHASES:
        if step < steps:
            return batch_size, factor, seen + step * batch_size
        seen, step = seen + steps * batch_size, step - steps
    return batch_size, factor, seen


def lr_multiplier(step: int) -> float:
    """The learning rate of a step over PEAK_LR."""
    _, multiplier, {seen} = phase(step)
{decay_lines}    return multiplier * min(1.0, (step + 1) / WARMUP_STEPS) if WARMUP_STEPS else multiplier


def build_schedule(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
    """Call its step() after every optimizer.step()."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lr_multiplier)
'''
_MODULE = '''\
"""Trial {trial} of study {study}, exported by batchlaw: its optimizer, and the learning rate of every step."""

{comment}
{imports}
{recipe}

if __name__ == "__main__":  # put your model and data in here
    model = torch.nn.Linear(64, 10)
    optimizer = build_optimizer(model)
    schedule = build_schedule(optimizer)
    for step in range(min(STEPS, 5)):
        images, labels = torch.randn(phase(step)[0], 64), torch.randint(10, (phase(step)[0],))
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        print(f"step {{step}}: batch size {{phase(step)[0]}}, learning rate {{schedule.get_last_lr()[0]:.6g}}")
        optimizer.step()
        schedule.step()
'''
_VALUES = '''\
"""Trial {trial} of study {study}, exported by batchlaw: the values that were searched."""

{comment}
{values}'''
_DECAY_LINES = """\
    start = {start} * BATCH_SIZE
    position = min(1.0, max(0.0, (seen - start) / ({examples} - start)))
    multiplier *= {formula}
"""


def python_snippet(config: TrainConfig, provenance: Provenance) -> str:
    """A Python module that builds this configuration and needs PyTorch alone.

    Of a study without a learning rate, batch size or number of steps it has the values alone.
    """
    if None in (config.peak_lr, config.batch_size, config.steps):
        return _VALUES.format(
            trial=provenance.trial, study=provenance.study, comment=provenance.comment(), values=_values(config)
        )
    return _MODULE.format(
        trial=provenance.trial,
        study=provenance.study,
        comment=provenance.comment(),
        imports=imports(config),
        recipe=recipe(config),
    )


def _parameters(config: TrainConfig) -> str:
    """The line of the user's own parameters; empty where there are none."""
    return f"PARAMETERS = {config.parameters!r}\n" if config.parameters else ""


def _values(config: TrainConfig) -> str:
    known = {"BATCH_SIZE": config.batch_size, "PEAK_LR": config.peak_lr, "STEPS": config.steps}
    return "".join(f"{name} = {value!r}\n" for name, value in known.items() if value is not None) + _parameters(config)


def imports(config: TrainConfig, *more: str) -> str:
    """The import lines that the recipe needs, with `more` modules of the standard library."""
    standard = sorted([*more, *(["math"] if "math." in (_formula(config) or "") else [])])
    return "".join(f"import {name}\n" for name in standard) + "\n" * bool(standard) + _packages(config)


def _formula(config: TrainConfig) -> str | None:
    """The expression by which the rate decays continuously; None where it does not."""
    return _DECAYS.get((config.decay, config.cooldown))


def _packages(config: TrainConfig) -> str:
    package = FAMILIES[config.optimizer].package
    return (
        "import torch\n" if package == "torch.optim" else f"import {package}  # pip install {package}\nimport torch\n"
    )


def _definitions(config: TrainConfig) -> str:
    """The code of an optimizer that is ours, as `batchlaw.train` has it, below its import; empty for others."""
    own = "muon" if config.optimizer == "muon" else None if config.bias_correction else "uncorrected_adam"
    if own is None:
        return ""
    text = (files("batchlaw") / "train" / f"{own}.py").read_text(encoding="utf-8")
    return text.partition("import torch\n")[2] + "\n"


def _building(config: TrainConfig) -> str:
    """The body of `build_optimizer`."""
    family, decay, muon = FAMILIES[config.optimizer], config.weight_decay, config.optimizer == "muon"
    exempt = config.exempt_norms_and_biases and decay > 0
    arguments = ["groups" if exempt or muon else "model.parameters()", "lr=PEAK_LR"]
    arguments += [f"{keyword}={value!r}" for keyword, value in family.arguments(dict(config)).items()]
    arguments += [] if exempt or muon else [f"weight_decay={decay!r}"]
    name = "MuonWithAdamW" if muon else f"{family.package}.{family.torch}"
    if not config.bias_correction:
        name = "UncorrectedAdam"
        arguments.append(f"decoupled={family.decoupled_decay!r}")
    lines = _EXEMPT.format(weight_decay=decay) if exempt else _GROUPS % {"decay": decay} if muon else ""
    lines += _MUON % {"decay": decay} if muon else ""
    optimizer = f"{name}({', '.join(arguments)})"
    return lines + (f"    return {optimizer}\n" if family.scheduled else _TRAINING % {"optimizer": optimizer})


def recipe(config: TrainConfig) -> str:
    """Constants, `build_optimizer`, `phase`, `lr_multiplier` and `build_schedule`, as text."""
    schedule = schedule_of(config)
    formula = _formula(config)
    start = "WARMUP_STEPS" if config.cooldown is None else f"{schedule.decay_start}"
    return _RECIPE.format(
        batch_size=config.batch_size,
        growth_note=", at first; see PHASES" if config.decay in GROWING else "",
        peak_lr=config.peak_lr,
        steps=schedule.steps,
        warmup_steps=schedule.warmup_steps,
        parameters=_parameters(config),
        phases=[(phase.batch_size, phase.steps, phase.lr_factor) for phase in schedule.phases],
        definitions=_definitions(config),
        building=_building(config),
        seen="seen" if formula else "_",
        decay_lines=_DECAY_LINES.format(start=start, examples=schedule.examples, formula=formula) if formula else "",
    )
