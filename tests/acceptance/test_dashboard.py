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


TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def open_server(finished) -> Iterator[int]:
    """One that others may reach, and that therefore asks for a token."""
    process = subprocess.Popen(
        command("dashboard", "--host", "0.0.0.0", "--port", "0"), cwd=finished,
        env=environment(finished) | {"PYTHONUNBUFFERED": "1", "BATCHLAW_TOKEN": TOKEN},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    address = process.stdout.readline()
    yield int(re.search(rf":(\d+)/dashboard\?token={TOKEN} ", address).group(1))
    process.terminate()
    process.communicate(timeout=30)


def headers_of(port, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    connection.close()
    return response.status, dict(response.getheaders())


def test_open_to_others_it_asks_for_its_token(open_server):
    for path in ("/", "/dashboard", "/api/studies", "/api/studies?token=", f"/api/studies?token={TOKEN}x", "/static/x"):
        assert ask(open_server, "GET", path)[0] == 401
    for headers in ({"Cookie": "batchlaw_token=wrong"}, {"Cookie": ";=;"}, {"Authorization": "Basic x"}):
        assert ask(open_server, "GET", "/api/studies", **headers)[0] == 401
    assert ask(open_server, "GET", "/api/studies", Authorization=f"Bearer {TOKEN}")[0] == 200
    assert ask(open_server, "GET", "/api/studies", Cookie=f"a=b; batchlaw_token={TOKEN}")[0] == 200
    assert ask(open_server, "DELETE", "/api/studies/1", Authorization=f"Bearer {TOKEN}")[0] == 405


def test_the_address_with_the_token_leaves_it_in_a_cookie_and_not_in_the_history(open_server):
    status, headers = headers_of(open_server, f"/dashboard?token={TOKEN}")
    assert (status, headers["Location"]) == (303, "/dashboard")
    cookie = headers["Set-Cookie"]
    assert cookie.startswith(f"batchlaw_token={TOKEN};") and "HttpOnly" in cookie and "SameSite=Strict" in cookie
    # No way to another host, nor into the headers.
    assert headers_of(open_server, f"//evil.example/x?token={TOKEN}")[1]["Location"] == "/evil.example/x"
    assert "\n" not in headers_of(open_server, f"/a%0d%0aSet-Cookie:x?token={TOKEN}")[1]["Location"]


@pytest.mark.parametrize(
    "path",
    [
        "/static/../../../../../../etc/passwd", "/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/static//etc/passwd",
        "/static/..%5c..%5cetc%5cpasswd", "/artifacts/1/../../../etc/passwd", "/..%2f..%2fetc%2fpasswd",
        "/static/%00/etc/passwd",
    ],
)  # fmt: skip
def test_no_path_leads_to_files_of_the_machine(server, path):
    port, _ = server
    assert "root:" not in ask(port, "GET", path)[1]


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"])
def test_no_header_makes_a_reading_request_write(server, header):
    port, _ = server
    ask(port, "GET", "/api/studies/1", **{header: "DELETE"})
    ask(port, "GET", "/api/studies/1?_method=DELETE")
    assert ask(port, "GET", "/api/studies/1")[0] == 200


@pytest.mark.parametrize("token", ["short", "with spaces and more", "semi;colon;semi;colon"])
def test_a_weak_token_is_refused_in_a_line(finished, token):
    done = subprocess.run(
        command("dashboard", "--port", "0", "--token", token), cwd=finished, env=environment(finished),
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2 and done.stderr.startswith("error: --token: got ") and token not in done.stderr


def test_a_taken_port_is_one_line(server, finished):
    port, _ = server
    done = subprocess.run(
        command("dashboard", "--port", port), cwd=finished, env=environment(finished), capture_output=True, text=True
    )
    assert done.returncode == 2 and f"--port {port}:" in done.stderr and done.stderr.count("\n") == 1


@needs_browser
def test_a_browser_shows_the_study(server, tmp_path):
    port, _ = server
    done = browse(f"http://127.0.0.1:{port}/dashboard/studies/1", tmp_path)
    page = done.stdout
    assert "tiny" in page and "Best Trial" in page and "Hyperparameter Importance" in page, done.stderr[-2000:]
    assert "validation_accuracy" in page
