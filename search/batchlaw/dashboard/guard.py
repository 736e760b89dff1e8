"""Access control of the dashboard: on loopback or with a token, and read-only unless asked otherwise."""

import hmac
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs, quote

_READING = ("GET", "HEAD", "OPTIONS")
LOOPBACK_NAMES = ("127.0.0.1", "localhost")
# Never written: renaming would copy what the page shows into a new study and delete the old one with its results, and
# artifacts are drawn from results.
_NEVER_WRITTEN = ("/rename", "/artifacts/")
_MOST_BYTES = 1_000_000  # of the body of a request; a note is the longest
_NO_FRAME = [("Content-Security-Policy", "frame-ancestors 'none'"), ("X-Frame-Options", "DENY")]  # clickjacking
Environment = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environment, StartResponse], Iterable[bytes]]


def guarded(dashboard: Application, *, write: bool, token: str | None = None) -> Application:
    """The dashboard with access control.

    Args:
        dashboard: the application to guard.
        write: allow methods that change the database; they are answered 405 otherwise.
        token: every request must have it: in the URL that `serve` announces, which stores it in a cookie, or as a
            bearer token. Without a token, a request whose Host is not this machine's loopback is answered 403, so that
            a foreign page cannot reach the dashboard through a domain name that resolves to it (DNS rebinding).
    """

    def guard(environment: Environment, start_response: StartResponse) -> Iterable[bytes]:
        method = environment["REQUEST_METHOD"]
        if token is None:
            host = str(environment.get("HTTP_HOST", "")).rsplit(":", 1)[0]
            if host not in LOOPBACK_NAMES:
                return _refused(start_response, "403 Forbidden", "This dashboard answers on loopback only.")
        elif not _brings(environment, token):
            return _refused(
                start_response, "401 Unauthorized", "Open the address that batchlaw dashboard printed, with its token."
            )
        elif "token" in _query(environment) and method == "GET":
            return _remember(environment, start_response, token)
        if wrong := _wrong(environment):
            return _refused(start_response, *wrong)
        if not write and method not in _READING:
            return _refused(start_response, "405 Method Not Allowed", "This dashboard was started to read only.")
        if method not in _READING and any(part in environment.get("PATH_INFO", "") for part in _NEVER_WRITTEN):
            return _refused(
                start_response, "405 Method Not Allowed", "Studies keep their names here, and trials their artifacts."
            )

        def start(status: str, headers: list[tuple[str, str]], *further: Any) -> Any:
            # optuna-dashboard allows foreign pages to read artifacts.
            kept = [header for header in headers if header[0].lower() != "access-control-allow-origin"]
            return start_response(status, kept + _NO_FRAME, *further)

        return dashboard(environment, start)

    return guard


def _query(environment: Environment) -> dict[str, list[str]]:
    return parse_qs(str(environment.get("QUERY_STRING", "")))


def _brings(environment: Environment, token: str) -> bool:
    """Whether a request has the token, compared in constant time."""
    offered = [
        *_query(environment).get("token", []),
        str(environment.get("HTTP_AUTHORIZATION", "")).removeprefix("Bearer "),
        *_cookies(environment),
    ]
    same = [hmac.compare_digest(value.encode(), token.encode()) for value in offered]
    return any(same)


def _cookie_name(environment: Environment) -> str:
    """Browsers send a host's cookies to all of its ports, and two dashboards on a host have two tokens."""
    return f"batchlaw_token_{environment['SERVER_PORT']}"


def _cookies(environment: Environment) -> Iterator[str]:
    """The values of our cookie, whatever other applications of the host have put beside it."""
    for pair in str(environment.get("HTTP_COOKIE", "")).split(";"):
        name, _, value = pair.strip().partition("=")
        if name == _cookie_name(environment):
            yield value


def _wrong(environment: Environment) -> tuple[str, str] | None:
    """The status and the reason of a request that the dashboard would answer with an error of its own."""
    after = _query(environment).get("after", ["0"])
    if not all(value.isascii() and value.isdigit() and len(value) < 10 for value in after):
        return "400 Bad Request", "after: must be a whole number."
    length = str(environment.get("CONTENT_LENGTH") or "0")
    if not (length.isascii() and length.isdigit()):
        return "400 Bad Request", "Content-Length: must be a whole number."
    if len(length) > 9 or int(length) > _MOST_BYTES:
        return "413 Content Too Large", f"A request has at most {_MOST_BYTES} bytes."
    return None


def _remember(environment: Environment, start_response: StartResponse, token: str) -> list[bytes]:
    """Move the token from the URL, which browsers keep in their history, into a cookie."""
    # One leading slash alone: a location with two would name another host.
    path = "/" + quote(str(environment.get("PATH_INFO", "")).lstrip("/"))
    cookie = f"{_cookie_name(environment)}={token}; Path=/; HttpOnly; SameSite=Strict"
    start_response("303 See Other", [("Location", path), ("Set-Cookie", cookie), ("Content-Length", "0"), *_NO_FRAME])
    return []


def _refused(start_response: StartResponse, status: str, reason: str) -> list[bytes]:
    body = reason.encode()
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), *_NO_FRAME])
    return [body]
