"""optuna-dashboard over the study's database: on loopback, and read-only unless told otherwise."""

import socketserver
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna_dashboard
from optuna.storages import RDBStorage

from search.errors import BatchlawError

_READING = ("GET", "HEAD", "OPTIONS")
_LOOPBACK_NAMES = ("127.0.0.1", "localhost")
Environment = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environment, StartResponse], Iterable[bytes]]


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    """A thread a request: the page asks for several things at once."""

    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of single requests."""


def application(storage: RDBStorage, *, write: bool) -> Application:
    """The dashboard; without `write` every method that could change the database is answered 405.

    Requests whose Host is no name of this machine's loopback are answered 403, so that a page elsewhere cannot reach
    the dashboard through a name that it points here (DNS rebinding).
    """
    dashboard: Application = optuna_dashboard.wsgi(storage)

    def guarded(environment: Environment, start_response: StartResponse) -> Iterable[bytes]:
        host = str(environment.get("HTTP_HOST", "")).rsplit(":", 1)[0]
        if host not in _LOOPBACK_NAMES:
            return _refused(start_response, "403 Forbidden", "This dashboard answers on loopback only.")
        if not write and environment["REQUEST_METHOD"] not in _READING:
            return _refused(
                start_response, "405 Method Not Allowed", "This dashboard is read-only; start it with --write."
            )
        return dashboard(environment, start_response)

    return guarded


def _refused(start_response: StartResponse, status: str, reason: str) -> list[bytes]:
    body = reason.encode()
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def serve(storage: RDBStorage, *, port: int, write: bool, ready: Callable[[str], None]) -> None:
    """Serve until interrupted; `ready` is told the address once it answers.

    Raises:
        BatchlawError: the port is taken.
    """
    app: Any = application(storage, write=write)
    try:
        server = make_server("127.0.0.1", port, app, server_class=_Server, handler_class=_QuietHandler)
    except OSError as error:
        raise BatchlawError(
            f"--port {port}: {error.strerror or error}; another number, or 0 for any free one"
        ) from None
    with server:
        ready(f"http://127.0.0.1:{server.server_port}/dashboard")
        server.serve_forever()
