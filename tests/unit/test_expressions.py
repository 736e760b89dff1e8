"""The language of expressions against Python's own arithmetic, and what it refuses."""

import math

import numpy as np
import pandas as pd
import pytest
from batchlaw.errors import BatchlawError
from batchlaw.expressions import Expression
from hypothesis import given
from hypothesis import strategies as st

NAMES = {"x": 3.0, "lr": 0.1, "params.lr": 0.5, "val/loss": 2.0, "two words": 7.0, "opt": "adam", "ok": True}
PYTHONS = {
    "x": 3.0,
    "lr": 0.1,
    "y": -2.5,
    "sqrt": math.sqrt,
    "abs": math.fabs,
    "min": min,
    "max": max,
    "log2": math.log2,
}


def value(text, names=NAMES):
    return Expression.parse(text, "where").evaluate(names)


numbers = st.one_of(
    st.integers(0, 20).map("{}.0".format),
    st.floats(0.01, 50).map(lambda number: f"{number:.4g}"),
    st.sampled_from(["x", "lr", "y"]),
)
arithmetic = st.recursive(
    numbers,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "%", "**"]), inner).map(" ".join),
        st.tuples(st.sampled_from(["-", "+", "- "]), inner).map("".join),
        inner.map("({})".format),
        st.tuples(st.sampled_from(["abs", "sqrt"]), inner).map(lambda parts: f"{parts[0]}(abs({parts[1]}))"),
        st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(
            lambda parts: f"{parts[0]}({parts[1]}, {parts[2]})"
        ),
    ),
    max_leaves=8,
)
conditions = st.recursive(
    st.one_of(
        st.tuples(arithmetic, st.sampled_from(["<", "<=", "==", "!=", ">", ">="]), arithmetic).map(" ".join),
        st.tuples(numbers, st.sampled_from(["<", ">="]), numbers, st.sampled_from(["<", "!="]), numbers).map(" ".join),
        st.tuples(numbers, st.sampled_from(["in", "not in"]), numbers, numbers).map(
            lambda parts: f"{parts[0]} {parts[1]} ({parts[2]}, {parts[3]})"
        ),
    ),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join),
        inner.map("not {}".format),
        inner.map("({})".format),
    ),
    max_leaves=5,
)


def in_python(text):
    """What Python says; None where it raises or leaves the real numbers, as our floats do with inf and NaN."""
    try:
        found = eval(text, {"__builtins__": {}}, PYTHONS)  # of texts that this test writes
    except (ZeroDivisionError, OverflowError, ValueError, TypeError):
        return None
    return None if isinstance(found, complex) else found


@given(arithmetic)
def test_arithmetic_is_pythons(text):
    expected = in_python(text)
    found = value(text, PYTHONS)
    if expected is not None and abs(expected) < 1e300:
        assert found == pytest.approx(float(expected), rel=1e-9, abs=1e-300)


@given(conditions)
def test_conditions_are_pythons(text):
    expected = None if "**" in text else in_python(text)  # a root of a negative number is complex in Python, here NaN
    if expected is not None:
        assert value(text, PYTHONS) == expected


@given(conditions)
def test_a_column_is_evaluated_as_its_cells_are(text):
    columns = {"x": np.array([3.0, 0.0, -1.5]), "lr": 0.1, "y": pd.Series([-2.5, 4.0, 1.0], index=[7, 8, 9])}
    cells = [value(text, {"x": x, "lr": 0.1, "y": y}) for x, y in zip(columns["x"], columns["y"], strict=True)]
    assert np.broadcast_to(value(text, columns), 3).tolist() == cells


@given(st.text(max_size=60))
def test_any_text_is_an_expression_or_refused_in_one_line(text):
    try:
        value(text)
    except BatchlawError as error:
        assert str(error).startswith("where: got ") and "\n" not in str(error)


@given(st.lists(st.sampled_from(
    ["1", "x", "opt", "'a'", '"b"', "`two words`", "(", ")", ",", "+", "-", "**", "<", "==", "and", "or", "not", "in",
     "sqrt", "min", "True", "ok", ".", "[", "]"]
), max_size=25).map(" ".join))  # fmt: skip
def test_any_sequence_of_words_is_an_expression_or_refused_in_one_line(text):
    test_any_text_is_an_expression_or_refused_in_one_line.hypothesis.inner_test(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lr * sqrt(x / 3)", 0.1),
        ("params.lr", 0.5),
        ("`val/loss` > 1 and `two words` == 7", True),
        ('"val/loss" + "two words"', 9.0),
        ("opt == 'adam'", True),
        ('opt == "adam"', True),  # no column is called so, so that it is text
        ("opt in ('sgd', 'adam')", True),
        ("opt not in ['sgd', \"lion\"]", True),
        ("not opt == 'sgd' and not ok == False", True),
        ("ok", True),
        ("ok == 1", True),
        ("log(1) + log10(100) + log2(8)", 5.0),
        ("min(3, x, 2) + max(1, 2)", 4.0),
        ("1 < x < 3", False),
        ("-2 ** 2", -4.0),
        ("2 ** 3 ** 2", 512.0),
        (".5 + 1. + 1e-1", 1.6),
        ("10 ** 400", math.inf),
        ("1 / 0", math.inf),
        ("x == x and not 0/0 == 0/0 and 0/0 != 1", True),
        ("'it' == 'it'", True),
        ("1 == 1 == 1", True),
    ],
)
def test_what_it_says(text, expected):
    assert value(text) == expected


def test_the_names_that_it_uses():
    expression = Expression.parse("lr * sqrt(`batch size` / 128) + lr > max(params.lr, 2) or opt == 'x'")
    assert expression.columns == ("lr", "batch size", "params.lr", "opt")


def test_text_columns_may_lack_values():
    frame = pd.DataFrame({"opt": ["adam", None, "sgd"], "depth": [1, np.nan, 3]})
    assert value("opt == 'adam' or depth == 3", frame).tolist() == [True, False, True]
    assert value("opt != 'adam' and not depth < 2", frame).tolist() == [False, True, True]


def test_rows():
    assert Expression.parse("depth > 1").rows({"depth": np.arange(3)}, 3).tolist() == [False, False, True]
    assert Expression.parse("1 < 2").rows({"depth": np.arange(3)}, 3).tolist() == [True] * 3
    with pytest.raises(BatchlawError, match="must be a condition, such as depth == 2, at character 1"):
        Expression.parse("depth").rows({"depth": np.arange(3)}, 3)


WRONG = [
    ("", "expected a number, a name, text or '(' at character 1, found the end"),
    ("x >", "expected a number, a name, text or '(' at character 4, found the end"),
    ("(x", "expected ')' at character 3, found the end"),
    ("x)", "expected an operator or the end at character 2, found ')'"),
    ("x x", "expected an operator or the end at character 3, found 'x'"),
    ("2x", "expected an operator or the end at character 2, found 'x'"),
    ("x = 3", "'=' at character 3 is not understood; write '=='"),
    ("x > 1 & x < 2", "'&' at character 7 is not understood; write 'and'"),
    ("~ok", "'~' at character 1 is not understood; write 'not'"),
    ("x ^ 2", "'^' at character 3 is not understood; write '**'"),
    ("x > 1; y", "';' at character 6 is not understood"),
    ("opt == 'adam", "the ' at character 8 is not closed"),
    ("`x", "the ` at character 1 is not closed"),
    ("lrr > 1", "there is no 'lrr' (did you mean 'lr'?), at character 1"),
    ("exec('x')", "there is no function 'exec' at character 1; there are sqrt, log"),
    ("x.__class__", "there is no 'x.__class__'"),
    ("__import__('os').system('x')", "'.' at character 17 is not understood"),
    ("__import__('os')", "there is no function '__import__' at character 1"),
    ("@x", "'@' at character 1 is not understood"),
    ("sqrt(1, 2)", "'sqrt' at character 1 takes one value, not 2"),
    ("x in 3", "expected '(' at character 6, found '3'"),
    ("x in ()", "expected a number, a name, text or '(' at character 7, found ')'"),
    ("x[0]", "expected an operator or the end at character 2, found '['"),
    ("opt + 1", "'+' needs numbers, and 'opt' of text is none, at character 1"),
    ("opt < 'b'", "'<' needs numbers, and 'opt' of text is none, at character 1"),
    ("opt == 3", "'==' compares 'opt' of text with the number 3.0, at character 5"),
    ("x == 'a'", "'==' compares 'x' of numbers with the text 'a', at character 3"),
    ("x and ok", "'and' needs conditions on both sides, at character 3"),
    ("not x", "'not' needs a condition, at character 1"),
    ("x" + " + x" * 200, "has 402 words and signs; at most 300 are read"),
    ("x" * 1001, "has 1001 characters; at most 1000 are read"),
    ("(" * 60 + "x" + ")" * 60, "is nested more than 40 deep"),
    ("- " * 60 + "x", "is nested more than 40 deep"),
]


@pytest.mark.parametrize(("text", "words"), WRONG)
def test_what_is_refused_says_where_and_what_was_expected(text, words):
    with pytest.raises(BatchlawError) as refusal:
        value(text)
    assert words in str(refusal.value) and refusal.value.argument == "where" and "\n" not in str(refusal.value)


@pytest.mark.parametrize("text", ["9**9**9**9**9**9", "x" + "*x" * 140, "(" * 39 + "x" + ")" * 39, "-" * 39 + "x"])
def test_the_largest_ones_end(text):
    assert isinstance(value(text), float)
