"""A watched folder: scans while they are measured, once they are complete, and after whatever happens between."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import os
import shutil
import subprocess
import threading
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest

from ptycho_core.base.errors import InputError, PtychoError
from ptycho_core.base.events import PreviewReady, ScanGrew, ScanOver, Stage, StopToken, WatchTold
from ptycho_core.engines import live
from ptycho_core.engines import watch as watching
from ptycho_core.engines.mosaic import HELD_OUT, Mosaic
from ptycho_core.engines.watch import JOURNAL, Rules, watch
from ptycho_core.formats.writers.exports import read_reconstruction
from ptycho_core.runs.arrivals import GLOBS, Arrivals
from ptycho_core.runs.results import find_results
from ptycho_core.scan.mapping import Mapping
from ptycho_core.scan.source import ScanSource
from ptycho_core.simulation import SimulationSpec, simulate
from ptycho_core.simulation.files import write_simulation
from tests.helpers.commands import PTYCHO
from tests.helpers.growing_files import Writer
from tests.helpers.training_runs import Training

SPEC = SimulationSpec(size=16, n_patterns=196, step_px=2, jitter_px=0.5)
QUICK = {"polish_epochs": 0, "halves": False, "final_pass": False, "accelerator": "cpu"}


@pytest.fixture(scope="module")
def scan_file(tmp_path_factory) -> Path:
    return write_simulation(simulate(SPEC), tmp_path_factory.mktemp("scan") / "scan.cxi")[0]


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def rules(trained):
    def rules_with(**changes) -> Rules:
        given = {"globs": ("*.cxi",), "options": QUICK, "every_s": 0.1, "quiet_s": 1.0, "once": True}
        return Rules(trained.info.best_checkpoint, **{**given, **changes})

    return rules_with


def run(folder, rules, on=lambda event: None, stop=None):
    """Watch, and return what was heard."""
    heard = []

    def hear(event):
        heard.append(event)
        on(event)

    watch(folder, folder.parent / "out", rules, hear, stop or StopToken())
    return heard


def lines(folder):
    with open(folder.parent / "out" / JOURNAL, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def in_picture(numbers):
    """How many of some patterns are not held out."""
    return np.count_nonzero(numbers % HELD_OUT != HELD_OUT // 2)


def over(heard):
    return {event.scan: event.failed for event in heard if isinstance(event, ScanOver)}


@pytest.fixture
def writer(folder, scan_file):
    """Measures live.cxi, of which half is there already."""
    with Writer(folder / "live.cxi", scan_file) as writing:
        writing.write(98)
        yield writing


def test_a_scan_is_shown_while_it_is_measured_and_reconstructed_when_its_writer_has_closed_it(folder, rules, writer):
    stop, steps = StopToken(), [lambda: writer.write(196), writer.close]
    kept = folder.parent / "out" / "live" / "measured.pt"  # for a watcher that starts again

    def on(event):
        if isinstance(event, PreviewReady):
            assert kept.exists()
        if isinstance(event, ScanGrew):
            steps.pop(0)()
        if isinstance(event, ScanOver):
            assert not kept.exists()
            stop.stop()

    heard = run(folder, rules(once=False, quiet_s=60.0), on, stop)
    grown = [event for event in heard if isinstance(event, ScanGrew)]
    pictures = [event for event in heard if isinstance(event, PreviewReady)]
    assert [event.patterns for event in grown] == [in_picture(np.arange(98)), in_picture(np.arange(196))]
    assert len(pictures) == 2
    assert {event.stage for event in pictures} == {Stage.MEASURING}
    assert max(pictures[-1].object.shape) >= 30
    assert pictures[-1].pixel_size_m == pytest.approx(simulate(SPEC).scan.pixel_size_m)
    assert over(heard) == {"live.cxi": ""}
    (line,) = lines(folder)
    assert (line["outcome"], line["folder"]) == ("done", "live")
    results = folder.parent / "out" / "live" / "reconstruction"
    assert {path.name for path in results.iterdir()} == {
        "amplitude.png",
        "amplitude.tif",
        "metrics.json",
        "phase.png",
        "phase.tif",
        "product.h5",
        "reconstruction.npz",
    }
    assert read_reconstruction(results / "reconstruction.npz").metrics["patterns"] == int(line["patterns"]) > 98


def test_a_file_that_is_half_there_waits_and_one_that_is_none_fails_alone(folder, rules, scan_file, monkeypatch):
    by_steps = partial(Arrivals, clock=itertools.count().__next__)  # neither is quiet before the other
    monkeypatch.setattr(watching, "Arrivals", by_steps)
    whole, half = scan_file.read_bytes(), scan_file.stat().st_size // 2
    (folder / "slow.cxi").write_bytes(whole[:half])
    (folder / "none.cxi").write_bytes(b"no scan at all" * 100)
    os.utime(folder / "none.cxi", (1000, 1000))  # looked at first

    def on(event):
        if isinstance(event, ScanOver) and event.scan == "none.cxi":
            with open(folder / "slow.cxi", "ab") as file:
                file.write(whole[half:])
            shutil.copy(scan_file, folder / ".arriving")
            os.replace(folder / ".arriving", folder / "renamed.cxi")

    ended = over(run(folder, rules(exports=("cxi",), quiet_s=10.0), on))
    assert "neither HDF5" in ended.pop("none.cxi")
    assert ended == {"slow.cxi": "", "renamed.cxi": ""}
    assert [line["outcome"] for line in lines(folder)] == ["failed", "done", "done"]
    assert (folder.parent / "out" / "slow" / "reconstruction" / "reconstruction.cxi").exists()


def test_what_is_done_is_not_done_again_whatever_its_time_but_another_scan_of_its_name_is(
    folder, rules, scan_file, monkeypatch
):
    shutil.copy(scan_file, folder / "a.cxi")
    run(folder, rules())
    (first,) = lines(folder)

    def never(*args, **options):
        raise AssertionError("made again")

    with monkeypatch.context() as patch:
        patch.setattr(watching, "reconstruct", never)
        assert run(folder, rules()) == []
        os.utime(folder / "a.cxi", (1000, 1000))
        assert run(folder, rules()) == []
        assert lines(folder) == [first]
        # Killed between the results and the line.
        (folder.parent / "out" / JOURNAL).unlink()
        assert over(run(folder, rules())) == {"a.cxi": ""}
    (again,) = lines(folder)
    assert (again["verdict"], again["free_misfit"]) == (first["verdict"], first["free_misfit"])
    other = simulate(SimulationSpec(size=16, n_patterns=100, step_px=2, jitter_px=0.5, seed=1))
    write_simulation(other, folder / "a.cxi")
    assert over(run(folder, rules())) == {"a.cxi": ""}
    assert [line["scan"] for line in lines(folder)] == ["a.cxi", "a.cxi"]
    assert (folder.parent / "out" / "a" / "reconstruction" / "previous" / "version_0").is_dir()


def test_a_reconstruction_that_was_stopped_is_made_the_next_time(folder, rules, scan_file):
    shutil.copy(scan_file, folder / "a.cxi")
    stop, real = StopToken(), watching.reconstruct

    def stopping(*args, **options):
        stop.stop()
        return real(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watching, "reconstruct", stopping)
        assert run(folder, rules(), stop=stop) == []
    assert not (folder.parent / "out" / JOURNAL).exists()
    assert over(run(folder, rules())) == {"a.cxi": ""}


def test_a_watcher_that_was_killed_goes_on_where_it_was(folder, rules, scan_file, trained):
    names = [f"{letter}.cxi" for letter in "abc"]
    for name in names:
        shutil.copy(scan_file, folder / name)
    out, options = folder.parent / "out", ["--polish", "0", "--no-halves", "--no-final-pass", "--look-every", "0.2"]
    command = [*PTYCHO, "watch", folder, "--checkpoint", trained.folder, "--out", out, *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as watcher:
        assert watcher.stderr.readline().startswith("watching ")
        first = watcher.stderr.readline()
        watcher.kill()
    assert first.startswith("a.cxi: ")
    before = lines(folder)
    heard = run(folder, rules())
    assert sorted(line["scan"] for line in lines(folder)) == names
    assert lines(folder)[: len(before)] == before
    assert set(over(heard)) == set(names) - {line["scan"] for line in before}


def test_results_whose_folder_was_lost_meanwhile_are_made_when_it_is_back(folder, rules, scan_file, monkeypatch):
    shutil.copy(scan_file, folder / "a.cxi")
    out, away, tried = folder.parent / "out", folder.parent / "away", threading.Event()
    make, finish = watching.reconstruct, watching._Watch.finish

    def losing(*given, **options):
        if not tried.is_set():
            os.rename(out, away)
        return make(*given, **options)

    def finished(*given):
        ended = finish(*given)
        tried.set()
        return ended

    def on(event):
        if isinstance(event, WatchTold):
            tried.wait()
            os.rename(away, out)

    monkeypatch.setattr(watching, "reconstruct", losing)
    monkeypatch.setattr(watching._Watch, "finish", finished)
    told, ended = run(folder, rules(), on)
    assert told.message == f"the folder {out} is out of reach; waiting for it to come back"
    assert (ended.scan, ended.failed) == ("a.cxi", "")
    assert [line["outcome"] for line in lines(folder)] == ["done"]


def test_a_scan_that_fails_does_not_stop_the_rest(folder, rules, scan_file, monkeypatch):
    for name in ("a", "b", "c"):
        shutil.copy(scan_file, folder / f"{name}.cxi")
    real = watching.reconstruct

    def failing(scan, *args, **options):
        if scan.source.path.stem == "b":
            raise RuntimeError("out of luck")
        return real(scan, *args, **options)

    monkeypatch.setattr(watching, "reconstruct", failing)
    heard = run(folder, rules())
    assert over(heard) == {"a.cxi": "", "b.cxi": "internal error: RuntimeError: out of luck", "c.cxi": ""}


def test_two_scans_whose_files_differ_in_their_ending_alone_each_have_a_folder(folder, rules, scan_file):
    shutil.copy(scan_file, folder / "a.cxi")
    write_simulation(simulate(dataclasses.replace(SPEC, seed=7)), folder / "a.npz")
    heard = run(folder, rules(globs=GLOBS))
    assert over(heard) == {"a.cxi": "", "a.npz": ""}
    rows = {row["scan"]: row["folder"] for row in lines(folder)}
    assert sorted(rows.values()) in (["a", "a.cxi"], ["a", "a.npz"])
    for name, place in rows.items():
        (result,) = find_results(folder.parent / "out" / place)
        assert result.metrics["watched"]["scan"] == name


def test_a_scan_of_which_no_picture_can_be_made_is_reconstructed_all_the_same(folder, rules, writer, monkeypatch):
    tried = []

    def failing(*args):
        tried.append(args)
        writer.close()
        raise RuntimeError("out of luck")

    monkeypatch.setattr(Mosaic, "begin", failing)
    heard = run(folder, rules(quiet_s=60.0))
    assert len(tried) == 1
    assert [type(event) for event in heard] == [WatchTold, ScanOver]
    assert heard[0].message == "no picture of live.cxi while it is measured: internal error: RuntimeError: out of luck"
    assert over(heard) == {"live.cxi": ""}


@pytest.mark.parametrize("out", ["out", "elsewhere"])
def test_two_watchers_on_one_folder_are_refused_wherever_they_write(folder, rules, scan_file, out):
    shutil.copy(scan_file, folder / "a.cxi")
    refused = []

    def on(event):
        with pytest.raises(InputError, match="another watcher is at work in") as caught:
            watch(folder, folder.parent / out, rules(), print, StopToken())
        refused.append(str(caught.value))

    run(folder, rules(), on)
    assert len(refused) == 1
    assert not list(folder.glob(".watched*"))
    assert not (folder.parent / "elsewhere" / JOURNAL).exists()


def test_what_cannot_be_watched_or_written_is_told_at_once(folder, rules, tmp_path):
    with pytest.raises(InputError, match="there is no folder"):
        run(folder / "nowhere", rules())
    (tmp_path / "out").write_text("a file")
    with pytest.raises(PtychoError, match=r"cannot write .*out: .* is a file: write to another folder"):
        run(folder, rules())
    with pytest.raises(InputError, match="no export format 'bmp'"):
        run(folder, rules(exports=("bmp",)))


def test_a_model_that_serves_one_scan_is_refused(folder, rules, tmp_path):
    direct = Training(tmp_path / "direct").go(engine="direct", max_epochs=1).info.last_checkpoint
    with pytest.raises(InputError, match="serves the scan of its training alone"):
        run(folder, dataclasses.replace(rules(), checkpoint=direct))
    assert not (tmp_path / "out").exists()


def write_piece(folder, number, counts):
    first, last = (number - 1) * 49, number * 49
    with h5py.File(folder / "raw" / f"scan_7_data_{number:06d}.h5", "w") as file:
        data = file.create_dataset("entry/data/data", data=counts[first:last])
        data.attrs["image_nr_low"], data.attrs["image_nr_high"] = first + 1, last


def test_a_master_is_shown_as_its_data_files_appear_and_done_when_it_has_all_that_it_states(folder, rules, monkeypatch):
    scan = simulate(SPEC).scan
    counts, to_come = scan.patterns[:].astype(np.uint16), [2, 4]
    (folder / "raw").mkdir()
    with h5py.File(folder / "scan_7_master.h5", "w") as file:
        for number in range(1, 5):
            name = f"raw/scan_7_data_{number:06d}.h5"
            file[f"entry/data/data_{number:06d}"] = h5py.ExternalLink(name, "/entry/data/data")
        file["entry/instrument/detector/detectorSpecific/nimages"] = len(scan)
    np.savetxt(folder / "scan_7_places.txt", scan.positions)
    axes = {axis: {"key": str(column), "unit": "px"} for column, axis in enumerate("yx")}
    body = {"version": 1, "patterns": "entry/data/data_*", "positions": {**axes, "separate_file": True}}
    mapping = Mapping.from_dict(body, "test")
    source = ScanSource(positions_file=Path("*_places.txt"), mapping=mapping)

    def on(event):
        if isinstance(event, ScanGrew) and to_come:
            write_piece(folder, to_come.pop(0), counts)

    monkeypatch.setattr(live, "_MOST_AT_ONCE", 98)  # two pieces
    for number in (1, 3):
        write_piece(folder, number, counts)
    heard = run(folder, rules(globs=("*_master.h5",), source=source, quiet_s=60.0), on)
    assert over(heard) == {"scan_7_master.h5": ""}
    numbers = np.split(np.arange(196), 4)
    known = [np.concatenate([numbers[k] for k in some]) for some in ([0, 2], [0, 2, 1], [0, 2, 1, 3])]
    assert [event.patterns for event in heard if isinstance(event, ScanGrew)] == [in_picture(some) for some in known]
    (line,) = lines(folder)
    assert (line["folder"], line["outcome"]) == ("scan_7", "done")


def test_a_scan_whose_writer_died_is_done_with_what_is_there(folder, rules, writer):
    def on(event):
        if isinstance(event, ScanGrew):
            writer.die()

    assert over(run(folder, rules(), on)) == {"live.cxi": ""}
    assert 0 < int(lines(folder)[0]["patterns"]) <= 98


def test_the_command_watches_and_says_what_became_of_each_scan(folder, scan_file, trained, ptycho):
    shutil.copy(scan_file, folder / "a.cxi")
    (folder / "b.cxi").write_bytes(b"no scan at all" * 100)
    options = [
        "--once",
        "--look-every",
        "0.2",
        "--quiet-time",
        "0.5",
        "--polish",
        "0",
        "--no-halves",
        "--no-final-pass",
    ]
    done = ptycho("watch", folder, "--checkpoint", trained.folder, *options)
    assert done.returncode == 0, done.stderr
    told = done.stderr.splitlines()
    assert told[0] == f"watching {folder}: what comes of each scan goes to {folder / 'reconstructions'}"
    assert any(line.startswith("b.cxi: failed: ") for line in told)
    with open(folder / "reconstructions" / JOURNAL, newline="", encoding="utf-8") as file:
        (of_a,) = (line for line in csv.DictReader(file) if line["scan"] == "a.cxi")
    assert f"a.cxi: {of_a['verdict']}: {of_a['remarks']}" in told
    assert told[-1] == f"the journal is {folder / 'reconstructions' / 'journal.csv'}"
    assert ptycho("watch", folder, "--checkpoint", trained.folder, "--quiet-time", "0").returncode == 2
    (folder / "c.cxi").write_bytes(b"no scan either" * 100)
    quiet = ptycho("watch", folder, "--checkpoint", trained.folder, "--quiet", "--json", *options)
    assert quiet.stdout.startswith("{")
    assert [line.partition(": ")[0] for line in quiet.stderr.splitlines()] == ["c.cxi", told[-1]]
