"""The best rate by batch size as text: what stands where, with ASCII alone, and where it is shown."""

import io
from dataclasses import replace

import pytest
from batchlaw.cli import figure
from batchlaw.consoles import PlainConsole
from batchlaw.figures.terminal import HEIGHT, law_text
from batchlaw.figures.text_plot import TextPlot
from batchlaw.laws import laws_of
from batchlaw.recipe.result import Outcome

from tests.unit.laws.conftest import designed, planted


@pytest.fixture(scope="module")
def law():
    """The best rate rises by half an octave an octave, from 2⁻⁷ at a batch size of 2."""
    spec = designed(optimizer="momentum")
    return laws_of(spec, planted(spec))[0]


def columns_of(lines, sign):
    return {line.index(sign): row for row, line in enumerate(lines) if sign in line}


def test_the_sets_the_law_and_the_answer_stand_where_their_axes_say(law):
    lines = law_text(law, (32, 2.0**-5)).plain.splitlines()
    assert lines[0] == "The best peak learning rate by batch size in examples"
    assert len(lines) == HEIGHT + 4 and max(map(len, lines)) <= 80
    plot, ticks = lines[1 : HEIGHT + 1], lines[-2]
    centers = {size: ticks.index(f" {size}") + 1 + len(str(size)) // 2 for size in (2, 8, 64)}
    marks = {column: row for row, line in enumerate(plot) for column, sign in enumerate(line) if sign == "●"}
    assert set(centers.values()) <= set(marks) and len(marks) == 7  # of eight sizes; the answer hides one
    rows = [marks[centers[size]] for size in (2, 8, 64)]
    assert rows[0] > rows[1] > rows[2]
    [(column, row)] = columns_of(plot, "◆").items()
    assert centers[8] < column < centers[64] and rows[1] > row > rows[2]
    assert any("\u2800" < sign <= "\u28ff" for line in plot for sign in line)
    assert [line.split()[0] for line in plot if line.split()[0] != "│"] == ["1", "0.1", "0.01", "0.001"]
    assert lines[-1] == "⠂ trial · ⠒ law (designed) · ● best rate, ┃ its 95% set · ◆ the answer"


def test_ascii_alone_is_enough(law):
    text = law_text(law, (32, 2.0**-5), plain=True).plain
    assert text.isascii() and text.count("o") > 7 and text.count("@") == 2
    assert [len(line) for line in text.splitlines()[1 : HEIGHT + 1]] == [
        len(line) for line in law_text(law).plain.splitlines()[1 : HEIGHT + 1]
    ]


def test_without_a_law_there_are_the_trials_and_what_diverged(law):
    records = tuple(
        replace(record, outcome=Outcome.DIVERGED) if record.config.peak_lr > 0.3 else record for record in law.records
    )
    bare = replace(law, ridge=None, fitted=None, records=records)
    lines = law_text(bare).plain.splitlines()
    assert lines[-1] == "⠂ trial · × diverged"
    assert all("×" in line for line in lines[1:2]) and "●" not in "".join(lines)
    one = replace(bare, records=tuple(record for record in records if record.config.batch_size == 8))
    assert law_text(one) is None and law_text(replace(bare, records=())) is None


def test_trials_at_other_rates_are_counted(law):
    far = replace(law.records[0], config=law.records[0].config.model_copy(update={"peak_lr": 1e-9}))
    assert law_text(replace(law, records=(*law.records, far))).plain.endswith(" · 1 beyond these rates")


def test_dots_of_one_character_are_put_together():
    plot = TextPlot((1, 16), (1, 16), width=2, height=1)
    assert plot.dots([1, 1, 16, 3, 99], [1, 16, 16, 0.5, 2], "") == 2
    assert plot.lines([1, 4])[0].plain.endswith(" │⡁⠈")


@pytest.mark.parametrize(
    ("wanted", "width", "terminal", "encoding", "sign"),
    [
        (None, 100, True, "utf-8", "●"), (None, 79, True, "utf-8", None), (None, 100, False, "utf-8", None),
        (True, 79, False, "utf-8", "●"), (False, 100, True, "utf-8", None), (None, 100, True, "ascii", "o"),
    ],
)  # fmt: skip
def test_it_is_shown_on_a_wide_terminal_or_where_it_is_asked_for(
    law, monkeypatch, wanted, width, terminal, encoding, sign
):
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    console = PlainConsole(file=file, width=width, force_terminal=terminal, legacy_windows=False)
    monkeypatch.setattr(figure, "output", console)
    figure.show_law(law, wanted)
    file.flush()
    printed = raw.getvalue().decode(encoding)
    assert (sign in printed) if sign else not printed
