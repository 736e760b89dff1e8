"""From the flags of a script to the parts of a study: arguments with placeholders, dimensions and a budget."""

import re
from dataclasses import dataclass, field

from batchlaw.scripts.printed import printed_metrics, printed_progress
from batchlaw.scripts.roles import Recognised, recognised
from batchlaw.scripts.script import Default, Flag, Script
from batchlaw.scripts.suggestions import around, near, powers_around, toml_value, whole
from batchlaw.spec.config import RESERVED
from batchlaw.spec.families import FAMILIES, OWN

Line = tuple[str, str]  # of TOML, and its comment
FILL_IN = "FILL_IN"
_STEPS, _EPOCHS = 1000, 10  # of a trial, where the script has no default (assumption; a question says so)
# Names of optimizers in scripts, in lower case without `torch`, `fused` and `_`.
_OPTIMIZERS = {**{name: name for name in FAMILIES}, "sgdm": "momentum", "adamhf": "adamw"}
_BUILT = re.compile(r"\boptim\.(SGD|Adagrad|RMSprop|Adam|AdamW)\b")


_READS = re.compile(r"yaml\.\w*load\w*|OmegaConf\.load|json\.load|tomllib\.load|toml\.load|configparser")


@dataclass
class Meaning:
    """The parts of a study file, each a list of lines with comments."""

    arguments: list[Line] = field(default_factory=list)
    keys: list[Line] = field(default_factory=list)
    space: list[Line] = field(default_factory=list)
    budget: list[Line] = field(default_factory=list)
    parameters: list[Line] = field(default_factory=list)
    further: list[Line] = field(default_factory=list)  # parameters that are suggested and commented out
    asides: list[Line] = field(default_factory=list)  # of [space], commented out as well
    names: dict[str, str] = field(default_factory=dict)  # of the optimizer in the script's words
    metrics: list[Line] = field(default_factory=list)
    progress: list[Line] = field(default_factory=list)
    metric: str = "loss"
    direction: str = "minimize"
    questions: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)  # names of flags


def meaning_of(script: Script) -> Meaning:
    """What the flags of a script are in a study."""
    found, meaning = recognised(script.flags), Meaning()
    if not script.flags and (reader := _READS.search(script.source)):
        meaning.questions.append(
            f"the script seems to read its settings from a file ({reader.group(0)}): name it in the command, with what "
            'overrides it, such as "conf.yaml", "optim.lr={lr}"; or have a copy filled in for each trial by '
            'files = {"{run_dir}/conf.yaml" = "conf.template.yaml"}'
        )
    _batches(found.roles, meaning)
    _rate(found.roles, meaning)
    _optimizer(found.roles, script, meaning)
    _budget(found.roles, meaning)
    _regularization(found, meaning)
    _housekeeping(found.roles, meaning)
    _metrics(script, meaning)
    _progress(script, meaning)
    for flag in found.undecided:
        meaning.arguments.append((flag.argument(FILL_IN), "required by the script"))
        meaning.questions.append(f"{flag.name} is required: which value should every trial have?")
    told = [*meaning.arguments, *meaning.further, *meaning.asides]
    used = {re.sub(r"[=\s].*", "", text) for text, _ in meaning.arguments}
    used |= set(re.findall(r'with "([^"=]+)=', " ".join(comment for _, comment in told)))
    others = [flag for flag in found.roles.values() if flag.name not in used]
    meaning.left = [flag.name for flag in (*others, *found.left)]
    return meaning


def _number(flag: Flag | None) -> float | None:
    """The default of a flag, if it is a number above 0."""
    value: Default = None if flag is None else flag.default
    return value if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None


def _told(flag: Flag) -> str:
    return f"default {flag.default}" if flag.default is not None else "no default found"


def _batch_of(roles: dict[str, Flag]) -> int | None:
    """The examples of an update by default."""
    size = _number(roles.get("device_batch_size") or roles.get("batch_size"))
    return None if size is None else round(size * (_number(roles.get("accumulate")) or 1))


def _batches(roles: dict[str, Flag], meaning: Meaning) -> None:
    flag, parts = roles.get("device_batch_size") or roles.get("batch_size"), roles.get("accumulate")
    if flag is None:
        meaning.questions.append("no flag for the batch size was found")
        return
    default = _batch_of(roles)
    if parts is None:
        meaning.arguments.append((flag.argument("{batch_size}"), _told(flag)))
    else:
        meaning.arguments.append((flag.argument("{micro_batch_size}"), _told(flag)))
        meaning.arguments.append((parts.argument("{accumulate}"), _told(parts)))
        fits = round(_number(flag) or 1)
        meaning.keys.append((f"micro_batch_size = {fits}", "the most examples that fit the device at once"))
    if default is None:
        meaning.questions.append(f"{flag.name} has no default that could be read: is 8 to 512 a good range?")
    usual = f"default {default}" if default else "no default found"
    meaning.space.append((f"batch_size = {powers_around(default or 64)}", f"examples of an update; {usual}"))


def _rate(roles: dict[str, Flag], meaning: Meaning) -> None:
    flag = roles.get("lr")
    if flag is None:
        meaning.questions.append("no flag for the learning rate was found")
        return
    default = _number(flag)
    meaning.arguments.append((flag.argument("{lr}"), _told(flag)))
    if default is None:
        meaning.questions.append(f"{flag.name} has no default that could be read: is 1e-05 to 0.1 a good range?")
    meaning.space.append((f"base_lr = {around(default or 1e-3, 30 if default else 100)}", _told(flag)))
    meaning.space.append(("family_factors = false", "base_lr is the rate that the script gets"))
    lowest = roles.get("min_lr")
    if default is not None and (least := _number(lowest)) is not None and lowest is not None and least < default:
        meaning.arguments.append((lowest.argument(f"{{lr / {whole(round(default / least, 6)):g}}}"), _told(lowest)))


def _optimizer(roles: dict[str, Flag], script: Script, meaning: Meaning) -> None:
    if "lr" not in roles:
        return
    flag = roles.get("optimizer")
    if flag is None:
        built = set(_BUILT.findall(script.source))
        name = next(iter(built)).lower() if len(built) == 1 else None
        if name is not None:
            name = "momentum" if name == "sgd" and "momentum" in roles else name
            meaning.space.append((f'optimizer = "{name}"', "the script's own, for the record"))
        else:
            meaning.space.append((f'optimizer = "{OWN}"', "the script's own, of which nothing is known"))
        return
    known = {word: name for word in flag.choices if (name := _optimizer_of(word, roles))}
    default = _optimizer_of(str(flag.default), roles)
    if default is None:
        meaning.space.append((f'optimizer = "{OWN}"', f"{flag.name} is {flag.default!r} by default"))
        return
    others = [name for name in dict.fromkeys(known.values()) if name != default]
    more = f"; to compare, [{', '.join(map(repr, [default, *others]))}] without family_factors" if others else ""
    meaning.arguments.append((flag.argument("{optimizer}"), _told(flag)))
    meaning.space.append((f'optimizer = "{default}"', _told(flag) + more))
    words = {name: word for word, name in known.items()} | {default: str(flag.default)}
    meaning.names = {name: word for name, word in words.items() if name != word}


def _optimizer_of(word: str, roles: dict[str, Flag]) -> str | None:
    plain = re.sub(r"_?(torch|hf|fused|xla)|_", "", word.lower())
    return "momentum" if plain == "sgd" and "momentum" in roles else _OPTIMIZERS.get(plain)


def _budget(roles: dict[str, Flag], meaning: Meaning) -> None:
    steps, epochs, environment = (roles.get(name) for name in ("steps", "epochs", "environment_steps"))
    batch, counted = _batch_of(roles), False
    unknown = next((flag for flag in (steps, epochs) if flag is not None), None)
    if any(map(_number, (environment, steps, epochs))):
        unknown = None
    n_steps = _number(steps) or (_STEPS if unknown is not None and unknown is steps else None)
    n_epochs = _number(epochs) or (_EPOCHS if unknown is not None and unknown is epochs else None)
    if environment is not None and (amount := _number(environment)):
        meaning.arguments.append((environment.argument("{budget}"), _told(environment)))
        meaning.budget += [(f"amount = {whole(amount)}", ""), ('unit = "environment steps"', "")]
    elif steps is not None and (amount := n_steps):
        meaning.arguments.append((steps.argument("{steps}"), _told(steps)))
        if batch is None:
            meaning.budget.append((f"steps = {round(amount)}", ""))
        else:
            why = f"{whole(amount)} steps of {batch}; the same for every batch size"
            meaning.budget.append((f"examples = {round(amount * batch)}", why))
        counted = True
    elif epochs is not None and (amount := n_epochs):
        meaning.arguments.append((epochs.argument("{budget}"), _told(epochs)))
        meaning.budget += [(f"amount = {whole(amount)}", ""), ('unit = "epochs"', "")]
    if unknown is not None:
        guess = f"{n_steps} steps" if unknown is steps else f"{n_epochs} epochs"
        meaning.questions.append(f"how long does a trial train? {unknown.name} has no default; {guess} is a guess")
    elif not meaning.budget:
        meaning.questions.append("how long does a trial train?")
    _schedule(roles, meaning, counted=counted)


def _schedule(roles: dict[str, Flag], meaning: Meaning, *, counted: bool) -> None:
    """Warmup and decay, which are counted in steps or as fractions."""
    steps = _number(roles.get("steps"))
    if counted and (flag := roles.get("decay_steps")) is not None and _number(flag) in (None, steps):
        meaning.arguments.append((flag.argument("{steps}"), _told(flag)))
    fraction, warmup = roles.get("warmup_fraction"), roles.get("warmup_steps")
    if fraction is not None:
        default = _number(fraction) or 0.0
        meaning.arguments.append((fraction.argument("{warmup_fraction}"), _told(fraction)))
        meaning.space.append((f"warmup_fraction = {{low = 0.0, high = {max(0.2, 2 * default):g}}}", _told(fraction)))
    elif warmup is not None and counted and steps:
        default = (_number(warmup) or 0.0) / steps
        meaning.arguments.append((warmup.argument("{warmup_steps}"), _told(warmup)))
        high = min(max(0.2, 2 * default), 0.9)
        meaning.space.append((f"warmup_fraction = {{low = 0.0, high = {high:.2g}}}", f"of the steps; {_told(warmup)}"))


def _regularization(found: Recognised, meaning: Meaning) -> None:
    decay = found.roles.get("weight_decay")
    if decay is not None and (default := _number(decay)):
        meaning.arguments.append((decay.argument("{weight_decay}"), _told(decay)))
        meaning.space.append((f"weight_decay = {around(default, 10)}", _told(decay)))
    elif decay is not None:
        aside = f'{_told(decay)}; with "{decay.argument("{weight_decay}")}"'
        meaning.asides.append((f"weight_decay = {around(1e-3, 100)}", aside))
    momentum = found.roles.get("momentum")
    owns = any(line == f'optimizer = "{OWN}"' for line, _ in meaning.space)  # then {momentum} has no value
    if momentum is not None and not owns and (default := _number(momentum)) and default < 1:
        aside = f'{_told(momentum)}; with "{momentum.argument("{momentum}")}"'
        meaning.asides.append((f"momentum = {near(default)}", aside))
    for flag in found.dropouts:
        name = _parameter(flag, meaning)
        meaning.arguments.append((flag.argument(f"{{{name}}}"), _told(flag)))
        meaning.parameters.append((f"{name} = {{low = 0.0, high = 0.5}}", _told(flag)))
    further = [found.roles[role] for role in ("smoothing", "warmup_epochs") if role in found.roles]
    for flag in (*further, *found.shapes):
        name = _parameter(flag, meaning)
        values = near(flag.default if isinstance(flag.default, int | float) else 0.0)
        meaning.further.append((f"{name} = {values}", f'{_told(flag)}; with "{flag.argument(f"{{{name}}}")}"'))


def _parameter(flag: Flag, meaning: Meaning) -> str:
    """A name for a parameter: the flag's last part, or more of it where that has a meaning or is taken."""
    taken = {line.split(" = ")[0] for line, _ in (*meaning.parameters, *meaning.further)}
    plain = re.sub(r"\W", "_", flag.word)
    for name in (plain, "_".join([*flag.path, plain]), f"own_{plain}"):
        if name not in RESERVED and name not in taken and name.isidentifier():
            return name
    return f"own_{plain}_{len(taken)}"


def _housekeeping(roles: dict[str, Flag], meaning: Meaning) -> None:
    if (seed := roles.get("seed")) is not None:
        meaning.arguments.append((seed.argument("{seed}"), _told(seed)))
    else:
        meaning.questions.append("no flag for a seed was found: a claim needs one, and repeated runs are alike without")
    folder, file = roles.get("run_dir"), roles.get("saved_file")
    if folder is not None:
        meaning.arguments.append((folder.argument("{run_dir}"), "a folder for each trial"))
    elif file is not None:
        name = str(file.default).rpartition("/")[2]
        meaning.arguments.append((file.argument(f"{{run_dir}}/{name}"), "a folder for each trial"))
    else:
        meaning.questions.append(
            "no flag for a folder of its files was found: does the script write files that two trials would share?"
        )


def _metrics(script: Script, meaning: Meaning) -> None:
    printed = printed_metrics(script.source)
    for metric in printed:
        meaning.metrics.append((f"{metric.name} = {{regex = {toml_value(metric.regex)}}}", ""))
    if printed:
        meaning.metric, meaning.direction = printed[0].name, printed[0].direction
        meaning.questions.append(f"is {printed[0].name} the metric to {printed[0].direction}? It is a guess")
    else:
        meaning.questions.append(
            "which metric, and is it to be minimized? No text that prints one was found in the script; JSON lines such "
            'as {"loss": 0.5} are read without [metrics]'
        )


def _progress(script: Script, meaning: Meaning) -> None:
    """How far it is, where it prints a metric and counts what the budget counts."""
    told = " ".join(text for text, _ in meaning.arguments)
    of = "{steps}" if "{steps}" in told else "{budget}"
    unit = "steps" if of == "{steps}" else "epochs"
    counts = unit == "steps" or ('unit = "epochs"', "") in meaning.budget
    found = printed_progress(script.source, unit) if counts and of in told and meaning.metrics else None
    if found is None:
        return
    regex, is_ratio = found
    meaning.progress.append(
        (f"regex = {toml_value(regex)}", "how far it is where it tells a metric, to end bad trials")
    )
    if not is_ratio:
        meaning.progress.append((f"of = {toml_value(of)}", ""))
