"""The dashboard: served to a real browser, and closed to whatever could write."""

import http.client
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.acceptance.conftest import browse, command, environment, needs_browser


@pytest.fixture(scope="module", params=[False, True], ids=["read-only", "writable"])
def server(request, finished) -> Iterator[tuple[int, bool]]:
    arguments = ["dashboard", "--port", "0", *(["--write"] if request.param else [])]
    process = subprocess.Popen(
        command(*arguments), cwd=finished, env=environment(finished) | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    address = process.stdout.readline()
    yield int(re.search(r":(\d+)/dashboard", address).group(1)), request.param
    process.terminate()
    process.communicate(timeout=30)


def ask(port, method, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    body = response.read().decode(errors="replace")
    connection.close()
    return response.status, body


def test_studies_are_read_and_changed_only_where_told(server, finished):
    port, write = server
    status, body = ask(port, "GET", "/api/studies")
    assert status == 200 and '"tiny"' in body
    for method in ("POST", "PUT", "DELETE", "PATCH", "QUERY"):
        status, body = ask(port, method, "/api/studies/999")
        assert status != 200
        assert (status == 405 and "read-only" in body) is not write
    assert ask(port, "GET", "/api/studies/1")[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "", "0.0.0.0"])
def test_a_page_elsewhere_cannot_reach_it_through_a_name_of_its_own(server, host):
    port, _ = server
    assert ask(port, "GET", "/api/studies", Host=host)[0] == 403
    assert ask(port, "GET", "/api/studies", Host=f"localhost:{port}")[0] == 200


def test_a_taken_port_is_one_line(server, finished):
    port, _ = server
    done = subprocess.run(
        command("dashboard", "--port", port), cwd=finished, env=environment(finished), capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stderr.startswith(f"error: --port {port}:") and done.stderr.count("\n") == 1


@needs_browser
def test_a_browser_shows_the_study(server, tmp_path):
    port, _ = server
    done = browse(f"http://127.0.0.1:{port}/dashboard/studies/1", tmp_path)
    page = done.stdout
    assert "tiny" in page and "Best Trial" in page and "Hyperparameter Importance" in page, done.stderr[-2000:]
    assert "validation_accuracy" in page
