"""Reading single patterns away from the window's thread."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.scan.scan import Patterns, Scan
from ptycho_gui.scan.jobs.patterns import PatternReader
from tests.helpers.patience import PATIENCE_S


class Gated:
    """A stack of patterns whose reading waits for leave, and tells what was read in which thread."""

    def __init__(self, stack):
        self.stack, self.shape, self.dtype = stack, stack.shape, stack.dtype
        self.leave, self.read, self.threads = threading.Event(), [], set()

    def __getitem__(self, index):
        assert self.leave.wait(PATIENCE_S)
        self.threads.add(threading.get_ident())
        self.read.append(index.start)
        return self.stack[index]


@pytest.fixture
def gated():
    return Gated(np.arange(20 * 64, dtype=np.float32).reshape(20, 8, 8))


@pytest.fixture
def reader(qtbot):
    reader = PatternReader()
    yield reader
    reader.shut_down()


def scan_of(source):
    return Scan(Patterns(source), np.random.default_rng(0).uniform(0, 9, (source.shape[0], 2)))


def test_a_pattern_is_read_in_another_thread(qtbot, reader, gated):
    gated.leave.set()
    with qtbot.waitSignal(reader.ready) as read:
        reader.read(scan_of(gated), 3)
    assert read.args[0] == 3
    np.testing.assert_array_equal(read.args[1], gated.stack[3])
    assert read.args[1].dtype == np.float32
    assert threading.get_ident() not in gated.threads


def test_of_many_requests_only_the_first_and_the_latest_are_read(qtbot, reader, gated):
    scan, told = scan_of(gated), []
    reader.ready.connect(lambda index, counts: told.append(index))
    for index in range(20):
        reader.read(scan, index)
    gated.leave.set()
    qtbot.waitUntil(lambda: told[-1:] == [19])
    assert gated.read == [0, 19]


def test_a_pattern_of_a_scan_that_was_replaced_is_dropped(qtbot, reader, gated):
    told = []
    reader.ready.connect(lambda index, counts: told.append(float(counts[0, 0])))
    reader.read(scan_of(gated), 1)
    with qtbot.waitSignal(reader.ready):
        reader.read(scan_of(np.full((20, 8, 8), 7.0, np.float32)), 2)
        gated.leave.set()
    assert told == [7.0]


def test_a_pattern_that_cannot_be_read_fails_with_a_sentence_and_the_next_is_read(qtbot, reader, gated):
    class Gone(Gated):
        def __getitem__(self, index):
            raise InputError("the disk is gone")

    with qtbot.waitSignal(reader.failed) as failed:
        reader.read(scan_of(Gone(gated.stack)), 0)
    assert failed.args == ["the disk is gone"]
    gated.leave.set()
    with qtbot.waitSignal(reader.ready):
        reader.read(scan_of(gated), 0)


def test_nothing_is_told_after_shutting_down(qtbot, reader, gated):
    told = []
    reader.ready.connect(lambda index, counts: told.append(index))
    reader.read(scan_of(gated), 0)
    gated.leave.set()
    reader.shut_down()
    with qtbot.waitSignal(reader.ready):
        reader.read(scan_of(gated), 5)
    assert told == [5]
