"""A study file with a hostile expression is refused when it is read, in one line that names the field."""

import pytest
from batchlaw.errors import SpecError
from batchlaw.spec import parse_spec

IMPORTS = [
    "__import__('os')", "__import__('os').system('id')", "import os", "exec('x')", "eval('1')",
    "compile('1', '', 'eval')", "open('/etc/passwd')", "open('/etc/passwd').read()", "globals()", "locals()",
    "vars()", "dir()", "getattr(lr, 'x')", "setattr(lr, 'x', 1)", "delattr(lr, 'x')", "input()", "breakpoint()",
    "exit()", "quit()", "print(lr)", "help()", "memoryview(lr)", "type(lr)", "object()", "super()", "range(10)",
    "list(lr)", "str(lr)", "int(lr)", "pow(lr, 2)", "os.system('id')", "sys.exit(1)", "np.load('x')",
    "lr.tofile('x')", "builtins.open('x')", "exp(lr)",
]  # fmt: skip
ATTRIBUTES = [
    "lr.__class__", "lr.__class__.__mro__", "lr.real", "().__class__", "[].append(lr)", "''.join(lr)", "'a'.upper()",
    "lr.x.y.z", "lr . real", "lr[0]", "lr[0].x", "lr['a']", "(lr).real", "lr.__dict__['x']", "{}.__class__", "lr?.x",
    "lr->x",
]  # fmt: skip
SYNTAX = [
    "", " ", "lr +", "(lr", "lr)", "()", "(,)", "lr lr", "lr,", "lr, lr", "lr; lr", "lr = 3", "lr += 1", "lr++ ",
    "lambda: lr", "lambda x: x", "lr if lr else lr", "[x for x in lr]", "f'{lr}'", "b'lr'", "lr & lr", "lr | lr",
    "lr ^ lr", "~lr", "lr // 2", "lr << 2", "lr >> 2", "lr @ lr", "!lr", "lr && lr", "lr || lr", "$lr", "$(id)",
    "`id", "'lr", '"lr', "lr # comment", "lr\\n", "0x10", "1_000", "1e", "1j", "*lr", "**lr", "not", "and", "in",
    "lr in 3", "lr in ()", "sqrt", "sqrt()", "sqrt(lr, lr)", "min()", "yield lr", "await lr", "async lr", "return lr",
    "del lr", "...",
]  # fmt: skip
VALUES = [
    "9 ** 9 ** 9 + lr", "lr * 9 ** 9 ** 9 ** 9", "10 ** 400 * lr", "lr / 0 + 1 / 0", "lr + 0 / 0", "lr + 1 % 0",
    "lr * 1e999", "sqrt(-1) * lr", "log(0) * lr", "log(-1) + lr", "lr + (2 ** 1023) * 2", "lr + -(1e308 * 10)",
    "lr * max(1, 1 / 0)",
]  # fmt: skip
UNKNOWN = [
    "nan", "NaN", "inf", "Infinity", "None", "null", "lrr", "LR", "self", "__builtins__", "__name__", "os", "True.x",
]  # fmt: skip
LOOKALIKES = [
    "ⅼr", "lr\u200b", "ｌｒ", "l\u0440", "lr\u00a0+ x", "lr \u2212 1", "lr \u00d7 2", "lr\u202e", "２", "lr ＋ 1",
    "\x00", "lr\x07",
]  # fmt: skip
LARGE = [
    "(" * 60 + "lr" + ")" * 60, "-" * 60 + "lr", "not " * 60 + "lr", "sqrt(" * 60 + "lr" + ")" * 60,
    "lr" + " + lr" * 200, "lr" + "**lr" * 200, "l" * 2000, "lr + " + "9" * 2000, "'" + "a" * 2000 + "'",
    "(" * 100_000, "lr < " * 150 + "lr", "min(" + "lr, " * 200 + "lr)", "2 ** " * 60 + "lr",
]  # fmt: skip
HOSTILE = [*IMPORTS, *ATTRIBUTES, *SYNTAX, *VALUES, *UNKNOWN, *LOOKALIKES, *LARGE]


def repr_of(text):
    return ascii(text)[:40]


def refused(**keys):
    study = {
        "name": "x", "command": ["true", "{lr}"], "space": {"base_lr": {"low": 0.1, "high": 1.0}},
        "search": {"trials": 1, "metric": "loss", "direction": "minimize"},
    }  # fmt: skip
    parse_spec(study, "study.toml")  # it is the expression that is refused
    with pytest.raises(SpecError) as refusal:
        parse_spec(study | keys, "study.toml")
    return str(refusal.value)


@pytest.mark.parametrize("text", HOSTILE, ids=repr_of)
def test_a_hostile_template_is_refused_when_the_file_is_read(text):
    message = refused(command=["true", "{lr}", "{" + text + "}"])
    assert "command.2" in message and "\n" not in message and len(message) < 600


@pytest.mark.parametrize("text", [*HOSTILE, "lr := 3", "{lr}", "{lr: lr}", "lr:.3g", "lr!r"], ids=repr_of)
def test_a_hostile_condition_is_refused_when_the_file_is_read(text):
    message = refused(command=["true", "{lr}", {"when": text, "args": ["x"]}])
    assert "command.2.when" in message and "\n" not in message and len(message) < 600


def test_there_are_a_hundred_different_ones():
    assert len(set(HOSTILE)) == len(HOSTILE) >= 100
