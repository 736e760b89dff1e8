from batchlaw.spec.schema import MEANINGS, schema


def test_every_key_says_what_it_means():
    made = schema()
    tables = {"StudySpec": made} | made["$defs"]
    silent = [
        f"{name}.{key}"
        for name, table in tables.items()
        for key, value in table.get("properties", {}).items()
        if not value.get("description", "").endswith(".")
    ]
    assert not silent
    known = {name: set(table.get("properties", {})) for name, table in tables.items()}
    assert not {f"{name}.{key}" for name, keys in MEANINGS.items() for key in set(keys) - known[name]}


def test_the_table_of_hyperparameters_describes_them():
    assert schema()["$defs"]["Space"]["properties"]["batch_size"]["description"] == "Batch size (examples)."
