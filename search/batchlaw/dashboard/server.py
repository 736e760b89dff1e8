"""The dashboard as a server."""

import gc
import socketserver
import sys
from collections.abc import Callable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from optuna.storages import RDBStorage

from batchlaw.dashboard.guard import LOOPBACK_NAMES, guarded
from batchlaw.dashboard.pages import pages
from batchlaw.dashboard.study_pages import StudyPages
from batchlaw.errors import BatchlawError


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    """A thread for each request, since the page sends several at once."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that left, or was too slow."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _QuietHandler(WSGIRequestHandler):
    timeout = 30  # seconds for each part of a request; a client that sends nothing would keep its thread for ever

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


def serve(
    storage: RDBStorage, *, host: str, port: int, write: bool, token: str | None, ready: Callable[[str], None]
) -> None:
    """Serve until interrupted.

    Args:
        storage: the database to show.
        host: to listen on; any but loopback needs a token.
        port: to listen on; 0 takes a free one.
        write: allow changes.
        token: see `guarded`.
        ready: called with the URL when the server answers.

    Raises:
        BatchlawError: the address cannot be used.
    """
    assert token or is_loopback(host)
    app: Any = guarded(StudyPages(storage, pages(storage)), write=write, token=token)
    try:
        server = make_server(host, port, app, server_class=_Server, handler_class=_QuietHandler)
    except OSError as error:
        raise BatchlawError(
            f"{error.strerror or error} on host {host}; 0 takes any free port", argument="port", got=port
        ) from None
    # Python looks for garbage after every 700 new objects, and thousands of trials are a million objects. Measured on
    # the first request of a study page with 5,000 trials: 2.8 s of processor time with that setting, 2.4 s with this.
    gc.set_threshold(100_000, 20, 100)
    with server:
        secret = f"?token={token}" if token else ""
        ready(f"http://{host}:{server.server_port}/{secret}")
        server.serve_forever()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    return host in LOOPBACK_NAMES
