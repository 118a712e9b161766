"""Many scans opened one after another in one window; `benchmarks/soak.py` opens two thousand."""

from __future__ import annotations

import gc
import itertools
import sys
import weakref

import psutil

from tests.helpers import scan_files as files

SETTLED, OPENS = 3, 10


def held() -> tuple[int, int]:
    """How many threads and open files the process has."""
    process = psutil.Process()
    return process.num_threads(), process.num_handles() if sys.platform == "win32" else process.num_fds()


def test_a_scan_that_another_one_replaced_leaves_no_memory_no_thread_and_no_open_file(window, qtbot, tmp_path):
    paths = [files.write(tmp_path, name) for name in ("cxi", "nexus", "ptypy")]
    loader, panel, scans, before = window.session.loader, window.panels.data, [], (0, 0)
    for number, path in enumerate(itertools.islice(itertools.cycle(paths), OPENS)):
        with qtbot.waitSignal(loader.opened):
            window.open_path(path)
        panel.select(number % 12)
        title = panel.browser.view.plot.header.title
        qtbot.waitUntil(
            lambda title=title, at=number % 12: title.text() == f"<b>Pattern {at}</b>" and not panel.drawing
        )
        scans.append(weakref.ref(loader.looked.scan))
        if number == SETTLED:
            before = held()

    def let_go():
        gc.collect()
        return sum(scan() is not None for scan in scans) <= 2

    qtbot.waitUntil(let_go)
    few = (OPENS - SETTLED) // 2  # what was not there yet, but not one more for each
    qtbot.waitUntil(lambda: all(now < then + few for now, then in zip(held(), before, strict=True)))
