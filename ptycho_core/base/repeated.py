"""`repeated`: something that is done again and again beside a block, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeated(act: Callable[[], object], every_s: float, name: str) -> Iterator[None]:
    """Do something every so many seconds while the block lasts; its last time is over when the block has been left.

    Parameters
    ----------
    act
        Called in the thread; raises nothing.
    every_s
        Seconds before each call.
    name
        Of the thread.
    """
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(every_s):
            act()

    thread = threading.Thread(target=go_on, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
