"""Reading study files, and their canonical JSON, fingerprint and differences."""

import pytest
from batchlaw.errors import SpecError
from batchlaw.spec import StudySpec, canonical_json, differing_fields, fingerprint, parse_spec, read_spec

from tests.unit.spec.conftest import GOOD, STUDIES, changed


def test_an_unreadable_file_is_one_line(tmp_path):
    with pytest.raises(SpecError, match=r"nothing\.toml: No such file"):
        read_spec(tmp_path / "nothing.toml")
    (tmp_path / "bad.toml").write_text("name = ")
    with pytest.raises(SpecError, match="not valid TOML"):
        read_spec(tmp_path / "bad.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SpecError, match="not valid TOML"):
        read_spec(tmp_path / "binary.toml")


def test_canonical_json_ignores_order_and_spelled_out_defaults():
    spec = parse_spec(GOOD, "a")
    reordered = dict(reversed(list(GOOD.items())))
    reordered["search"] = {**GOOD["search"], "replicates": 1, "reports": 10}
    assert canonical_json(parse_spec(reordered, "b")) == canonical_json(spec)
    assert fingerprint(parse_spec(reordered, "b")) == fingerprint(spec)


def test_canonical_json_reads_back_to_the_same_spec():
    for file in STUDIES.glob("*.toml"):
        spec = read_spec(file)
        assert StudySpec.model_validate_json(canonical_json(spec)) == spec


def test_differing_fields_are_named_with_both_values_and_the_name_is_not_one():
    other = changed("search.trials", 60)
    other["name"] = "other"
    other["task"]["label_noise"] = 0.1
    assert differing_fields(parse_spec(GOOD, "a"), parse_spec(other, "b")) == [
        "search.trials: stored 120, given 60",
        "task.label_noise: stored 0.0, given 0.1",
    ]
    assert fingerprint(parse_spec(GOOD, "a")) != fingerprint(parse_spec(other, "b"))
