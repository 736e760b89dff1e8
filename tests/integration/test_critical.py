"""The critical batch size of a study that is run, and of branches of its file, in every way at once."""

import json

import batchlaw as bl
import pytest
from batchlaw.figures.critical import critical_figure
from batchlaw.spec import parse_spec, toml_of
from batchlaw.study.critical import branched

from tests.conftest import tiny_study


@pytest.mark.release
def test_a_study_and_its_branches_stand_in_one_table(tmp_path):
    study = tiny_study(task={"train_size": 256, "model_options": {"widths": [16]}}, budget={"epochs": 8})
    del study["search"]
    study["space"] = {
        "batch_size": [4, 8, 16, 32, 64, 128], "base_lr": [0.0625, 0.125, 0.25, 0.5], "optimizer": "momentum",
    }  # fmt: skip
    study["claim"] = {"hypotheses": ["H20"], "reports": 20, "noise_scale": True}
    file, url = tmp_path / "critical.toml", f"sqlite:///{tmp_path / 'critical.db'}"
    file.write_text(toml_of(parse_spec(study, "test")))
    run = bl.Study.create(file, storage=url).run(workers=0, progress=False)
    found = run.critical()
    assert {"steps to a target", "bend of the law", "gradient noise scale"} <= set(found.ways["way"])
    assert run.claim().verdicts["hypothesis"].tolist() == ["H20"]
    planned, _ = branched(file, url, window=512, checkpoints=2, dry_run=True)
    assert planned.branches == () and planned.seconds > 0
    branches, together = branched(file, url, window=512, checkpoints=2)
    assert len(together.ways) == len(found.ways) + 4
    # The rate of the trunk is that with the fewest steps at its batch size.
    rates = [float(each.lr[0]) for each in found.series]
    assert any(branches.design.config.peak_lr == pytest.approx(rate) for rate in rates)
    assert branches.schedule["phases"][0]["batch_size"] == 4
    assert json.dumps(together.as_dict()) and critical_figure(together).data
