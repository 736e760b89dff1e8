"""The schedule against a loop over single steps and against closed forms."""

from math import ceil, cos, pi

import numpy as np
import pytest
from batchlaw.errors import ConfigError
from batchlaw.recipe.schedule import Phase, Schedule, floor_examples, plan
from hypothesis import given
from hypothesis import strategies as st
from torch import nn, optim

DECAYS = ("constant", "cosine", "linear", "step", "batch-growth", "seesaw")
AT_MILESTONES = ("step", "batch-growth", "seesaw")
TWENTIETHS = st.sets(st.integers(1, 19), min_size=1, max_size=4).map(sorted)


@st.composite
def budgets(draw, decays=DECAYS):
    """Budgets with at least one step before the first milestone."""
    batch_size, decay, twentieths = draw(st.integers(1, 64)), draw(st.sampled_from(decays)), draw(TWENTIETHS)
    least = ceil(20 * batch_size / twentieths[0]) if decay in AT_MILESTONES else batch_size
    return {
        "batch_size": batch_size,
        "examples": draw(st.integers(least, least + 5000)),
        "decay": decay,
        "milestones": tuple(n / 20 for n in twentieths),
        "factor": draw(st.integers(2, 6)),
        "max_batch_size": draw(st.integers(1, 400)),
        "normalized": draw(st.booleans()),
    }


def size_after(budget, n_milestones):
    """The batch size after `passed` milestones: multiplied by the factor at each, up to the cap."""
    grown = budget["batch_size"] * budget["factor"] ** n_milestones
    return max(budget["batch_size"], min(grown, budget["max_batch_size"]))


def walk(budget):
    """(batch size, rate over the peak) of each step of a decay at milestones, found one step at a time.

    What a decay keeps as with `step` is ε/B; with seesaw and an optimizer like Adam, ε/√B (arXiv:2510.14717, α√β).
    """
    power = 0.5 if budget["decay"] == "seesaw" and budget["normalized"] else 1
    twentieths = [round(20 * milestone) for milestone in budget["milestones"]]
    limits = [budget["examples"] * n // 20 for n in twentieths] + [budget["examples"]]
    seen, passed, steps = 0, 0, []
    while passed < len(limits):
        size = size_after(budget, passed) if budget["decay"] != "step" else budget["batch_size"]
        if seen + size > limits[passed]:
            passed += 1
            continue
        steps.append((size, budget["factor"] ** -passed * (size / budget["batch_size"]) ** power))
        seen += size
    return steps


@given(budgets())
def test_the_budget_is_never_exceeded_and_missed_by_less_than_a_last_step(budget):
    schedule = Schedule(plan(**budget), 0, budget["decay"])
    growth = budget["decay"] in ("batch-growth", "seesaw")
    last = size_after(budget, len(budget["milestones"])) if growth else budget["batch_size"]
    assert 0 <= budget["examples"] - schedule.examples < last
    assert schedule.examples == schedule.batch_sizes().sum()
    assert schedule.steps == len(schedule.batch_sizes()) == len(schedule.lr_multipliers())


@given(budgets(decays=AT_MILESTONES))
def test_every_step_of_a_decay_at_milestones(budget):
    schedule = Schedule(plan(**budget), 0, budget["decay"])
    sizes, factors = zip(*walk(budget), strict=True)
    assert schedule.batch_sizes().tolist() == list(sizes)
    assert schedule.lr_multipliers() == pytest.approx(np.array(factors), rel=1e-12)


@pytest.mark.parametrize("decay", AT_MILESTONES)
@given(batch_size=st.integers(2, 64), twentieths=TWENTIETHS, data=st.data())
def test_a_budget_without_a_step_before_the_first_milestone_is_refused(decay, batch_size, twentieths, data):
    # The last budget whose first milestone comes before one step.
    most = (20 * batch_size - 1) // twentieths[0]
    examples = data.draw(st.integers(batch_size, most))
    budget = {"batch_size": batch_size, "decay": decay, "factor": 2, "max_batch_size": 64}
    budget |= {"milestones": tuple(n / 20 for n in twentieths)}
    at = examples * twentieths[0] // 20
    with pytest.raises(ConfigError, match=f"batch_size: .* {at} of {examples} examples, .* one step of {batch_size}"):
        plan(**budget, examples=examples)
    assert plan(**budget, examples=most + 1)[0] == Phase(batch_size, 1, 1.0)


@given(budgets(decays=("batch-growth",)))
def test_growth_keeps_the_rate_per_example_of_step_even_at_the_cap(budget):
    # Fine steps, so that both pass every milestone at the same place.
    budget |= {"examples": budget["examples"] * 20_000}
    phases = {decay: plan(**(budget | {"decay": decay})) for decay in ("step", "batch-growth")}
    assert len(phases["batch-growth"]) == len(budget["milestones"]) + 1
    for stepped, grown in zip(phases["step"], phases["batch-growth"], strict=True):
        assert grown.lr_factor / grown.batch_size == pytest.approx(stepped.lr_factor / stepped.batch_size, rel=1e-12)
        assert grown.batch_size <= max(budget["max_batch_size"], budget["batch_size"])


def test_growth_up_to_a_cap_by_hand():
    phases = plan(
        batch_size=10,
        examples=1000,
        decay="batch-growth",
        milestones=(0.3, 0.6, 0.8),
        factor=5,
        max_batch_size=100,
    )
    # 300 examples at 10, then 5× the batch; then 100, twice the batch for 2/5 of the rate; then the rate alone.
    # 800 - 600 = 200 is two steps of 100, and the last 200 two more, at 2/25 of the rate.
    assert [(phase.batch_size, phase.steps) for phase in phases] == [(10, 30), (50, 6), (100, 2), (100, 2)]
    assert [phase.lr_factor for phase in phases] == pytest.approx([1, 1, 2 / 5, 2 / 25])


@pytest.mark.parametrize(("normalized", "factor"), [(True, 2**-0.5), (False, 1.0)], ids=["adam", "sgd"])
def test_seesaw_doubles_the_batch_where_the_rate_would_be_halved(normalized, factor):
    budget = {"batch_size": 8, "examples": 800, "milestones": (0.5, 0.75), "factor": 2, "max_batch_size": 16}
    phases = plan(**budget, decay="seesaw", normalized=normalized)
    # At the cap the rate alone is halved.
    assert [(phase.batch_size, phase.steps) for phase in phases] == [(8, 50), (16, 12), (16, 13)]
    assert [phase.lr_factor for phase in phases] == pytest.approx([1, factor, factor / 2])


@pytest.mark.parametrize("decay", DECAYS)
def test_a_budget_below_one_step_is_refused(decay):
    with pytest.raises(ConfigError, match="batch_size: the budget of 31 examples is less than one step of 32"):
        plan(batch_size=32, examples=31, decay=decay, milestones=(0.5,), factor=2, max_batch_size=64)


@given(n=st.integers(1, 10**9), hundredths=st.integers(1, 99))
def test_floor_examples_is_the_floor_of_the_exact_product(n, hundredths):
    assert floor_examples(n, hundredths / 100) == n * hundredths // 100


@given(budgets(), st.integers(1, 20))
def test_reports_fall_on_the_first_step_past_their_share(budget, reports):
    schedule = Schedule(plan(**budget), 0, budget["decay"])
    due = schedule.report_steps(reports)
    assert len(due) == reports
    assert due[-1] == schedule.steps
    assert due[0] >= 1
    assert list(due) == sorted(due)
    sizes = schedule.batch_sizes().tolist()
    for number, steps in enumerate(due, start=1):
        seen, before = sum(sizes[:steps]), sum(sizes[: steps - 1])
        assert before * reports < schedule.examples * number <= seen * reports


@given(st.integers(1, 50), st.integers(1, 400), st.data())
def test_warmup_is_linear_to_the_peak(batch_size, steps, data):
    warmup = data.draw(st.integers(0, steps))
    multipliers = Schedule((Phase(batch_size, steps, 1.0),), warmup, "constant").lr_multipliers()
    expected = [min((step + 1) / warmup, 1.0) if warmup else 1.0 for step in range(steps)]
    assert multipliers == pytest.approx(np.array(expected), rel=1e-12)


def test_a_warmup_longer_than_the_run_keeps_its_slope():
    multipliers = Schedule((Phase(4, 5, 1.0),), 10, "constant").lr_multipliers()
    assert multipliers == pytest.approx(np.array([0.1, 0.2, 0.3, 0.4, 0.5]))


@pytest.mark.parametrize(
    ("decay", "shape"),
    [("cosine", lambda p: (1 + cos(pi * p)) / 2), ("linear", lambda p: 1 - p)],
    ids=["cosine", "linear"],
)
@given(st.integers(1, 50), st.integers(2, 400), st.data())
def test_cosine_and_linear_run_from_the_end_of_warmup_to_zero(decay, shape, batch_size, steps, data):
    warmup = data.draw(st.integers(0, steps - 1))
    multipliers = Schedule((Phase(batch_size, steps, 1.0),), warmup, decay).lr_multipliers()
    for step in range(steps):
        expected = (step + 1) / warmup if step < warmup else shape((step - warmup) / (steps - warmup))
        assert multipliers[step] == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(st.integers(1, 300))
def test_the_cosine_equals_that_of_torch(steps):
    optimizer = optim.SGD([nn.Parameter(nn.Linear(1, 1).weight)], lr=1.0)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    expected = []
    for _ in range(steps):
        expected.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    assert Schedule((Phase(8, steps, 1.0),), 0, "cosine").lr_multipliers() == pytest.approx(np.array(expected))


def test_the_decay_is_at_the_same_place_for_every_batch_size():
    fine = Schedule((Phase(1, 960, 1.0),), 0, "cosine").lr_multipliers()
    for batch_size in (2, 32, 96):
        coarse = Schedule((Phase(batch_size, 960 // batch_size, 1.0),), 0, "cosine").lr_multipliers()
        assert coarse == pytest.approx(fine[::batch_size])


@pytest.mark.parametrize("shape", ["linear", "1-sqrt"])
@given(st.integers(1, 50), st.integers(3, 400), st.data())
def test_wsd_is_that_of_transformers_but_for_its_late_warmup(shape, batch_size, steps, data):
    from transformers.optimization import get_wsd_schedule  # seconds to import

    cooldown = data.draw(st.integers(2, steps))
    warmup = data.draw(st.integers(0, steps - cooldown))
    optimizer = optim.SGD([nn.Parameter(nn.Linear(1, 1).weight)], lr=1.0)
    scheduler = get_wsd_schedule(optimizer, warmup, cooldown, steps, decay_type=shape)
    expected = []
    for _ in range(steps):
        expected.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    ours = Schedule((Phase(batch_size, steps, 1.0),), warmup, "wsd", cooldown, shape).lr_multipliers()
    assert ours[warmup:] == pytest.approx(np.array(expected[warmup:]), abs=1e-12)
    assert ours[:warmup].tolist() == pytest.approx([step / warmup for step in range(1, warmup + 1)])


@given(budgets(), st.data())
def test_multipliers_are_above_zero_and_at_most_one(budget, data):
    phases = plan(**budget)
    longest = phases[0].steps - (budget["decay"] in ("cosine", "linear"))
    schedule = Schedule(phases, data.draw(st.integers(0, longest)), budget["decay"])
    multipliers = schedule.lr_multipliers()
    assert multipliers.min() > 0
    assert multipliers.max() <= 1
