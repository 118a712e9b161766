"""Progress on standard error, from events alone: a bar on a terminal, a line per epoch elsewhere."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ptycho_core.base import events
from ptycho_core.cli.output import duration, say

_EVERY_EPOCH = (events.Stage.TRAINING, events.Stage.VALIDATING)


@contextmanager
def progress(quiet: bool) -> Iterator[events.EventHandler]:
    """Give an event handler that shows how a run or a reconstruction goes on."""
    if quiet:
        yield lambda event: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        with bar:
            yield _Bar(bar)
    else:
        yield _Lines()


class _Lines:
    """Prints a line per stage and per epoch."""

    def __init__(self) -> None:
        self.max_epochs = 0
        self.stage: events.Stage | None = None

    def __call__(self, event: events.Event) -> None:
        for line in told(event):
            say(line)
        match event:
            case events.RunStarted():
                self.max_epochs = event.max_epochs
            case events.StageChanged() if event.stage not in _EVERY_EPOCH and event.stage != self.stage:
                self.stage = event.stage
                say(event.stage)
            case events.EpochDone():
                epoch = f"epoch {event.epoch}/{self.max_epochs}"
                say(f"{epoch}  {figures(event.metrics)}  {duration(event.elapsed_s)}")


class _Bar:
    """Moves a bar with every step."""

    def __init__(self, bar: Any) -> None:
        self.bar = bar
        self.task = bar.add_task("starting", total=None, figures="")
        self.max_epochs = 0

    def __call__(self, event: events.Event) -> None:
        for line in told(event):
            self.bar.console.print(line, markup=False, highlight=False)
        match event:
            case events.RunStarted():
                self.max_epochs = event.max_epochs
                steps = event.steps_per_epoch
                self.bar.update(self.task, total=steps * event.max_epochs, completed=steps * event.epochs_done)
            case events.StageChanged() if event.stage not in _EVERY_EPOCH:
                of = f" {event.epoch}/{event.epochs}" if event.epochs else ""
                self.bar.update(self.task, description=f"{event.stage}{of}")
            case events.BatchDone():
                epoch = f"epoch {event.epoch}/{self.max_epochs}"
                self.bar.update(self.task, description=epoch, completed=event.step + 1)
            case events.EpochDone():
                self.bar.update(self.task, figures=figures(event.metrics))


def told(event: events.Event) -> list[str]:
    """Return what stays to be read of an event, beside lines or above a bar."""
    match event:
        case events.RunStarted():
            begun = (
                f"{event.device}; {event.parameters:,} parameters, {event.steps_per_epoch} steps per epoch, "
                f"{event.max_epochs - event.epochs_done} epochs to do in {event.run_dir}"
            )
            earlier = f"the run that was in the folder before is now in {event.earlier}"
            return [begun, earlier] if event.earlier else [begun]
        case events.PartBegan():
            return [event.what if event.within_s is None else f"{event.what}: {duration(event.within_s)} at most"]
        case events.ProbeSearched() | events.ModesChosen() | events.PictureChosen():
            return [event.why]
        case events.ScanGrew():
            return [f"{event.scan}: {event.in_words}"]
        case events.ScanOver():
            became = f"failed: {event.failed}" if event.failed else event.verdict or "done"
            return [": ".join(filter(None, (event.scan, became, event.remarks)))]
        case events.RolledBack() | events.WatchTold():
            return [f"warning: {event.message}"]
    return []


def figures(metrics: dict[str, float]) -> str:
    """Return the losses of an epoch in one line."""
    shown = {name: value for name, value in metrics.items() if name.endswith(("_val_loss", "_train_loss_epoch"))}
    return "  ".join(f"{name} {value:.4f}" for name, value in shown.items())


@contextmanager
def stopped_by_signals(first: bool = True) -> Iterator[events.StopToken]:
    """Give a token that Ctrl-C and SIGTERM stop, a second one cancels, and a third one leaves at once.

    What was cancelled ends as what was interrupted does.

    Of several processes that train together only the first one obeys, and tells the others.
    """
    token = events.StopToken()

    def obey(number: int, frame: FrameType | None) -> None:
        if not first:
            return
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        if token.cancel_requested:
            raise KeyboardInterrupt
        if token.stop_requested:
            token.cancel(f"cancelled by {name}")
            notice = "leaving at once"
        else:
            token.stop(f"stopped by {name}")
            notice = "stopping in good order; once more to leave at once"
        os.write(2, f"\nptycho: {name}: {notice}\n".encode())  # print is not safe within a signal's handler

    before = {number: signal.signal(number, obey) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield token
    except events.Cancelled:
        raise KeyboardInterrupt from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
