"""Requests as an attacker, a foreign page or another application of the host would send them."""

import io
import socket
import threading
from wsgiref.util import setup_testing_defaults

import pytest
from batchlaw.dashboard import server as servers
from batchlaw.dashboard.guard import guarded

TOKEN = "a-token-of-some-length"


def ask(token=None, write=True, method="GET", query="", **headers):
    """The status and headers of a request, and whether the dashboard itself was asked."""
    answers, reached = [], []

    def dashboard(environment, start_response):
        reached.append(environment["wsgi.input"].read())
        start_response("200 OK", [("Content-Type", "text/plain"), ("Access-Control-Allow-Origin", "*")])
        return [b"shown"]

    environment = {
        "REQUEST_METHOD": method, "QUERY_STRING": query, "SERVER_PORT": "8080", "wsgi.input": io.BytesIO(b""), **headers
    }  # fmt: skip
    setup_testing_defaults(environment)
    guard = guarded(dashboard, write=write, token=token)
    list(guard(environment, lambda status, headers, *_: answers.append((int(status[:3]), dict(headers)))))
    return *answers[0], bool(reached)


@pytest.mark.parametrize("options", [{}, {"HTTP_HOST": "evil.example"}, {"token": TOKEN}, {"query": "after=x"}])
def test_no_page_of_others_may_frame_any_answer(options):
    _, headers, _ = ask(**options)
    assert headers["Content-Security-Policy"] == "frame-ancestors 'none'" and headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize(
    "foreign",
    ["", "a=b; ", "bad[name]=1; ", '{"json": "x"}; ', "x=\"unclosed; ", "=; ;; ", "a b c=\x7f; ", "\xff=\xfe; ",
     "batchlaw_token_8081=another-dashboard; ", "batchlaw_token_8080=stale; "],
)  # fmt: skip
def test_a_cookie_of_another_application_does_no_harm(foreign):
    ours = f"batchlaw_token_8080={TOKEN}"
    assert ask(TOKEN, HTTP_COOKIE=foreign + ours)[0] == 200
    assert ask(TOKEN, HTTP_COOKIE=f"{ours}; {foreign}")[0] == 200
    assert ask(TOKEN, HTTP_COOKIE=foreign)[0] == 401


@pytest.mark.parametrize("after", ["abc", "-1", "1.5", "1e3", "٣", "9" * 40, "1&after=x", "%00"])
def test_a_place_that_is_no_number_is_a_bad_request(after):
    assert ask(query=f"after={after}")[::2] == (400, False)
    assert ask(query="after=12")[::2] == (200, True)


@pytest.mark.parametrize(
    ("length", "status"), [("1000001", 413), ("9" * 5000, 413), ("-1", 400), ("x", 400), ("1_0", 400)]
)
def test_a_body_is_bounded_before_it_is_read(length, status):
    assert ask(method="POST", CONTENT_LENGTH=length)[::2] == (status, False)


def test_a_slow_client_is_let_go_in_silence_and_holds_nobody_up(monkeypatch, capfd):
    monkeypatch.setattr(servers._QuietHandler, "timeout", 0.2)

    def answer(environment, start_response):
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    with servers.make_server(
        "127.0.0.1", 0, answer, server_class=servers._Server, handler_class=servers._QuietHandler
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with (
            socket.create_connection(server.server_address) as slow,
            socket.create_connection(server.server_address) as quick,
        ):
            slow.sendall(b"GET / HT")
            quick.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert quick.recv(64).startswith(b"HTTP/1.0 200")
            assert slow.recv(64) == b""  # it is let go
        server.shutdown()
        thread.join()
    assert capfd.readouterr().err == ""
