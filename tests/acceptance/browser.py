"""A headless browser, driven over the DevTools protocol through a pipe."""

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.acceptance.conftest import BROWSER
from tests.waiting import DEADLINE, wait_for

OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe",
)  # fmt: skip


class Browser:
    """One page, with what it asked for and what its console said."""

    def __init__(self, folder: Path, width: int = 1600, height: int = 1000) -> None:
        theirs, self._to = os.pipe()
        self._from, back = os.pipe()
        command = [BROWSER, *OPTIONS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{theirs} 4>&{back}', "bash", *command], pass_fds=(theirs, back),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs)
        os.close(back)
        self._rest, self._calls, self._session = b"", 0, {}
        self.events: list[dict[str, Any]] = []
        page = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = {"sessionId": self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]}
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.resize(width, height)

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._to)  # ends the browser
        os.close(self._from)
        self._process.wait(DEADLINE)

    def call(self, method: str, **params: object) -> dict[str, Any]:
        """Call a method of the protocol, and wait for its result; events that come in between are kept."""
        self._calls += 1
        message = {"id": self._calls, "method": method, "params": params, **self._session}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._calls:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            received = os.read(self._from, 1 << 20)
            assert received, "the browser has ended"
            self._rest += received
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)

    def resize(self, width: int, height: int) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def open(self, address: str) -> None:
        self.call("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, script: str) -> Any:
        """The value of an expression, as soon as it is true."""
        try:
            return wait_for(lambda: self.run(script))
        except AssertionError:
            raise AssertionError(f"{script} did not come true; the page says {self.text()[:2000]!r}") from None

    def text(self) -> str:
        return self.run("document.body.innerText")

    def photograph(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def requests(self) -> set[str]:
        """Every address that was asked for."""
        self.run("0")  # so that what has been said until now has arrived
        sent = [event["params"] for event in self.events if event["method"] == "Network.requestWillBeSent"]
        return {params["request"]["url"] for params in sent}

    def complaints(self) -> list[str]:
        """What the console said, and what went wrong in the page or in loading it."""
        self.run("0")
        names = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded", "Network.loadingFailed")
        return [json.dumps(event["params"]) for event in self.events if event["method"] in names]
