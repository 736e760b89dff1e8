"""Values planted in a shared database: a trial that cannot be read is told in a line, and the others are shown."""

import json
import random
import shutil
import sqlite3
import sys

import pytest
from batchlaw.storage import stored_values
from batchlaw.workers import recovery

from tests.planted_values import CLAIM, SEARCH, Planted, ask, corpus, faults


def sample(database, number):
    return random.Random(0).sample(list(corpus(database)), number)


def test_every_kind_of_value_is_planted_in_every_column(finished):
    assert len(list(corpus(finished / "batchlaw.db"))) > 1500


def test_a_planted_value_takes_nothing_with_it(finished, tmp_path):
    for planted in sample(finished / "batchlaw.db", 12):
        assert not faults(finished / "batchlaw.db", "tiny", planted, tmp_path, ("export STUDY --format json",))


def attribute(key, value):
    """A statement that gives trial 3 an attribute; `value` is SQL."""
    return f"UPDATE trial_user_attributes SET value_json = {value} WHERE trial_id = 4 AND key = '{key}'"


def seconds_of_8(number):
    """A statement that gives trial 8, which is among the best, this time; `number` is JSON."""
    return attribute("result", f"json_set(value_json, '$.seconds', json('{number}'))").replace("= 4", "= 9")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE study_user_attributes SET key = x'fffe00' WHERE rowid = 1",
        "INSERT INTO study_system_attributes (study_id, key, value_json) VALUES (1, 'dashboard:note_str:0', '1.5')",
        "INSERT INTO study_system_attributes (study_id, key, value_json) VALUES (1, 'dashboard:plot_data:x:0', '1.5')",
        "UPDATE trial_params SET param_name = NULL WHERE trial_id = 4 AND param_name = 'base_lr'",
        "UPDATE trial_params SET param_value = 0 WHERE trial_id = 4 AND param_name = 'base_lr'",
        attribute("config", "json_set(value_json, '$.examples', 0)"),
        attribute("config", "json_set(value_json, '$.peak_lr', 9e999)"),
        seconds_of_8("0"),
        seconds_of_8("1" + "0" * 400),
        """UPDATE trial_user_attributes SET value_json = replace(value_json, '"examples": ', '"examples": 1'
           || printf('%0400d', 0)) WHERE key = 'config' AND trial_id = 4""",
    ],
)
def test_what_a_run_of_the_whole_corpus_found(finished, tmp_path, change):
    planted = Planted("found", change, of_trial="trial" in change)
    assert not faults(
        finished / "batchlaw.db", "tiny", planted, tmp_path, ("list", "report STUDY --output FOLDER/report.html")
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "study", "commands"),
    [("finished", "tiny", SEARCH), pytest.param("designed", "tiny-claim", CLAIM, marks=pytest.mark.release)],
)
def test_every_reading_command_and_page_holds(name, study, commands, request, tmp_path):
    database = request.getfixturevalue(name) / "batchlaw.db"
    for planted in sample(database, 12):
        assert not faults(database, study, planted, tmp_path, commands)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE trials SET state = 'VANISHED' WHERE number = 3", "state as stored is 'VANISHED'; known are RUNNING"),
        ("UPDATE trials SET datetime_start = 'soon' WHERE number = 3", "start as stored is no time: 'soon'"),
        ("UPDATE trial_params SET param_value = 9 WHERE trial_id = 4 AND param_name = 'optimizer'", "of its choices"),
        ("UPDATE trial_params SET param_value = 'x' WHERE trial_id = 4", "as stored is no number: 'x'"),
        ("UPDATE trial_intermediate_values SET step = -1 WHERE trial_id = 4 AND step = 1", "step as stored is no"),
        (attribute("config", "'{'"), "config as stored cannot be read"),
        (attribute("config", "json_set(value_json, '$.base_lr', 1e300)"), "config.base_lr as stored is 1e+300"),
        (attribute("result", "'{\"curve\": [{}]}'"), "result as stored cannot be read: a report without its progress"),
        (attribute("threads", "CAST(x'ff' AS TEXT)"), "threads as stored is no JSON"),
        (attribute("threads", "'-1'"), "threads as stored is no whole number: -1"),
        ("DELETE FROM trial_user_attributes WHERE trial_id = 4 AND key = 'config'", "has no configuration"),
    ],
)
def test_the_line_names_study_and_trial_and_the_rest_is_exported(finished, tmp_path, statement, told):
    copy = tmp_path / "copy.db"
    shutil.copy(finished / "batchlaw.db", copy)
    with sqlite3.connect(copy) as connection:
        connection.execute(statement)
    connection.close()
    stored_values.forget()
    code, said, complained = ask(
        ["export", "tiny", "--format", "json", "--top", "20", "--storage", f"sqlite:///{copy}"]
    )
    assert code == 0 and len(json.loads(said)["configurations"]) >= 3
    [line] = complained.splitlines()
    assert line.startswith("warning: study 'tiny': trial 3: ") and told in line and line.isprintable()


def test_other_studies_are_listed(finished, tmp_path):
    copy = tmp_path / "copy.db"
    shutil.copy(finished / "batchlaw.db", copy)
    with sqlite3.connect(copy) as connection:
        connection.execute("INSERT INTO studies (study_name) VALUES ('worse')")
        connection.execute("INSERT INTO batchlaw_pages (study_id, held_until, due, drawn) VALUES (2, 0, 0, 0)")
        connection.execute("INSERT INTO study_directions (direction, study_id, objective) VALUES ('SIDEWAYS', 2, 0)")
        connection.execute(
            "INSERT INTO study_user_attributes (study_id, key, value_json) VALUES (2, 'batchlaw:spec', '\"{\"')"
        )
    connection.close()
    stored_values.forget()
    code, said, complained = ask(["list", "--storage", f"sqlite:///{copy}"])
    assert code == 0 and "tiny" in said and "study 'worse'" in complained


def test_status_shows_what_it_read_before_it_clears_up(finished, monkeypatch):
    said = []
    monkeypatch.setattr(recovery, "reap", lambda stored: said.append(sys.stdout.getvalue()) or 2)
    code, whole, _ = ask(["status", "tiny", "--storage", f"sqlite:///{finished / 'batchlaw.db'}"])
    assert code == 0 and "10 of 10 trials" in said[0]
    assert whole == said[0] + "2 trials of dead workers found lost, to be run again\n"


def test_a_name_of_the_database_does_not_steer_the_terminal(caplog):
    stored_values.forget()
    stored_values.tell("here", "a\x1b[2J", "trial 1: \x1b[31m as stored is no number")
    assert caplog.records[0].getMessage().isprintable()
