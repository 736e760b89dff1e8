"""Templates: text with expressions in braces."""

import pytest
from batchlaw.errors import BatchlawError, SpecError
from batchlaw.expressions import Template
from batchlaw.spec import parse_spec

VALUES = {"batch_size": 48, "lr": 1e-5, "optimizer": "adamw", "steps": 100, "none": None, "rate": 0.5}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("--batch-size={batch_size}", "--batch-size=48"),
        ("{batch_size / 4}", "12"),
        ("{batch_size / 5:g}", "9.6"),
        ("{ceil(batch_size / 5)}", "10"),
        ("{batch_size * rate}", "24.0"),
        ("{batch_size * rate:d}", "24"),
        ("{lr}", "1e-05"),
        ("{lr / 10}", repr(1e-5 / 10)),
        ("{lr:.2e}", "1.00e-05"),
        ("{{x}} {optimizer}}}", "{x} adamw}"),
        ("{optimizer!r}", "'adamw'"),
        ("{optimizer == '}'}", "False"),
        ("{batch_size:06d}", "000048"),
        ("no braces", "no braces"),
        ("", ""),
    ],
)
def test_values_are_written_as_programs_read_them(text, filled):
    assert Template.parse(text).fill(VALUES) == filled


def test_words_replace_a_value_that_stands_alone_only():
    words = {"optimizer": {"adamw": "adamw_torch"}}
    assert Template.parse("{optimizer}").fill(VALUES, words) == "adamw_torch"
    assert Template.parse("{optimizer == 'adamw'}").fill(VALUES, words) == "True"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{batch_size / 5}", ["is 9.6, no whole number", "batch_size = 48", "{batch_size / 5:g}"]),
        ("{batch_size * lr:d}", ["no whole number"]),
        ("{none}", ["'none' has no value"]),
        ("{none + 1}", ["'none' has no value"]),
        ("{1 / (steps - 100)}", ["is inf"]),
        ("{optimizer + 1}", ["needs numbers"]),
        ("{optimizer:g}", ["does not go with 'g'"]),
        ("{optimizer == 1}", ["compares"]),
    ],
)
def test_what_has_no_value_is_said(text, words):
    with pytest.raises(BatchlawError) as refusal:
        Template.parse(text).fill(VALUES)
    assert all(word in str(refusal.value) for word in words), refusal.value


HOSTILE = [
    # Code and attributes.
    "__import__('os')", "__import__('os').system('id')", "eval('1')", "exec('x=1')", "open('/etc/passwd')",
    "open('/etc/passwd').read()", "compile('1', '', 'eval')", "globals()", "locals()", "vars()", "dir()",
    "getattr(seed, 'x')", "setattr(seed, 'x', 1)", "type(seed)", "input()", "print(seed)", "breakpoint()", "exit()",
    "help()", "id(seed)", "seed.__class__", "seed.__class__.__mro__", "seed.__class__.__base__.__subclasses__()",
    "lr.real", "lr.hex()", "optimizer.upper()", "optimizer.__len__", "''.__class__", "().__class__", "[].__class__",
    "{}.__class__", "seed.__init__.__globals__", "seed.__reduce__()", "os.system('id')", "os.environ", "sys.exit()",
    "self", "self._spec", "config.seeds", "spec.name", "trial.number", "__builtins__", "__file__", "__name__",
    # Python that is no arithmetic.
    "lambda: 1", "(lambda x: x)(1)", "[x for x in (1, 2)]", "x if seed else y", "seed if seed", "seed; seed",
    "(y := 5)", "seed = 1", "seed += 1", "seed, lr", "seed[0]", "optimizer[0]", "optimizer[::-1]",
    "*seed", "**seed", "f'{seed}'", "b'seed'", "seed # comment", "import os", "from os import system", "del seed",
    "return seed", "yield seed", "await seed", "assert seed", "raise seed", "pass", "global seed", "not", "and seed",
    "seed or", "seed is 1", "seed is not None", "seed @ seed", "seed // 2", "seed << 1000", "seed >> 1", "seed & 1",
    "seed | 1", "seed ^ 1", "~seed", "!seed", "$seed", "seed?", "seed\\n", "`id`", "$(id)", "%x", "0x41", "1_000",
    "0b1", "1j", "10**10**10 * seed", "9 ** 9 ** 9 + seed", "9e999 * seed", "seed / 0 * (1 / 0)", "1e308 * 10 + seed",
    # Too long, too deep.
    "(" * 60 + "seed" + ")" * 60, "-" * 60 + "seed", "seed" + " + seed" * 400, "seed" * 300, "seed ** " * 60 + "seed",
    "not " * 60 + "seed", "abs(" * 60 + "seed" + ")" * 60,
    # Formats.
    "seed:{seed}", "seed:999999999", "seed:.999999999f", "seed:%s", "seed:{lr}d", "seed!x", "seed!", "seed:>9999999",
    "", " ", "0", "1 + 1", "'text'", "True",
]  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_expression_is_refused_when_the_file_is_read(hostile):
    study = {
        "name": "hostile", "command": ["true", f"--x={{{hostile}}}"], "space": {"optimizer": ["sgd", "adam"]},
        "search": {"trials": 1, "metric": "loss", "direction": "minimize"},
    }  # fmt: skip
    with pytest.raises(SpecError) as refusal:
        parse_spec(study, "study.toml")
    assert str(refusal.value).startswith("study.toml: command.1: ") and "\n" not in str(refusal.value)


def test_there_are_a_hundred_hostile_expressions():
    assert len(set(HOSTILE)) > 100


@pytest.mark.parametrize("hostile", [text for text in HOSTILE if not set(":!{") & set(text)])
def test_a_hostile_condition_is_refused_when_the_file_is_read(hostile):
    study = {
        "name": "hostile", "command": ["true", {"when": hostile, "args": ["x"]}],
        "space": {"optimizer": ["sgd", "adam"]}, "search": {"trials": 1, "metric": "loss", "direction": "minimize"},
    }  # fmt: skip
    with pytest.raises(SpecError, match=r"^study.toml: command.1"):
        parse_spec(study, "study.toml")
