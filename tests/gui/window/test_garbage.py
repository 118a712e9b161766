"""Garbage is collected on the window's thread, and on no other."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

from ptycho_gui.kit.threads.slot import WorkerSlot
from ptycho_gui.window.garbage import GarbageKeeper


class Knot:
    """Refers to itself, so that only the collector frees it."""

    def __init__(self, freed):
        self.itself = self
        weakref.finalize(self, lambda: freed.append(threading.get_ident()))


@pytest.fixture
def keeper(qapp):
    keeper = GarbageKeeper()
    yield keeper
    keeper.stop()


def test_what_a_worker_leaves_is_freed_on_the_windows_thread(keeper, qtbot):
    freed: list[int] = []
    slot = WorkerSlot()

    def job(emit, token):
        for _ in range(20_000):
            Knot(freed)

    with qtbot.waitSignal(slot.succeeded):
        slot.start(job)
    qtbot.waitUntil(lambda: len(freed) == 20_000)
    assert set(freed) == {threading.get_ident()}
    slot.shut_down()


def test_python_collects_again_afterwards(qapp):
    keeper = GarbageKeeper()
    assert not gc.isenabled()
    keeper.stop()
    assert gc.isenabled()
