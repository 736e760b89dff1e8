"""How long the reading commands take, each as a whole process, with few and with many stored trials.

    python tests/benchmarks/reading_speed.py [--runs 5] [--server postgresql+psycopg://user@host/db] [--json FILE]
    python tests/benchmarks/reading_speed.py --trials 20000 --runs 1      # the load, and the dashboard's page beside it

The studies are those of `many_trials.py`; a claim has 1,500 cells or more. They lie in SQLite files, or with `--server`
in new databases on that server. Wall time counts what others do on the machine, processor time does not. The first
`claim` draws the study's figures for the dashboard, as the last worker of a run does, and the later ones find them
drawn. What reads a small study is little but its start, which is to take 0.6 s at most: `≤` marks those that do. The
peak is of resident memory. One more run of each command tells whether it imported torch.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table
from servers import fresh_database

ROOT = Path(__file__).parents[2]
STUDIES = (("search", 100), ("search", 5000), ("claim", 1500), ("claim", 5000))
COMMANDS = {
    "search": ("status", "export", "export --format json", "law", "report"),
    "claim": ("status", "claim", "claim --json", "law", "report"),
}
# Beside these, on the smallest study of an arm, where a command is little but its start; and without any study.
STARTS = {"search": ("reap", "recommend", "storage check"), "claim": ("transfer --reference 32",)}
WITHOUT = ("--help", "status --help", "schema", "claim --list")
TARGET_SECONDS = 0.6  # of a start
PAGE = """
import io, sys
from batchlaw.dashboard.pages import pages
from batchlaw.storage import open_storage
environment = {"REQUEST_METHOD": "GET", "PATH_INFO": "/api/studies/1", "QUERY_STRING": "", "SERVER_NAME": "x",
               "SERVER_PORT": "1", "wsgi.input": io.BytesIO(), "wsgi.errors": sys.stderr, "wsgi.url_scheme": "http"}
answer = pages(open_storage(sys.argv[1]))(environment, lambda *_: None)
print(sum(map(len, answer)), file=sys.stderr)
"""
PACKAGES = ("optuna", "SQLAlchemy", "numpy", "scipy", "pandas", "scikit-learn", "plotly")


@contextmanager
def study(arm: str, trials: int, server: str | None, folder: Path) -> Iterator[str]:
    """The URL of a new database with a study of `many_trials.py`."""
    fill = [sys.executable, str(Path(__file__).with_name("many_trials.py")), "--arm", arm, "--trials", str(trials)]
    fill += ["--draw"] if arm == "search" else []  # the first `claim` draws its own
    if server is None:
        url = f"sqlite:///{folder / f'{arm}-{trials}.db'}"
        subprocess.run([*fill, "--storage", url], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
        yield url
        return
    with fresh_database(server) as url:
        subprocess.run([*fill, "--storage", url], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
        yield url


def run(words: list[str], folder: Path, *flags: str) -> dict[str, float]:
    """One process: its wall and processor seconds and its peak memory in MB.

    This process stays small, since the kernel counts what a process was before it began its program.
    """
    with (folder / "errors.txt").open("w") as errors:
        began = time.perf_counter()
        command = ["-c", PAGE, *words[1:]] if words[0] == "page" else ["-P", "-m", "batchlaw", *words]
        process = subprocess.Popen(
            [sys.executable, *flags, *command],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)}: {(folder / 'errors.txt').read_text()}")
    return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss / 1024}


def imports_torch(words: list[str], folder: Path) -> bool:
    run(words, folder, "-X", "importtime")
    return any(line.endswith("| torch") for line in (folder / "errors.txt").read_text().splitlines())


def measure(words: list[str], runs: int, folder: Path) -> dict[str, object]:
    found = [run(words, folder) for _ in range(runs)]
    wall = [each["wall"] for each in found]
    return {
        "wall_seconds": {"median": statistics.median(wall), "min": min(wall), "max": max(wall)},
        "cpu_seconds": statistics.median(each["cpu"] for each in found),
        "peak_mb": max(each["peak_mb"] for each in found),
    }


def measure_study(arm: str, trials: int, options: argparse.Namespace, folder: Path) -> Iterator[dict[str, object]]:
    """A row a command."""
    with study(arm, trials, options.server, folder) as url:
        place = ["--storage", url]
        base = {"study": arm, "trials": trials}
        if arm == "claim":
            first = measure(["claim", "many-claim", *place], 1, folder)
            yield {**base, "command": "claim, first", **first, "torch": None}
        smallest = (arm, trials) in (STUDIES[0], STUDIES[2])
        for text in COMMANDS[arm] + (STARTS[arm] if smallest else ()) + (("page",) if options.trials else ()):
            command, *words = text.split()
            line = [command, *words, *place] if command == "storage" else [command, f"many-{arm}", *words, *place]
            line = ["page", url] if command == "page" else line
            facts = measure(line, options.runs, folder)
            torch = imports_torch(line, folder)
            yield {**base, "command": text, **facts, "torch": torch}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--server", help="URL of a database on a PostgreSQL or MySQL server; SQLite files without")
    parser.add_argument("--trials", type=int, help="of one search and one claim, in place of all studies")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["PYTHONPATH"] = str(ROOT / "search")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for text in () if options.trials else WITHOUT:
            facts = measure(text.split(), options.runs, folder)
            torch = imports_torch(text.split(), folder)
            rows.append({"study": "", "trials": 0, "command": text, **facts, "torch": torch})
        for arm, trials in [("search", options.trials), ("claim", options.trials)] if options.trials else STUDIES:
            rows += measure_study(arm, trials, options, folder)
    show(rows)
    if options.json:
        facts = {
            "database": (options.server or "sqlite").split(":")[0],
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
            "load_average": os.getloadavg()[0],
            "python": platform.python_version(),
            "versions": {package: version(package) for package in PACKAGES},
            "runs": options.runs,
            "target_seconds": TARGET_SECONDS,
        }
        options.json.write_text(json.dumps({**facts, "rows": rows}, indent=2) + "\n")


def show(rows: list[dict[str, object]]) -> None:
    target = f"≤ {TARGET_SECONDS} s"
    grid = Table("study", "trials", "command", target, "median, s", "min", "max", "processor, s", "peak, MB", "torch")
    for row in rows:
        wall = row["wall_seconds"]
        grid.add_row(
            row["study"], f"{row['trials'] or ''}", row["command"], "≤" if wall["median"] <= TARGET_SECONDS else "",
            *(f"{wall[of]:.2f}" for of in wall), f"{row['cpu_seconds']:.2f}", f"{row['peak_mb']:.0f}",
            {True: "yes", False: "no", None: ""}[row["torch"]],
        )  # fmt: skip
    Console(width=120).print(grid)


if __name__ == "__main__":
    main()
