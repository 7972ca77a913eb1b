"""Signals that ask a command to stop: a first one lets it finish its step, a second one ends it at once."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

# How long, in seconds, runs may take to finish their step and save: a person who typed Ctrl-C waits, a batch system
# gives about half a minute, and the signal that comes before a time limit is sent earlier.
STOP_SIGNALS = {signal.SIGINT: 1.5, signal.SIGTERM: 20.0, signal.SIGHUP: 20.0, signal.SIGUSR2: 60.0}
_received: list[signal.Signals] = []


def raise_on_stop_signals() -> None:
    """Turn each of these signals into a `KeyboardInterrupt` of the main thread, unless the process ignores it."""
    for number in STOP_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` makes it
            signal.signal(number, _interrupt)


def ignore_stop_signals() -> None:
    """Ignore these signals, in a process about whose end another one decides: a terminal sends them to all."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def stop_signal() -> signal.Signals:
    """The signal that interrupted this process last; SIGINT where none did."""
    return _received[-1] if _received else signal.SIGINT


def _interrupt(number: int, _: FrameType | None) -> Any:
    _received.append(signal.Signals(number))
    raise KeyboardInterrupt
