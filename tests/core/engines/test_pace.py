"""How long the end of a run takes, by the pace of its epochs: with a clock that is set."""

from __future__ import annotations

import pytest

from ptycho_core.base.events import EpochDone, StageChanged
from ptycho_core.engines import pace
from ptycho_core.engines.pace import FILES_S, Pace


class Clock:
    """Of the machine, and of this process' own work."""

    seconds = own = 100.0

    def monotonic(self):
        return self.seconds

    def process_time(self):
        return self.own


@pytest.fixture
def epoch(monkeypatch):
    """Has an epoch take so many seconds, of the processor the second number; returns the pace."""
    clock, found = Clock(), Pace()
    monkeypatch.setattr(pace, "time", clock)

    def run(seconds, own):
        found.hear(StageChanged("training", 1))
        clock.seconds, clock.own = clock.seconds + seconds, clock.own + own
        found.hear(EpochDone(1, 10, {}, seconds))
        return found

    return run


def test_the_end_takes_as_long_as_epochs_do_and_files_longer_where_others_have_the_processor(epoch):
    assert epoch(2.0, 2.0).end_s(3) == pytest.approx(6 + FILES_S)
    assert epoch(20.0, 2.0).end_s(3) == pytest.approx(60 + 10 * FILES_S)


def test_an_epoch_that_was_stopped_does_not_make_the_end_shorter_and_earlier_ones_are_forgotten(epoch):
    epoch(8.0, 2.0)
    assert epoch(0.1, 0.1).end_s(1) == pytest.approx(8 + 4 * FILES_S)
    for _ in range(3):
        found = epoch(1.0, 4.0)  # several threads
    assert found.end_s(1) == pytest.approx(1 + FILES_S)


def test_nothing_is_known_before_the_first_epoch():
    assert Pace().end_s(7) == 0
