"""Hundreds of lines that a program may print: each is heard, or the trial fails with one line; none is obeyed."""

import json
import subprocess
import sys
from itertools import product

import pytest
from batchlaw.errors import ObjectiveError
from batchlaw.objectives.listeners import Hearing
from batchlaw.objectives.log_files import read_metric
from batchlaw.objectives.output import Lines, Output
from batchlaw.spec import parse_spec, toml_of
from batchlaw.spec.program import Listener

from tests.acceptance.conftest import environment
from tests.planted_values import ask, page
from tests.waiting import DEADLINE

VALUES = [
    b"", b"0", b"-0", b"-1", b"1.5", b"1e308", b"1e999", b"-1e999", b"nan", b"NaN", b"Infinity", b"-inf", b"0x10",
    b"1_000", b"1,5", b"1.5.2", b"1..", b"...", b"9" * 400, b"9" * 5000, b"0." + b"9" * 5000, b"null", b"true",
    b'"0.5"', b"[]", b"{}", b"[0.5]", b"[" * 50_000, b'{"a":' * 5000, b'"' + b"x" * 70_000 + b'"', "٣".encode(),
    "½".encode(), "−1".encode(), "\u202e0.5".encode(), b"\xff\xfe", b"\xed\xa0\x80", b'"\\ud800"', b"\x00",
    b"\x1b[2J0.5", b"\x1b]0;pwned\x07", b"\x9b2J", b"\x08\x08\x08", b"0.5\r0.6", b"[bold]x[/]", b"[/]",
    b"[link=http://x]y[/link]", b"$(touch pwned)", b"`touch pwned`", b"; touch pwned", b"{0.__class__}", b"%s%n",
    b"{val_loss}", b"../../x", b"'; DROP TABLE trials; --", b"<script>x</script>",
]  # fmt: skip
FORMS = [
    b"%s", b"val loss %s", b"val loss 0.5 %s", b"step %s/100 val loss 0.5", b"step 5/%s val loss 0.5",
    b'{"val_loss": %s}', b'{"progress": %s, "val_loss": 0.5}', b'{"val_loss": 0.5, "%s": 1}',
    b'{"val_loss": {"x": %s}}', b'  {"x": 1, "x": %s}', b"Traceback: %s",
]  # fmt: skip
LINES = [form.replace(b"%s", value) for form, value in product(FORMS, VALUES)]
REGEX = {
    "metrics": {"val_loss": {"regex": "val loss (\\S*)"}}, "progress": {"regex": "step (\\S+)/(\\S+)"},
}  # fmt: skip


def spec_of(**keys):
    return parse_spec(
        {
            "name": "hostile", "command": ["python", "printer.py", "{lr}"], "space": {"base_lr": [0.1, 0.2]},
            "search": {"trials": 2, "metric": "val_loss", "direction": "minimize", "pruner": "none"},
        } | keys,
        "study.toml",
    )  # fmt: skip


def heard(spec, line):
    """What is stored of a line; None if the trial fails because of it."""
    hearing = Hearing(spec, None)
    output = Output(hearing.hear)
    lines = Lines()
    try:
        output._take([*lines.feed(line + b"\n"), *lines.flush()], is_error=False)
    except ObjectiveError as error:
        assert "\n" not in str(error) and len(str(error)) <= 1010, line[:80]
        return None
    stored = json.loads(json.dumps([output.kept, hearing.metrics, hearing.progress]))
    assert all(sign.isprintable() or sign in "\t\u202e\ufffd\x9b" for text in stored[0] for sign in text), line[:80]
    return stored


@pytest.mark.parametrize("spec", [spec_of(), spec_of(**REGEX)], ids=["json", "regex"])
def test_every_line_is_heard_or_refused_in_a_line(spec):
    assert len(set(LINES)) >= 500
    found = [heard(spec, line) for line in LINES]
    assert sum(each is not None for each in found) > 300


def test_a_whole_number_in_a_file_that_no_float_holds_is_refused(tmp_path):
    (tmp_path / "scores.json").write_text('{"loss": 1%s}' % ("0" * 400))
    listener = Listener(json_file="scores.json", key="loss")
    with pytest.raises(ObjectiveError, match="is no number"):
        read_metric(listener, tmp_path / "scores.json", direction="minimize", before=None)


@pytest.mark.slow
def test_a_program_that_prints_them_all_is_shown_and_nothing_is_obeyed(tmp_path):
    told = [(line, heard(spec_of(), line)) for line in LINES]
    lines = [line for line, found in told if found and (found[2] is None or 0 < found[2] <= 1)]
    assert len(lines) > 500
    (tmp_path / "lines").write_bytes(b"\n".join([*lines, b'{"progress": 1.0, "val_loss": 0.5}']))
    (tmp_path / "printer.py").write_text("import sys\nsys.stdout.buffer.write(open('lines', 'rb').read())\n")
    (tmp_path / "study.toml").write_text(toml_of(spec_of()))
    before, url = {*tmp_path.iterdir()}, f"sqlite:///{tmp_path / 'study.db'}"
    words = [sys.executable, "-P", "-m", "batchlaw", "run", "study.toml", "--storage", url]
    done = subprocess.run(
        words, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, timeout=DEADLINE
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = [done.stdout + done.stderr]
    for command in ("status hostile", "show hostile 0", "show hostile 0 --json", "export hostile --format json"):
        code, *answer = ask([*command.split(), "--storage", url])
        assert code == 0, answer
        said += answer
    assert "2 complete" in said[0] + said[1] and "Traceback (" not in done.stderr
    assert all(sign.isprintable() or sign == "\n" for sign in "".join(said))
    assert page(url, "/api/studies/1").startswith("200")
    assert {path.name for path in {*tmp_path.iterdir()} - before} <= {"study.db", "runs"}
