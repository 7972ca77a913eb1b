"""Signals that ask a command to stop: a first one lets it finish its step, a second one ends it at once.

One that was ignored when the command started stays ignored, as everywhere: `nohup` has SIGHUP ignored, and a shell
script has SIGINT ignored in what it starts in the background with `&`.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Any

# How long, in seconds, runs may take to finish their step and save: a person who typed Ctrl-C waits, a batch system
# gives about half a minute, and the signal that comes before a time limit is sent earlier.
STOP_SIGNALS = {signal.SIGINT: 1.5, signal.SIGTERM: 20.0, signal.SIGHUP: 20.0, signal.SIGUSR2: 60.0}
MOST = 3  # signals: what comes then has no step to finish and nothing to save
_received: list[signal.Signals] = []


def raise_on_stop_signals() -> None:
    """Turn each of these signals into a `KeyboardInterrupt` of the main thread, unless the process ignores it."""
    _received.clear()
    for number in STOP_SIGNALS:
        ignored = signal.getsignal(number) is signal.SIG_IGN
        signal.signal(number, signal.SIG_IGN if ignored else _interrupt)  # a library may have put its own in place
    sys.unraisablehook = _show_unraisable


def end_on_stop_signals() -> None:
    """Let each of these signals end this process at once, without a word: for a command that is about to end."""
    for number in STOP_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def ignore_stop_signals() -> None:
    """Ignore these signals, in a process about whose end another one decides: a terminal sends them to all."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def stop_signal() -> signal.Signals:
    """The signal that interrupted this process last; SIGINT where none did."""
    return _received[-1] if _received else signal.SIGINT


def _interrupt(number: int, _: FrameType | None) -> Any:
    _received.append(signal.Signals(number))
    if len(_received) >= MOST:
        os._exit(128 + number)
    raise KeyboardInterrupt


def _show_unraisable(fault: sys.UnraisableHookArgs) -> None:
    """Show an exception that Python cannot raise where it arose, such as while an object is deleted.

    An interrupt that came just then would be lost, with a traceback: this process gets its signal again.
    """
    if not issubclass(fault.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(fault)
    elif _received and signal.getsignal(number := _received.pop()) is _interrupt:
        import threading

        again = threading.Timer(0.05, os.kill, (os.getpid(), number))  # not now: it would be lost once more
        again.daemon = True
        again.start()
