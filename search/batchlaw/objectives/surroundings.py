"""The process around a training function: what the function changes of it is put back, so that the next trial does not
find it."""

import contextlib
import io
import logging
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from batchlaw.objectives.threads import threads_in_use

_STANDARD = (0, 1, 2)  # descriptors of input, output and errors
_STREAMS = ("stdin", "stdout", "stderr")


@contextlib.contextmanager
def kept(reopen: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Put back at the end what was changed inside.

    That is the working folder, umask and environment, the standard streams, handlers of signals, filters of warnings,
    and of Python, NumPy and PyTorch the state of random numbers and the defaults.

    A process that was forked inside ends here, since only this one runs trials. Threads that were left behind are told;
    nothing can end them. In another thread than the main one nothing is put back: the process is somebody else's, whose
    other threads may be changing the same things.

    Args:
        reopen: called where descriptors were closed that were not opened inside, as `os.closerange` does.
    """
    process, threads = os.getpid(), set(threading.enumerate())
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with contextlib.ExitStack() as stack:
        stack.enter_context(_numbers())
        stack.enter_context(_descriptors(reopen))
        stack.enter_context(_handlers())
        stack.enter_context(_place())
        stack.enter_context(warnings.catch_warnings())
        if "torch" not in sys.modules:  # which the function may load, and which reads its number of threads here
            os.environ["OMP_NUM_THREADS"] = str(threads_in_use())
        try:
            yield
        finally:
            if os.getpid() != process:
                os._exit(0)
            left = [each.name for each in threading.enumerate() if each not in threads and not each.daemon]
            if left:
                logging.getLogger("batchlaw").warning(
                    "warning: the training function left %d thread%s behind: %s",
                    len(left), "s" * (len(left) != 1), ", ".join(left[:3]).encode("unicode_escape").decode(),
                )  # fmt: skip


@contextlib.contextmanager
def _place() -> Iterator[None]:
    """The working folder, the umask and the environment."""
    folder, mask, environment = os.open(".", os.O_RDONLY | os.O_CLOEXEC), os.umask(0), dict(os.environ)
    os.umask(mask)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.fchdir(folder)
            os.close(folder)
        os.umask(mask)
        if os.environ != environment:
            for name in os.environ.keys() - environment.keys():
                del os.environ[name]
            os.environ.update(environment)


@contextlib.contextmanager
def _descriptors(reopen: Callable[[], None]) -> Iterator[None]:
    """The standard streams, by their objects and by their descriptors."""
    streams = {name: getattr(sys, name) for name in _STREAMS}
    copies = {number: os.dup(number) for number in _STANDARD if _is_open(number)}
    try:
        yield
    finally:
        if not all(map(_is_open, copies.values())):
            logging.getLogger("batchlaw").warning(
                "warning: the training function closed descriptors of its worker, which are opened anew"
            )
            reopen()
        for number, copy in copies.items():
            with contextlib.suppress(OSError):  # the function closed our copy, too
                if not _is_open(number) or not os.path.sameopenfile(number, copy):
                    os.dup2(copy, number)
                os.close(copy)
        for number, (name, stream) in enumerate(streams.items()):
            if isinstance(stream, io.TextIOBase) and stream.closed and number in copies:
                stream = open(number, "r" if number == 0 else "w", closefd=False, errors="replace")  # noqa: SIM115
            setattr(sys, name, stream)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _handlers() -> Iterator[None]:
    """The handlers of signals."""
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)


@contextlib.contextmanager
def _numbers() -> Iterator[None]:
    """Random numbers, and the defaults of libraries that are loaded."""
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    drawn, limit, threads = random.getstate(), sys.getrecursionlimit(), threads_in_use()
    of_numpy: Any = (numpy.random.get_state(), numpy.geterr()) if numpy else None
    of_torch: Any = torch and (
        torch.get_rng_state(), torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled(),
        torch.get_deterministic_debug_mode(), torch.get_default_device(),
    )  # fmt: skip
    try:
        yield
    finally:
        random.setstate(drawn)
        sys.setrecursionlimit(limit)
        if numpy and of_numpy:
            numpy.random.set_state(of_numpy[0])
            numpy.seterr(**of_numpy[1])
        torch = sys.modules.get("torch")
        if torch:  # the function may have loaded it
            of_torch = of_torch or _fresh(torch, threads)
            if torch.get_default_device() != of_torch[5]:
                torch.set_default_device(of_torch[5])
            torch.set_rng_state(of_torch[0])
            torch.set_default_dtype(of_torch[1])
            torch.set_num_threads(of_torch[2])
            torch.set_grad_enabled(of_torch[3])
            if torch.get_deterministic_debug_mode() != of_torch[4]:  # setting it imports PyTorch's compiler, for 1.6 s
                torch.use_deterministic_algorithms(of_torch[4] > 0, warn_only=of_torch[4] == 1)


def _fresh(torch: Any, threads: int) -> tuple[Any, ...]:
    """The defaults of a PyTorch that was just loaded."""
    return (torch.Generator().get_state(), torch.float32, threads, True, 0, torch.device("cpu"))
