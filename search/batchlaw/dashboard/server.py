"""The dashboard as a server."""

import gc
import socketserver
from collections.abc import Callable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from optuna.storages import RDBStorage

from batchlaw.dashboard.guard import LOOPBACK_NAMES, guarded
from batchlaw.dashboard.pages import pages
from batchlaw.errors import BatchlawError


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    """A thread a request: the page asks for several things at once."""

    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of single requests."""


def serve(
    storage: RDBStorage, *, host: str, port: int, write: bool, token: str | None, ready: Callable[[str], None]
) -> None:
    """Serve until interrupted; `ready` is told the address once it answers.

    Raises:
        BatchlawError: the address cannot be had.
    """
    assert token or is_loopback(host)
    app: Any = guarded(pages(storage), write=write, token=token)
    try:
        server = make_server(host, port, app, server_class=_Server, handler_class=_QuietHandler)
    except OSError as error:
        raise BatchlawError(
            f"--host {host} --port {port}: {error.strerror or error}; another port, or 0 for any free one"
        ) from None
    # Thousands of trials are a million objects, among which Python would look for garbage every 700 of them: of 5,000
    # trials the study page asked 2.8 s of processor time, and 2.4 s so (measured, first request).
    gc.set_threshold(100_000, 20, 100)
    with server:
        secret = f"?token={token}" if token else ""
        ready(f"http://{host}:{server.server_port}/dashboard{secret}")
        server.serve_forever()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    return host in LOOPBACK_NAMES
