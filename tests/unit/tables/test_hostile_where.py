"""Expressions that would run code or write files in pandas or Python: each is one line, and nothing happens."""

import os

import pandas as pd
import pytest
from batchlaw.cli import main
from batchlaw.errors import BatchlawError
from batchlaw.tables.columns import Columns
from batchlaw.tables.reading import read_runs

# {mark} is a file that an attack would make.
ATTACKS = [
    "@pd.io.common.os.system('touch {mark}')",
    "__import__('os').system('touch {mark}')",
    "lr.to_csv('{mark}')",
    "@os.system('touch {mark}')",
    "lr.__class__",
    "lr.__class__.__mro__[1].__subclasses__()",
    "().__class__.__base__",
    'exec(\'open("{mark}", "w")\')',
    "eval('1')",
    "open('{mark}', 'w')",
    "lr.pipe(open)",
    "lr.apply(print)",
    "lr.map(lambda x: x)",
    "(lambda: 0)()",
    "[x for x in lr]",
    "lr.values.tofile('{mark}')",
    "lr.values.dump('{mark}')",
    "@lr",
    "@__builtins__",
    "`lr`.to_pickle('{mark}')",
    "lr := 3",
    "lr = 3",
    "lr == 1; import os",
    "import os",
    "lr == 1\nimport os",
    "f'{{lr}}'",
    "'a' 'b'",
    "lr if lr else lr",
    "lr or __import__('os')",
    "lr[0]",
    "lr[__import__('os')]",
    "{{1: 2}}",
    "lr.str.len()",
    "@pandas.read_pickle('{mark}')",
    "pd.eval('1')",
    "lr.query('1')",
    "globals()",
    "locals()",
    "getattr(lr, 'mean')",
    "breakpoint()",
    "input()",
    "yield lr",
    "await lr",
    "print(lr)",
    "9 ** 9 ** 9 ** 9 ** 9 > lr",
    "lr > " + "(" * 500 + "1" + ")" * 500,
    "not " * 500 + "lr > 1",
    "lr > 1" + " and lr > 1" * 500,
    "lr > " + "9" * 2000,
    "lr in ()",
    "lr == $(touch {mark})",
    "lr == `touch {mark}`",
    "${{mark}}",
    "%s %n",
    "lr > 1 -- drop",
    "lr > 1 # x",
    "\x00",
    "lr\u200b > 1",
    "ｌr > 1",
    "lr > 1e400 and lr.real",
    "lr.mean() > 0",
    "lr @ lr > 0",
    "~lr > 0",
    "lr is None",
]


@pytest.fixture
def runs(tmp_path):
    file = tmp_path / "runs.csv"
    file.write_text(
        "lr,bs,loss\n" + "".join(f"{rate},{size},{rate + size}\n" for rate in (1, 2, 4) for size in (1, 2, 4))
    )
    return file


def test_there_are_fifty():
    assert len(ATTACKS) >= 50 and len(set(ATTACKS)) == len(ATTACKS)


@pytest.mark.parametrize("argument", ["where", "diverged_where", "lr"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_is_run_or_written_and_one_line_tells(runs, tmp_path, monkeypatch, attack, argument):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "system", lambda _: pytest.fail("a command was run"))
    before, text = sorted(tmp_path.iterdir()), attack.replace("{mark}", str(tmp_path / "mark"))
    table = pd.read_csv(runs)
    try:
        read_runs(table, Columns.of(**{argument: text}))
    except BatchlawError as refusal:
        assert refusal.argument is not None and "\n" not in str(refusal).replace(repr(text), "")
    else:
        assert "**" in text  # a large number, and no more
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("attack", ATTACKS[:8])
def test_the_command_ends_with_2_and_one_line(runs, tmp_path, monkeypatch, capsys, attack):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr("sys.argv", ["batchlaw", "claim", str(runs), "--where", attack.replace("{mark}", "mark")])
    with pytest.raises(SystemExit) as end:
        raise SystemExit(main())
    assert end.value.code == 2
    told = capsys.readouterr().err.strip()
    assert told.startswith("error: --where") and "\n" not in told
    assert sorted(tmp_path.iterdir()) == before
