"""How often verdicts on simulated studies are wrong, how often confidence sets cover, and what power costs.

    python tests/benchmarks/claim_calibration.py [--studies 200] [--workers 2] [--settings REGEX] [--json FILE]
    python tests/benchmarks/claim_calibration.py --settings '^(?!.*held out)'     (without the held-out ones)
    python tests/benchmarks/claim_calibration.py --compare BEFORE.json [--json AFTER.json]     (runs nothing)
    PYTHONPATH=/tmp/before/search python tests/benchmarks/claim_calibration.py …     (the code of another checkout)

The studies are those of simulated_claims.py, and of unseen_claims.py, which are held out while an estimator is made.
Each is judged on H9, or on H6 where its setting says so, through the doors that a file and a study use.

- wrong: "supported" outside a slope of [.75, 1.25] or without any slope, "refuted" within, "no relation" beyond ± .25.
- power: decided and right. Without a slope nothing is right.
- slope: of the studies that have an interval, how many contain the planted slope, and the median width.
- closed: of the levels said to be identified, how many sets contain the best one, their share of all levels, and the
  median width in octaves.
- bounds: of the censored levels, which claim one bound, how many bounds are true.
- levels: both together. Where every level is best there is nothing to cover; where the loss falls for ever only a lower
  bound is true.
- seconds: of the processor, median of a study.
- refused: the code raised an error. That is inconclusive, and its first message is kept in the JSON.

Goals: wrong at most 5 %, at each planted slope of a setting too; slopes and levels covered in 93 % or more. A goal is
missed, marked !, where the exact 95 % binomial interval excludes it. This is strict, as the levels of one study are not
independent. A comparison also names the settings where fewer verdicts are right than before (Fisher's exact test, 5 %),
of those where no goal for verdicts and slopes was missed before.

Each study depends on its setting and number only. A finished part is a line of FILE.jsonl beside the JSON, and is used
again as long as the analysis and the simulation are the same, so a run that was ended goes on where it stopped.
"""

import argparse
import hashlib
import json
import os
import re
import sys
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import batchlaw
import numpy as np
import simulated_claims
import unseen_claims
from batchlaw.claims.evidence import gather
from batchlaw.claims.verdict import judge
from rich.console import Console
from rich.table import Table
from scipy import stats
from simulated_claims import Setting, simulated

SETTINGS = {setting.name: setting for setting in simulated_claims.SETTINGS + unseen_claims.SETTINGS}
RESULTS = Path(__file__).parent / "results"
PART = 10  # studies
BAND, NONE = (0.75, 1.25), 0.25  # slopes that support H9 and H6, and that are no relation
MOST_WRONG, LEAST_COVERED = 0.05, 0.93
Row = dict[str, Any]


def judged(setting: Setting, number: int) -> Row:
    """What the analysis says about one study, beside the truth."""
    record: Row = {"slope": None, "verdict": "inconclusive", "interval": None, "levels": [], "error": None}
    if setting.slopes:
        record["slope"] = setting.slopes[number % len(setting.slopes)]
    began = time.process_time()
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            surface, (_, optimum) = simulated(setting, number)
            began = time.process_time()
            evidence = gather(surface, "lr", seed=number, alpha=0.05)
            [finding] = judge(evidence, [setting.hypothesis])
            record["seconds"] = time.process_time() - began
            side = finding.side
            found = side.ridge
            if finding.slope is not None:
                record["interval"] = [float(finding.slope.ci_low), float(finding.slope.ci_high)]
            record["verdict"] = finding.verdict
            record["levels"] = [
                [status, *(None if np.isnan(value) else float(value) for value in values)]
                for status, *values in zip(found.status, found.low, found.high, optimum, strict=True)
            ]
    except Exception as error:  # code from before that cannot judge such a study; a fault is told by its message
        where = error.__traceback__
        while where and where.tb_next:
            where = where.tb_next
        place = f"{Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}" if where else ""
        record["error"] = f"{type(error).__name__} {error} ({place})"
    return record


def part(name: str, start: int, stop: int) -> list[Row]:
    return [judged(SETTINGS[name], number) for number in range(start, stop)]


def fingerprint() -> str:
    """Of the code that a result depends on: the analysis, and the simulation."""
    package = Path(str(batchlaw.__file__)).parent
    files = [*sorted((package / "stats").glob("*.py")), *sorted((package / "claims").glob("*.py"))]
    files += [Path(str(module.__file__)) for module in (simulated_claims, unseen_claims)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in [*files, Path(__file__)])).hexdigest()[:12]


def verdict_is(kind: str, study: Row) -> bool:
    """Whether the verdict of a study is "wrong" or "right"; an inconclusive one is neither."""
    slope, verdict = study["slope"], study["verdict"]
    if verdict == "inconclusive":
        return False
    if slope is None:
        return kind == "wrong" and verdict == "supported"
    within = BAND[0] <= slope <= BAND[1]
    right = {"supported": within, "refuted": not within, "no relation": abs(slope) <= NONE}[verdict]
    return right == (kind == "right")


def share(hits: int, n: int) -> Row | None:
    """A share with its exact 95 % binomial interval."""
    if not n:
        return None
    low, high = stats.binomtest(hits, n).proportion_ci(0.95, "exact")
    return {"n": n, "hits": hits, "share": hits / n, "low": round(low, 4), "high": round(high, 4)}


def summary(setting: Setting, studies: list[Row]) -> Row:
    """The row of one setting."""
    levels = [level for study in studies for level in study["levels"]]
    known = [level for level in levels if level[3] is not None]
    closed = [low <= truth <= high for status, low, high, truth in known if status == "identified"]
    bounds = [truth <= high for status, _, high, truth in known if status == "left_censored"]
    bounds += [truth >= low for status, low, _, truth in known if status == "right_censored"]
    slopes = [study for study in studies if study["interval"] and study["slope"] is not None]
    widths = [high - low for status, low, high, _ in levels if status == "identified"]
    seconds = [study["seconds"] for study in studies if study.get("seconds") is not None]
    errors = [study["error"] for study in studies if study["error"]]
    by_slope = defaultdict(list)
    for study in studies:
        by_slope[str(study["slope"])].append(study)
    row = {
        "setting": setting.name,
        "held_out": setting.held_out,
        "studies": len(studies),
        "wrong": share(sum(verdict_is("wrong", study) for study in studies), len(studies)),
        "right": share(sum(verdict_is("right", study) for study in studies), len(studies)),
        "slope": share(sum(s["interval"][0] <= s["slope"] <= s["interval"][1] for s in slopes), len(slopes)),
        "slope_width": median(s["interval"][1] - s["interval"][0] for s in slopes) if slopes else None,
        "levels": share(sum(closed) + sum(bounds), len(closed) + len(bounds)),
        "closed": share(sum(closed), len(closed)),
        "bounds": share(sum(bounds), len(bounds)),
        "closed_share": len(widths) / len(levels) if levels else 0.0,
        "closed_width": median(widths) if widths else None,
        "seconds": median(seconds) if seconds else None,
        "verdicts": dict(Counter(study["verdict"] for study in studies)),
        "refused": len(errors),
        "error": errors[0] if errors else None,
        "by_slope": {
            slope: {
                "studies": len(group),
                "wrong": sum(verdict_is("wrong", study) for study in group),
                "right": sum(verdict_is("right", study) for study in group),
            }
            for slope, group in by_slope.items()
        },
    }
    shares = [row["wrong"], *(share(group["wrong"], group["studies"]) for group in row["by_slope"].values())]
    goals = {"wrong": any(each["low"] > MOST_WRONG for each in shares)}
    goals |= {name: bool(row[name]) and row[name]["high"] < LEAST_COVERED for name in ("slope", "levels")}
    return row | {"missed": [name for name, missed in goals.items() if missed]}


def run(
    names: list[str], studies: int, workers: int, parts_file: Path, *, settings: dict[str, Any] | None = None,
    part: Callable[[str, int, int], list[Row]] = part, code: str | None = None,
) -> list[Row]:  # fmt: skip
    """Judge what is not in the file of parts, and summarise all.

    Another benchmark has other `settings`, judges a `part` of their studies in another way, and depends on other code.
    """
    settings, code, done = settings or SETTINGS, code or fingerprint(), {}
    if parts_file.exists():
        for line in parts_file.read_text().splitlines():
            try:
                each = json.loads(line)
            except json.JSONDecodeError:  # the line that was being written when a run was ended
                continue
            if each["code"] == code:
                done[each["setting"], each["start"], each["stop"]] = each["studies"]
    wanted = [
        (name, start, min(start + PART, studies)) for start in range(0, studies, PART) for name in names
    ]  # all settings side by side, so that an early look shows them all
    todo = [key for key in wanted if key not in done]
    began, told = time.monotonic(), 0.0
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    fresh = get_context("spawn")  # processes that read these variables before they load NumPy: a worker is one thread
    with parts_file.open("a") as file, ProcessPoolExecutor(workers, fresh) as pool:
        futures = {pool.submit(part, *key): key for key in todo}
        for n, future in enumerate(as_completed(futures), 1):
            key = futures[future]
            done[key] = future.result()
            record = dict(zip(("setting", "start", "stop"), key, strict=True)) | {"code": code, "studies": done[key]}
            file.write(json.dumps(record, separators=(",", ":")) + "\n")
            file.flush()
            passed = time.monotonic() - began
            if passed - told > 20 or n == len(todo):
                told = passed
                left = passed / n * (len(todo) - n) / 60
                print(f"{n} of {len(todo)} parts of {PART} studies, {left:.1f} min left", file=sys.stderr, flush=True)
    return [
        summary(settings[name], [study for key in wanted if key[0] == name for study in done[key]]) for name in names
    ]


def cells(row: Row | None) -> list[str]:
    """The numbers of a setting as text."""
    if row is None:
        return [""] * 11

    def percent(name: str) -> str:
        found = row[name]
        mark = "!" if name in row["missed"] else ""
        return f"{mark}{100 * found['share']:.1f}" if found else ""

    def number(name: str) -> str:
        return "" if row[name] is None else f"{row[name]:.2f}"

    return [
        percent("wrong"), percent("right"), percent("slope"), number("slope_width"), percent("levels"),
        percent("closed"), percent("bounds"), f"{100 * row['closed_share']:.0f}", number("closed_width"),
        number("seconds"), str(row["refused"] or ""),
    ]  # fmt: skip


HEADS = ("wrong", "right", "slope", "width", "levels", "closed", "bounds", "closed of all", "width", "s", "refused")


def show(rows: list[Row], before: list[Row] | None = None) -> None:
    """A table of the settings, another by planted slope, and the summary; with what was before."""
    console, old = Console(width=190 if before else 170), {row["setting"]: row for row in before or ()}
    table = Table("setting", *HEADS, title="percent; widths in octaves" + ("; before → after" if before else ""))
    for row in rows:
        after = cells(row)
        if before is not None:
            pairs = zip(cells(old.get(row["setting"])), after, strict=True)
            after = [now if was == now else f"{was or '–'} → {now or '–'}" for was, now in pairs]
        table.add_row(row["setting"], *after)
    console.print(table)
    slopes = Table("planted slope", "studies", "wrong", "right")
    for slope in sorted({slope for row in rows for slope in row["by_slope"]}):
        counts = [of_slope(each, slope) for each in ([before, rows] if before is not None else [rows])]
        slopes.add_row(slope, *(" → ".join(column) for column in zip(*counts, strict=True)))
    console.print(slopes)
    for label, each in (("before: ", before), ("", rows)):
        if each:
            missed = [row for row in each if row["missed"]]
            goals = Counter(goal for row in missed for goal in row["missed"])
            told = ", ".join(f"{goal} in {n}" for goal, n in goals.items())
            console.print(f"{label}{len(missed)} of {len(each)} settings miss a goal" + (f": {told}" if told else ""))
    for row in rows:
        if lost := power_lost(old.get(row["setting"]), row):
            console.print(f"less power than before: {row['setting']}, {lost}")


def power_lost(before: Row | None, row: Row) -> str | None:
    """Right verdicts before and after, where verdicts and slopes were right before and there are fewer now."""
    if before is None or {"wrong", "slope"} & set(before["missed"]):
        return None
    counts = [[each["right"]["hits"], each["right"]["n"] - each["right"]["hits"]] for each in (before, row)]
    fewer = stats.fisher_exact(counts, "greater").pvalue < 0.05
    return f"{before['right']['share']:.1%} → {row['right']['share']:.1%} right" if fewer else None


def of_slope(rows: list[Row], slope: str) -> list[str]:
    """Studies, wrong and right verdicts at one planted slope, as text."""
    found = [row["by_slope"][slope] for row in rows if slope in row["by_slope"]]
    n, wrong, right = (sum(each[name] for each in found) for name in ("studies", "wrong", "right"))
    return [str(n), f"{wrong} ({wrong / n:.1%})" if n else "", f"{right / n:.1%}" if n else ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=200, help="of each setting")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--settings", default="", metavar="REGEX", help="those whose name it is found in")
    parser.add_argument("--list", action="store_true", help="print the names of the settings and end")
    parser.add_argument("--json", type=Path, default=RESULTS / "claim_calibration.json")
    parser.add_argument("--compare", type=Path, metavar="BEFORE", help="show another result beside that of --json")
    options = parser.parse_args()
    names = [name for name in SETTINGS if re.search(options.settings, name)]
    if not names:
        parser.error(f"no setting is found by {options.settings!r}; --list prints them")
    if options.list:
        print(*names, sep="\n")
        return
    before = None
    if options.compare:
        before, rows = (
            [row for row in json.loads(file.read_text())["rows"] if row["setting"] in names]
            for file in (options.compare, options.json)
        )
    else:
        rows = run(names, options.studies, options.workers, options.json.with_suffix(".jsonl"))
        lines = ",\n".join(json.dumps(row, separators=(",", ":"), ensure_ascii=False) for row in rows)
        options.json.write_text(f'{{"studies": {options.studies}, "rows": [\n{lines}\n]}}\n')
    show(rows, before)


if __name__ == "__main__":
    main()
