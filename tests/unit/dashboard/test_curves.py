"""Training curves as images: every report is where it belongs."""

from itertools import pairwise
from xml.etree import ElementTree

import pytest
from batchlaw.dashboard.curves import draw
from batchlaw.results.result import CurvePoint

SVG = "{http://www.w3.org/2000/svg}"


def lines_of(image):
    return [
        [tuple(map(float, point.split(","))) for point in line.get("points").split()]
        for line in ElementTree.fromstring(image).iter(f"{SVG}polyline")
    ]


def marks_of(image):
    """The heights of the marks on the value axis, by their text."""
    group = ElementTree.fromstring(image).find(f"{SVG}g")
    return {
        text.text: float(text.get("y")) - 4 for text in group.findall(f"{SVG}text") if text.get("text-anchor") == "end"
    }


def test_reports_lie_where_the_marks_say():
    curve = [CurvePoint(share, {"accuracy": share / 2 + 0.25}) for share in (0.25, 0.5, 1.0)]
    image = draw(curve, ["accuracy"])
    ((quarter, half, whole),) = lines_of(image)
    assert half[0] == pytest.approx(2 * quarter[0], abs=0.1) and whole[0] == pytest.approx(4 * quarter[0], abs=0.1)
    marks = marks_of(image)
    assert {"0.4", "0.5", "0.6", "0.7"} <= set(marks)
    assert half[1] == pytest.approx(marks["0.5"], abs=0.1)
    assert quarter[1] > half[1] > whole[1]  # upwards is smaller


def test_losses_over_decades_are_on_a_logarithmic_axis():
    curve = [CurvePoint(k / 4, {"validation_loss": 10.0**-k, "train_loss": 10.0 ** -(2 * k)}) for k in range(1, 5)]
    image = draw(curve, ["validation_loss", "train_loss"])
    validation, train = lines_of(image)
    steps = {round(later[1] - former[1], 0) for former, later in pairwise(validation)}
    assert len(steps) == 1
    assert train[1][1] == pytest.approx(validation[3][1], abs=0.1)  # both are 1e-4
    assert validation[1][1] == pytest.approx(marks_of(image)["0.01"], abs=0.1)


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([0.5], 1),
        ([0.5, 0.5, 0.5], 3),
        ([0.0, 0.0], 2),
        ([-3.0, 2.0], 2),
        ([float("nan"), 1.0], 1),
        ([1e-300, 1e300], 2),
    ],
)
def test_whatever_was_reported_can_be_drawn(values, drawn):
    curve = [CurvePoint((k + 1) / len(values), {"metric": value}) for k, value in enumerate(values)]
    image = draw(curve, ["metric"])
    (points,) = lines_of(image)
    assert len(points) == drawn and all(-1 <= y <= 120 for _, y in points) and marks_of(image)


def test_a_metric_that_no_report_has_leaves_an_empty_plot():
    assert lines_of(draw([CurvePoint(1.0, {"other": 1.0})], ["metric"])) == [[]]


def test_names_cannot_break_out_of_the_image():
    hostile = "<script>alert(1)</script>"
    image = draw([CurvePoint(1.0, {hostile: 1.0})], [hostile])
    assert not list(ElementTree.fromstring(image).iter(f"{SVG}script")) and "<script" not in image
