"""What a program prints, line by line from both of its outputs, until it ends."""

import contextlib
import fcntl
import os
import re
import selectors
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator

KEPT_LINES = 200  # the last ones, which are stored with a trial
_LONGEST = 65_536  # bytes of a line that are heard; of a longer one the start
_KEPT_CHARACTERS = 500  # of a line
_STORED_CHARACTERS = 12_000  # of all lines as JSON: 5,000 trials are read at once, and MariaDB takes 64 KB
_READ = 1 << 18  # bytes
_PIPE = 1 << 20  # bytes that a program may print ahead while reports are written; what Linux gives to every user
_POLL_SECONDS = 0.02  # where the end of a process cannot be waited for together with its output
_IDLE_SECONDS = 0.5
# Colours and moves of the cursor, and what no text should have.
_CONTROL = re.compile("\x1b\\[[0-?]*[ -/]*[@-~]|\x1b\\][^\x07]*\x07|[\x00-\x08\x0b-\x1f\x7f]")


@contextlib.contextmanager
def _end_of(process: "subprocess.Popen[bytes]") -> Iterator[int | None]:
    """A descriptor that can be read when the process has ended; None where only polling tells."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except (AttributeError, OSError):  # only Linux has it
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class Lines:
    """Lines from the bytes of a pipe. A carriage return ends a line, too, such as a state of a progress bar."""

    def __init__(self) -> None:
        self._rest, self._skips = b"", False  # whether the start of the line under way was given out

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that these bytes end; one that is overwritten by the next keeps its carriage return."""
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\r\n")
        *lines, self._rest = (self._rest + data).split(b"\n")
        if self._skips and lines:
            del lines[0]
            self._skips = False
        if self._skips:
            self._rest = b""
        elif len(self._rest) > _LONGEST:
            lines.append(self._rest)
            self._rest, self._skips = b"", True
        return lines

    def flush(self) -> list[bytes]:
        """The line that no sign has ended."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []


class Output:
    """The output of one trial, of all programs that it runs.

    Attributes:
        last_error: the last line of standard error that is not empty.
    """

    def __init__(self, hear: Callable[[str], None], idle: Callable[[], None] = lambda: None) -> None:
        """Call `hear` with every line, and `idle` about every half second."""
        self._hear, self._idle = hear, idle
        self._kept: deque[str] = deque(maxlen=KEPT_LINES)
        self._overwritten = False  # whether the last kept line ended in a carriage return
        self.last_error = ""

    @property
    def kept(self) -> list[str]:
        """The last lines, as they are stored: without control characters, the oldest left out if they are too long."""
        lines: deque[str] = deque()
        left = _STORED_CHARACTERS
        for line in reversed(self._kept):
            text = line[:_KEPT_CHARACTERS] + "…" * (len(line) > _KEPT_CHARACTERS)
            left -= sum(1 if " " <= sign <= "~" else 6 for sign in text) + 4  # JSON writes \uXXXX
            if left < 0:
                break
            lines.appendleft(text)
        return list(lines)

    def follow(self, process: "subprocess.Popen[bytes]") -> int:
        """Read until the process ends, whoever holds its outputs open, and return its exit code."""
        assert process.stdout is not None and process.stderr is not None
        heard = {process.stdout.fileno(): Lines(), process.stderr.fileno(): Lines()}
        errors = process.stderr.fileno()

        def read(pipe: int) -> bool | None:
            """Read once: whether more may come; None if nothing is there now."""
            try:
                data = os.read(pipe, _READ)
            except BlockingIOError:
                return None
            self._take(heard[pipe].feed(data), is_error=pipe == errors)
            return bool(data)

        with selectors.DefaultSelector() as selector, _end_of(process) as ended:
            for pipe in heard:
                os.set_blocking(pipe, False)
                with contextlib.suppress(AttributeError, OSError):  # not on macOS; or the user has many pipes
                    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
                selector.register(pipe, selectors.EVENT_READ)
            if ended is not None:
                selector.register(ended, selectors.EVENT_READ)
            looked = time.monotonic()
            while process.poll() is None:
                for key, _ in selector.select(_POLL_SECONDS if ended is None else _IDLE_SECONDS):
                    if key.fd in heard and read(key.fd) is False:
                        selector.unregister(key.fd)
                if time.monotonic() - looked >= _IDLE_SECONDS:
                    looked = time.monotonic()
                    self._idle()
        for pipe, lines in heard.items():
            for _ in range(_PIPE // _READ + 1):  # what was in the pipe: a child may hold it open and print on
                if not read(pipe):
                    break
            self._take(lines.flush(), is_error=pipe == errors)
        return process.wait()

    def _take(self, lines: list[bytes], *, is_error: bool) -> None:
        for line in lines:
            text = line[:_LONGEST].decode("utf-8", "replace")
            overwritten = text.endswith("\r")
            if overwritten or not text.isprintable():
                text = _CONTROL.sub("", text)
            if not text.strip():
                self._overwritten = self._overwritten and overwritten
                continue
            if self._overwritten:
                self._kept.pop()
            self._kept.append(text)
            self._overwritten = overwritten
            if is_error:
                self.last_error = text.strip()
            self._hear(text)
