"""The dashboard: served to a real browser, and closed to whatever could write."""

import http.client
import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from xml.etree import ElementTree

import pytest

from tests.acceptance.browser import Browser
from tests.acceptance.conftest import command, environment, needs_browser
from tests.waiting import DEADLINE, wait_for


@pytest.fixture(scope="module", params=[False, True], ids=["read-only", "writable"])
def server(request, finished) -> Iterator[tuple[int, bool]]:
    arguments = ["dashboard", "--port", "0", *(["--write"] if request.param else [])]
    process = subprocess.Popen(
        command(*arguments), cwd=finished, env=environment(finished) | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    address = process.stdout.readline()
    yield int(re.search(r":(\d+)/ ", address).group(1)), request.param
    process.terminate()
    process.communicate(timeout=DEADLINE)


def ask(port, method, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
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
        assert (status == 405 and "to read only" in body) is not write
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
    yield int(re.search(rf":(\d+)/\?token={TOKEN} ", address).group(1))
    process.terminate()
    process.communicate(timeout=DEADLINE)


def headers_of(port, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    connection.close()
    return response.status, dict(response.getheaders())


def test_open_to_others_it_asks_for_its_token(open_server):
    for path in (
        "/",
        "/dashboard",
        "/artifacts/1/1/1-0",
        "/api/studies",
        "/api/studies?token=",
        f"/api/studies?token={TOKEN}x",
        "/static/x",
    ):
        assert ask(open_server, "GET", path)[0] == 401
    for headers in ({"Cookie": f"batchlaw_token_{open_server}=wrong"}, {"Cookie": ";=;"}, {"Authorization": "Basic x"}):
        assert ask(open_server, "GET", "/api/studies", **headers)[0] == 401
    assert ask(open_server, "GET", "/api/studies", Authorization=f"Bearer {TOKEN}")[0] == 200
    assert ask(open_server, "GET", "/api/studies", Cookie=f"a=b; batchlaw_token_{open_server}={TOKEN}")[0] == 200
    assert ask(open_server, "DELETE", "/api/studies/1", Authorization=f"Bearer {TOKEN}")[0] == 405


def test_the_address_with_the_token_leaves_it_in_a_cookie_and_not_in_the_history(open_server):
    status, headers = headers_of(open_server, f"/dashboard?token={TOKEN}")
    assert (status, headers["Location"]) == (303, "/dashboard")
    cookie = headers["Set-Cookie"]
    assert (
        cookie.startswith(f"batchlaw_token_{open_server}={TOKEN};")
        and "HttpOnly" in cookie
        and "SameSite=Strict" in cookie
    )
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
def test_a_weak_token_is_refused_in_a_line(batchlaw_here, finished, token):
    done = batchlaw_here("dashboard", "--port", "0", "--token", token, code=2, folder=finished)
    assert done.stderr.startswith("error: --token: got ") and token not in done.stderr


def test_a_taken_port_is_one_line(batchlaw_here, server, finished):
    port, _ = server
    done = batchlaw_here("dashboard", "--port", port, code=2, folder=finished)
    assert f"--port: got {port};" in done.stderr and done.stderr.count("\n") == 1


@needs_browser
def test_a_browser_shows_the_study_with_our_figures_and_asks_nobody_else(server, finished, tmp_path):
    port, _ = server
    own = f"http://127.0.0.1:{port}/"
    ours = [figure for figure in study_of(port)["plotly_graph_objects"] if figure["id"].startswith("batchlaw-")]
    assert len(ours) >= 5
    with Browser(tmp_path, height=4000) as browser:
        browser.open(f"{own}dashboard/studies/1")
        browser.wait("document.body.innerText.includes('Best Trial')")
        for figure in ours:
            browser.wait(
                f"document.querySelector('[id=\"user-defined-plot:{figure['id']}\"].js-plotly-plot .main-svg')"
            )
        assert "validation_accuracy" in browser.text()
        browser.open(f"{own}dashboard/studies/1/note")
        browser.wait("document.body.innerText.includes('Does the machinery work?')")
        assert "10 of 10 trials" in browser.text() and "batchlaw export tiny --format python" in browser.text()
        browser.open(f"{own}dashboard/studies/1/trials?numbers=0")
        images = "[...document.querySelectorAll('img[src*=\"/artifacts/1/1/\"]')]"
        browser.wait(f"{images}.length == 2 && {images}.every(image => image.complete && image.naturalWidth > 0)")
        assert "peak_lr 0." in browser.text() and "{" not in browser.text()
        assert browser.complaints() == []
        assert {address for address in browser.requests() if not address.startswith((own, "data:", "blob:"))} == set()


@needs_browser
def test_the_first_page_leads_to_the_report_of_each_study_which_fits_a_phone(server, finished, tmp_path):
    port, width = server[0], 390
    own = f"http://127.0.0.1:{port}/"
    with Browser(tmp_path, width=width) as browser:
        browser.open(own)
        browser.wait("document.body?.innerText.includes('Does the machinery work?')")
        assert "10 of 10 trials" in browser.text()
        browser.open(browser.run("document.querySelector('h2 a').href"))
        browser.wait("document.querySelectorAll('.js-plotly-plot .main-svg').length > 5")
        assert browser.run("location.pathname") == "/studies/1"
        assert "What to use" in browser.text() or "Best configurations" in browser.text()
        assert browser.run("document.documentElement.scrollWidth") <= width
        assert browser.run("document.querySelector('meta[http-equiv]')") is None  # the study has ended
        assert browser.complaints() == []
        assert "/dashboard/studies/1" in browser.run("[...document.links].map(link => link.pathname)")


def test_a_page_that_is_not_there_is_one_line_and_a_database_that_fails_is_told(server, tmp_path):
    port, _ = server
    assert ask(port, "GET", "/studies/99") == (404, "There is no study 99 of batchlaw's here.")
    assert ask(port, "HEAD", "/studies/1") == (200, "")
    assert ask(port, "GET", "/studies/1/")[0] == 404  # of optuna-dashboard


def study_of(port):
    return json.loads(ask(port, "GET", "/api/studies/1")[1])


def test_the_figures_come_in_the_order_of_reading(server):
    names = [figure["id"] for figure in study_of(server[0])["plotly_graph_objects"]]
    assert names == sorted(names) and names[0].startswith("batchlaw-00-")


@pytest.mark.slow
def test_workers_that_are_told_so_do_not_draw(study_file, tmp_path):
    subprocess.run(
        command("run", study_file, "--workers", 1), cwd=tmp_path, check=True, capture_output=True,
        env=environment(tmp_path) | {"BATCHLAW_FIGURES": "0"},
    )  # fmt: skip
    with closing(sqlite3.connect(tmp_path / "batchlaw.db")) as connection:
        query = "SELECT count(*) FROM study_system_attributes WHERE key LIKE 'dashboard:%'"
        assert connection.execute(query).fetchone()[0] <= 5


def test_a_trial_has_readable_values_and_its_curves(server):
    port, _ = server
    trial = next(trial for trial in study_of(port)["trials"] if trial["state"] == "Complete")
    values = {entry["key"]: entry["value"] for entry in trial["user_attrs"]}
    assert float(values["peak_lr"]) / int(values["batch_size"]) == pytest.approx(float(values["lr_per_example"]), 1e-4)
    assert {"steps", "noise_scale", "seconds", "versions", "examples_per_second", "train_loss"} <= set(values)
    assert not {"config", "result"} & set(values)
    assert [artifact["filename"] for artifact in trial["artifacts"]] == ["validation accuracy.svg", "loss.svg"]
    for artifact in trial["artifacts"]:
        path = f"/artifacts/1/{trial['trial_id']}/{artifact['artifact_id']}"
        status, headers = headers_of(port, path)
        assert (status, headers["Content-Type"]) == (200, "image/svg+xml")
        assert "Access-Control-Allow-Origin" not in headers  # no page elsewhere may read it
        lines = ElementTree.fromstring(ask(port, "GET", path)[1]).iter("{http://www.w3.org/2000/svg}polyline")
        assert all(len(line.get("points").split()) == 4 for line in lines)  # reports
    for path in ("/artifacts/1/1/ffff-0", "/artifacts/1/1/1-9", "/artifacts/1/1/1", "/artifacts/1/1-0"):
        assert ask(port, "GET", path)[0] == 404


def test_what_a_page_would_destroy_is_refused_even_where_it_may_write(server):
    port, _ = server
    for method, path in (
        ("POST", "/api/studies/1/rename"), ("POST", "/api/studies/1/rename/"), ("POST", "//api/studies/1/rename"),
        ("POST", "/api/artifacts/1"), ("POST", "/api/artifacts/1/1"), ("DELETE", "/api/artifacts/1/1/1-0"),
    ):  # fmt: skip
        assert ask(port, method, path)[0] == 405
    assert study_of(port)["name"] == "tiny"


BROWSER = """#!{python}
import pathlib, sys, urllib.request
opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
answer = opener.open(sys.argv[1], timeout=600)  # a browser that is open until it has seen the page
pathlib.Path("part").write_text(f"{{answer.status}} {{sys.argv[1]}} {{answer.url}}")
pathlib.Path("part").rename("told")
"""


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_it_opens_a_browser(finished, tmp_path, host):
    script = tmp_path / "browser"
    script.write_text(BROWSER.format(python=sys.executable))
    script.chmod(0o755)
    storage = f"sqlite:///{finished / 'batchlaw.db'}"
    process = subprocess.Popen(
        command("dashboard", "--host", host, "--port", "0", "--open", "--storage", storage), cwd=tmp_path,
        env=environment(tmp_path) | {"PYTHONUNBUFFERED": "1", "BROWSER": str(script), "BATCHLAW_TOKEN": TOKEN},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        address = process.stdout.readline().split()[0].replace("0.0.0.0", "127.0.0.1")
        told = tmp_path / "told"
        wait_for(lambda: told.exists() or process.poll() is not None)
        assert told.read_text() == f"200 {address} {address.partition('?')[0]}"
    finally:
        process.terminate()
        process.communicate(timeout=DEADLINE)
