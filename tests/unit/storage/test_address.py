"""Addresses of databases: what is refused, and that no secret is shown."""

import pytest
from batchlaw.errors import StorageError
from batchlaw.storage import open_storage, redacted
from batchlaw.storage.address import parsed
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import URL

SECRET = "s3kret"


@pytest.mark.parametrize(
    "url",
    [
        f"mysql+pymysql://user:p@{SECRET}:w/rd@127.0.0.1/db",
        f"mysql://user:p@ss:{SECRET}/rd@127.0.0.1/db",
        f"postgresql://u:p@{SECRET}/x@127.0.0.1/db",
        f"postgresql://u:p@h?{SECRET}@127.0.0.1/db",
        f"postgresql://u:{SECRET}@127.0.0.1:port/db",
        f"postgresql://u:{SECRET}@127.0.0.1:99999/db",
        f"mysql://[::1:{SECRET}",
        f"nonsense{SECRET}",
    ],
)
def test_what_is_no_url_is_one_line_without_any_of_it(url):
    with pytest.raises(StorageError, match="must be a database URL") as refused:
        open_storage(url)
    assert SECRET not in str(refused.value) and "\n" not in str(refused.value)
    assert redacted(url) == "(not a database URL)"


@pytest.mark.parametrize("option", ["password", "sslpassword", "passwd", "Password", "oauth_client_secret"])
def test_a_password_among_the_options_is_hidden(option):
    shown = redacted(f"postgresql://user@host/db?{option}={SECRET}&application_name=mine")
    assert SECRET not in shown and f"{option}=***" in shown and "application_name=mine" in shown


@given(st.text(min_size=1, max_size=30))
def test_a_password_is_hidden_wherever_it_stands(password):
    url = URL.create("postgresql", "user", f"«{password}»", "host", 5432, "db", {"password": f"«{password}»"})
    assert redacted(url.render_as_string(hide_password=False)) == "postgresql://user:***@host:5432/db?password=***"


def test_postgres_is_postgresql():
    assert parsed("postgres://user@host/db").drivername == "postgresql+psycopg"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite://x.db", "sqlite:///x.db?"),
        ("sqlite://runs/x.db", "sqlite:///runs/x.db?"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("mysql://root@127.0.0.1", "must name a database"),
        ("oracle://u@h/x", "must be one of sqlite, postgresql, mysql"),
        ("mysql://root@127.0.0.1/test?foo=1", "the driver does not take this URL"),
        ("mysql://root@127.0.0.1/test?connect_timeout=abc", "the driver does not take this URL"),
        ("mysql://root@127.0.0.1/test?charset=abc", "the driver does not take this URL"),
        ("mysql://root@127.0.0.1/test?ssl_ca=/nowhere", "the driver does not take this URL"),
        ("postgresql://postgres@127.0.0.1/test?port=abc", "port"),
    ],
)
def test_a_url_that_cannot_serve_is_one_line_that_says_why(url, words):
    with pytest.raises(StorageError) as refused:
        open_storage(url, create=True)
    assert words in str(refused.value) and "\n" not in str(refused.value)
