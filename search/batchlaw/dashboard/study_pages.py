"""Our own pages beside optuna-dashboard: the studies of a database, and the report of each as it stands now."""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock

from optuna.storages import RDBStorage

from batchlaw.dashboard.guard import Application, Environment, StartResponse
from batchlaw.errors import BatchlawError
from batchlaw.storage import StoredStudy, load_all

_SHARE = 0.1  # of the time, at most, is spent on drawing one study again and again
_SCRIPT = "/plotly.js"  # a page of its own, which browsers keep
_STUDY = re.compile(r"/studies/([0-9]{1,9})")


@dataclass
class _Drawn:
    """A page that was drawn, and when another may be."""

    page: str
    until: float  # of `time.monotonic`


class StudyPages:
    """A WSGI application: our pages, and the dashboard for every other path."""

    def __init__(self, storage: RDBStorage, dashboard: Application) -> None:
        self._storage, self._dashboard = storage, dashboard
        self._drawn: dict[int, _Drawn] = {}
        self._lock = Lock()  # one page is drawn at a time, and those who wait get the same

    def __call__(self, environment: Environment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        path = str(environment.get("PATH_INFO", ""))
        study = _STUDY.fullmatch(path)
        if path not in ("", "/", _SCRIPT) and study is None:
            return self._dashboard(environment, start_response)
        kind, status, kept = "text/html", "200 OK", "no-store"
        try:
            if path == _SCRIPT:
                from plotly.offline import get_plotlyjs

                kind, kept, text = "text/javascript", "max-age=86400", str(get_plotlyjs())
            elif study is None:
                text = self._index()
            elif (found := self._study(int(study[1]))) is not None:
                text = found
            else:
                kind, status, text = "text/plain", "404 Not Found", f"There is no study {study[1]} of batchlaw's here."
        except BatchlawError as error:
            kind, status, text = "text/plain", "503 Service Unavailable", str(error)
        body = text.encode()
        headers = [("Content-Type", f"{kind}; charset=utf-8"), ("Content-Length", str(len(body)))]
        start_response(status, [*headers, ("Cache-Control", kept), ("X-Content-Type-Options", "nosniff")])
        return [] if environment["REQUEST_METHOD"] == "HEAD" else [body]

    def _index(self) -> str:
        from batchlaw.figures.pages import page
        from batchlaw.results.status import best_line, counts_line, status_of

        rows = []
        for stored in load_all(self._storage):
            status = status_of(stored)
            rows.append((stored.study_id, status.spec, status.state, counts_line(status), best_line(status)))
        return page("index.html", title="Studies", rows=rows)

    def _study(self, number: int) -> str | None:
        """The report of a study; None where there is none of batchlaw's with this number."""
        with self._lock:
            drawn = self._drawn.get(number)
            if drawn is not None and time.monotonic() < drawn.until:
                return drawn.page
            stored = next((each for each in load_all(self._storage) if each.study_id == number), None)
            if stored is None:
                return None
            began = time.monotonic()
            page = _report(stored)
            now = time.monotonic()
            self._drawn[number] = _Drawn(page, now + (now - began) * (1 / _SHARE - 1))
            return page


def _report(stored: StoredStudy) -> str:
    # Plotly and pandas take a second to import, which the dashboard's first answer does without.
    from batchlaw.figures.accounts import account_of
    from batchlaw.figures.report import study_report

    written = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return study_report([account_of(stored)], written=written, served=stored.study_id, script=_SCRIPT)
