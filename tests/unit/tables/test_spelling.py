"""Cells as numbers, by their spelling."""

import math

import pandas as pd
import pytest
from batchlaw.tables.spelling import number, spread, with_points

NUMBERS = [
    ("1e-3", 1e-3),
    ("2^-8", 2**-8),
    ("2**-8", 2**-8),
    ("2^{-8}", 2**-8),
    ("10^-3", 1e-3),
    ("3×10^-4", 3e-4),
    ("3·10⁻⁴", 3e-4),
    ("10⁻³", 1e-3),
    ("1/256", 1 / 256),
    ("4,571", 4571),
    ("1,024,000", 1024000),
    ("12,345.5", 12345.5),
    ("38.6%", 38.6),
    ("38.6 %", 38.6),
    ("3.703 ± 0.004", 3.703),
    ("3.2175 ±0.0042", 3.2175),
    ("4.1 (0.03)", 4.1),
    ("4.1 +/- .03", 4.1),
    ("**4.0664**", 4.0664),
    ("**3.2175** ±0.0042", 3.2175),
    ("*3.4740*", 3.474),
    ("`2^-8`", 2**-8),
    ("0.91 ↓", 0.91),
    ("↓0.91", 0.91),
    ("1e-3*", 1e-3),
    ("0.5†", 0.5),
    ("0.5[^1]", 0.5),
    ("−0.5", -0.5),
    ("10 000", 10000),
    ("-1.5", -1.5),
    ("+2", 2),
    (".5", 0.5),
    ("9,143", 9143),
]


@pytest.mark.parametrize(("text", "value"), NUMBERS)
def test_what_people_write_for_a_number_is_read(text, value):
    assert number(text) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("text", ["—", "–", "-", "OOM", "oom", "pending", "TBD", "n.a.", "Out of memory", "killed"])
def test_what_stands_for_no_score_is_missing(text):
    assert math.isnan(number(text))


@pytest.mark.parametrize("text", ["diverged", "Diverged", "div.", "exploded", "**NaN**", "1e999"])
def test_what_says_that_a_run_diverged_is_infinite(text):
    assert number(text) == math.inf


@pytest.mark.parametrize(
    "text",
    ["good", "12 GB", "2024-01-01", "1,5,3", "1.2.3", "^2", "1/0", "10^999999", "0x10", "±", "60M", "a(1)", "--"],
)
def test_what_is_no_number_is_none(text):
    assert number(text) is None


def test_what_stands_behind_plus_minus_is_told():
    assert spread("3.703 ± 0.004") == 0.004 and spread("**3.2** (.05)") == 0.05
    assert math.isnan(spread("3.703")) and math.isnan(spread("best (0.5)"))


def test_a_comma_is_decimal_where_no_other_reading_is_left():
    def read(*cells):
        return with_points(pd.DataFrame({"x": cells}))["x"].tolist()

    assert read("0,005", "2", "1.024,5") == ["0.005", "2", "1024.5"]
    assert read("4,571", "9,143") == ["4,571", "9,143"]  # thousands, as far as anyone can tell
    assert read("4,571", "0.25") == ["4,571", "0.25"]
    assert read("1,5", "0.25") == ["1,5", "0.25"]  # neither: refused later, with its row
    assert read("sgd, adam", "0,5") == ["sgd, adam", "0.5"]
