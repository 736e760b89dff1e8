#!/usr/bin/env bash
# Checks batchlaw on this machine's GPU; without one, on the CPU with small numbers. It takes at most 6 minutes.
#
#   tests/gpu_check.sh [FOLDER] [--device auto|cpu|cuda]
#   tests/gpu_check.sh --wheels [PYTHON_VERSION]
#
# Writes gpu_check-DEVICE.json and .md to FOLDER, else to $OUT, else to tests/benchmarks/results. Exit code 1: a check
# failed; 2: a package is missing; 124: out of time, and the files hold the checks that were done.
#
# The interpreter is $PYTHON, else .venv/bin/python, else the first python with torch. Nothing is installed into it. For
# a machine without a network, `--wheels` downloads what an image with PyTorch lacks (for Python 3.12) into .whl/. Take
# that folder along: packages that are missing there are unpacked from it.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = --wheels ]; then
  lacking='optuna|optuna-dashboard|SQLAlchemy|pydantic|typer|rich|plotly|Jinja2|tenacity|tomli-w|pytest-randomly'
  sed -nE "s/^ *\"(($lacking)[<>=][^\"]*)\",.*/\1/p" pyproject.toml >.whl.txt
  python3 -m pip download -q --dest .whl --requirement .whl.txt --python-version "${2:-3.12}" --implementation cp \
    --only-binary=:all: --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64
  rm -f .whl.txt .whl/numpy-* # PyTorch's image has NumPy
  du -sh .whl
  exit
fi

# Prints what is needed and not there, one requirement a line.
missing() {
  "$python" - <<'PYTHON'
import tomllib
from importlib.metadata import PackageNotFoundError, version
from packaging.requirements import Requirement

def lacks(requirement):
    try:
        return not requirement.specifier.contains(version(requirement.name), prereleases=True)
    except PackageNotFoundError:
        return True

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
tests = [line for line in project["optional-dependencies"]["dev"] if line.startswith("pytest")]
for requirement in map(Requirement, project["dependencies"] + tests):
    if requirement.name != "pytorch-lightning" and lacks(requirement):
        print(requirement)
PYTHON
}

for candidate in "${PYTHON:-}" .venv/bin/python python3 python; do
  if [ -n "$candidate" ] && "$candidate" -c 'import torch' 2>/dev/null; then python=$candidate; break; fi
done
[ -n "${python:-}" ] || { echo "no python with torch: name one in PYTHON" >&2; exit 2; }
export PYTHONPATH="$PWD/search${PYTHONPATH:+:$PYTHONPATH}"
lacking=$(missing)
if [ -n "$lacking" ] && compgen -G '.whl/*.whl' >/dev/null; then
  site=$(mktemp -d)
  trap 'rm -rf "$site"' EXIT
  "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$site" .whl/*.whl
  PYTHONPATH="$PYTHONPATH:$site"
  lacking=$(missing)
fi
if [ -n "$lacking" ]; then
  echo "$("$python" -c 'import sys; print(sys.executable)') lacks:" $lacking >&2
  echo "install them, or run 'tests/gpu_check.sh --wheels' where there is a network and take .whl/ along" >&2
  exit 2
fi

folder=${OUT:-tests/benchmarks/results}
case ${1:---} in --*) ;; *) folder=$1; shift ;; esac
timeout --kill-after=5 350 "$python" tests/benchmarks/gpu_check.py "$folder" "$@"
