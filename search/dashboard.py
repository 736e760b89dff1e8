"""optuna-dashboard over the study's database: on loopback or behind a token, and read-only unless told otherwise."""

import contextlib
import hmac
import socketserver
from collections.abc import Callable, Iterable
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, quote
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna_dashboard
from optuna.storages import RDBStorage

from search.errors import BatchlawError

_READING = ("GET", "HEAD", "OPTIONS")
_LOOPBACK_NAMES = ("127.0.0.1", "localhost")
_COOKIE = "batchlaw_token"
Environment = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environment, StartResponse], Iterable[bytes]]


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    """A thread a request: the page asks for several things at once."""

    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of single requests."""


def application(storage: RDBStorage, *, write: bool, token: str | None = None) -> Application:
    """The dashboard; without `write` every method that could change the database is answered 405.

    With a token a request must bring it, in the address that `serve` tells, which leaves it in a cookie, or as bearer.
    Without, requests whose Host is no name of this machine's loopback are answered 403, so that a page elsewhere cannot
    reach the dashboard through a name that it points here (DNS rebinding).
    """
    dashboard: Application = optuna_dashboard.wsgi(storage)

    def guarded(environment: Environment, start_response: StartResponse) -> Iterable[bytes]:
        method = environment["REQUEST_METHOD"]
        if token is None:
            host = str(environment.get("HTTP_HOST", "")).rsplit(":", 1)[0]
            if host not in _LOOPBACK_NAMES:
                return _refused(start_response, "403 Forbidden", "This dashboard answers on loopback only.")
        elif not _brings(environment, token):
            return _refused(
                start_response, "401 Unauthorized", "Open the address that batchlaw dashboard printed, with its token."
            )
        elif "token" in _query(environment) and method == "GET":
            return _remember(environment, start_response, token)
        if not write and method not in _READING:
            return _refused(
                start_response, "405 Method Not Allowed", "This dashboard is read-only; start it with --write."
            )
        return dashboard(environment, start_response)

    return guarded


def _query(environment: Environment) -> dict[str, list[str]]:
    return parse_qs(str(environment.get("QUERY_STRING", "")))


def _brings(environment: Environment, token: str) -> bool:
    """Whether a request has the token; compared in a time that tells nothing about it."""
    cookies: SimpleCookie = SimpleCookie()
    with contextlib.suppress(CookieError):
        cookies.load(str(environment.get("HTTP_COOKIE", "")))
    offered = [
        *_query(environment).get("token", []),
        str(environment.get("HTTP_AUTHORIZATION", "")).removeprefix("Bearer "),
        cookies[_COOKIE].value if _COOKIE in cookies else "",
    ]
    same = [hmac.compare_digest(value.encode(), token.encode()) for value in offered]
    return any(same)


def _remember(environment: Environment, start_response: StartResponse, token: str) -> list[bytes]:
    """Put the token into a cookie and out of the address, where it would stay in histories."""
    # A path of one's own host alone: what begins with two slashes would name another.
    path = "/" + quote(str(environment.get("PATH_INFO", "")).lstrip("/"))
    cookie = f"{_COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict"
    start_response("303 See Other", [("Location", path), ("Set-Cookie", cookie), ("Content-Length", "0")])
    return []


def _refused(start_response: StartResponse, status: str, reason: str) -> list[bytes]:
    body = reason.encode()
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def serve(
    storage: RDBStorage, *, host: str, port: int, write: bool, token: str | None, ready: Callable[[str], None]
) -> None:
    """Serve until interrupted; `ready` is told the address once it answers.

    Raises:
        BatchlawError: the address cannot be had.
    """
    assert token or is_loopback(host)
    app: Any = application(storage, write=write, token=token)
    try:
        server = make_server(host, port, app, server_class=_Server, handler_class=_QuietHandler)
    except OSError as error:
        raise BatchlawError(
            f"--host {host} --port {port}: {error.strerror or error}; another port, or 0 for any free one"
        ) from None
    with server:
        secret = f"?token={token}" if token else ""
        ready(f"http://{host}:{server.server_port}/dashboard{secret}")
        server.serve_forever()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    return host in _LOOPBACK_NAMES
