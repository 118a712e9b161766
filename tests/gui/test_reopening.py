"""Whoever reads a scan again gets the same scan: every format, mapped scans, as read and with steps."""

from __future__ import annotations

import dataclasses
import functools
import shlex

import h5py
import numpy as np
import pytest

from ptycho_core import cli
from ptycho_core.base.atomic import write_json
from ptycho_core.base.config import Config
from ptycho_core.base.events import StopToken
from ptycho_core.cli.arguments import given_source
from ptycho_core.formats import READERS, read_scan
from ptycho_core.preprocessing import open_scan, preprocess
from ptycho_core.preprocessing.preview import StepsPreview
from ptycho_core.runs.command_line import JobLimits, command_line, job_script
from ptycho_core.runs.queue import QueuedRun
from ptycho_core.runs.recorded_scan import open_recorded, record_scan
from ptycho_core.scan.mapping import Coordinate, Mapping, Positions
from ptycho_core.scan.source import ScanSource
from ptycho_core.scan.steps import Crop, Every, MaskPolygon, Orient
from ptycho_gui.apply.apply_dialog import ApplyDialog
from ptycho_gui.kit.jobs.load import load
from ptycho_gui.prepare.jobs.orientation import orientation_job
from ptycho_gui.runs.queue import RunQueue
from ptycho_gui.train.jobs.train import train_job
from tests.helpers import microscope_files
from tests.helpers import scan_files as files
from tests.helpers.beamline_files import BEAMLINES
from tests.helpers.run_folders import through_json

MAPPING = Mapping("frames", Positions(Coordinate("motors", "um", 0), Coordinate("motors", "um", 1), separate_file=True))
STEPS = (Every(2), Crop(12), Orient("-y+x"), MaskPolygon("1,2 3,4.5 6,1"))


def written(folder, name):
    return ScanSource(files.write(folder, name), settings={"energy_ev": "8500"})


def mapped(folder):
    m = files.TINY
    with h5py.File(folder / "own.h5", "w") as file:
        file["frames"] = m.counts
    with h5py.File(folder / "motors.h5", "w") as file:
        file["motors"] = m.positions * m.pixel_m * 1e6
    pixel = {"object_pixel_m": str(m.pixel_m)}
    return ScanSource(folder / "own.h5", folder / "motors.h5", pixel, mapping=MAPPING)


def two_files(folder):
    files.write_ptychodus_patterns(folder / "patterns.h5")
    np.savez(folder / "product.npz", **files.product_arrays())
    return ScanSource(folder / "patterns.h5", folder / "product.npz", {"energy_ev": "8500"})


def empad(folder):
    return ScanSource(microscope_files.write_empad(folder), settings=microscope_files.ANSWERS)


def merlin(folder):
    microscope_files.write_mib(folder / "scan.mib")
    microscope_files.write_hdr(folder / "scan.hdr")
    step = {"step_m": str(microscope_files.STEP_M)}
    return ScanSource(folder / "scan.mib", settings={**microscope_files.ANSWERS, **step})


def shipped(name):
    """A file of a mapping that comes with the program."""

    def write(folder):
        beamline = BEAMLINES[name]
        path, positions = beamline.write(folder, files.TINY)
        return ScanSource(path, positions, beamline.answers)

    return write


SOURCES = {
    **{name: functools.partial(written, name=name) for name in files.WRITERS},
    "empad": empad,
    "merlin": merlin,
    "two files": two_files,
    "mapped": mapped,
    **{name: shipped(name) for name in ("dectris", "dectris-raster", "max4-nanomax (lines)", "ptychonn-npz")},
}


@pytest.fixture(scope="module", params=SOURCES)
def source(request, tmp_path_factory):
    return SOURCES[request.param](tmp_path_factory.mktemp("scan"))


def test_no_format_is_left_out():
    assert set(READERS) <= set(SOURCES)


@pytest.fixture(scope="module", params=[(), STEPS], ids=["as read", "with steps"])
def opened(request, source):
    """A scan as the window opens it."""
    return done(load(dataclasses.replace(source, steps=request.param))).scan


def done(job):
    return job(lambda event: None, StopToken())


def assert_same(one, other):
    assert (one.source, one.history) == (other.source, other.history)
    np.testing.assert_array_equal(one.patterns[:], other.patterns[:])
    np.testing.assert_array_equal(one.positions, other.positions)


def as_in_file(source):
    """The scan without steps, read by none of those that are tested."""
    return read_scan(
        source.path, positions_file=source.positions_file, settings=source.settings, mapping=source.mapping
    )


def test_the_preview(opened, source):
    outcome = StepsPreview(opened).look(opened.source.steps, len(opened.source.steps), 4, StopToken())
    before = as_in_file(source)
    assert outcome.failure == ""
    np.testing.assert_array_equal(outcome.before.pattern, before.patterns[4])
    np.testing.assert_array_equal(outcome.before.positions, before.positions)
    place = list(outcome.after.rows).index(4)
    np.testing.assert_array_equal(outcome.after.pattern, opened.patterns[place])
    np.testing.assert_array_equal(outcome.after.positions, opened.positions)


@pytest.mark.parametrize("edited", [(), (Crop(12),), STEPS], ids=["as read", "cropped", "with steps"])
def test_the_search_for_the_orientation(opened, source, edited, monkeypatch):
    searched = []
    monkeypatch.setattr(
        "ptycho_core.engines.orientation_search.search_orientation", lambda scan, **how: searched.append(scan) or []
    )
    done(orientation_job(opened, edited))
    assert_same(searched[0], preprocess(as_in_file(source), edited))


def test_the_queue(opened, qapp, tmp_path, monkeypatch):
    trained = []
    monkeypatch.setattr("ptycho_core.engines.training.train", lambda config, scan, *where, **how: trained.append(scan))
    RunQueue(path=tmp_path / "queue.json").add(QueuedRun(opened.source, {}, tmp_path / "out"))
    source = RunQueue(path=tmp_path / "queue.json").next().run.source
    done(train_job(QueuedRun(source, {}, tmp_path / "out")))
    assert_same(trained[0], opened)


def test_the_dialog_that_applies_a_checkpoint(opened, qtbot, tmp_path):
    dialog = ApplyDialog(None, opened.source, tmp_path / "applied")
    qtbot.addWidget(dialog)
    assert_same(open_scan(dialog.application().source), opened)
    dialog.reject()


def test_a_run_that_is_resumed_or_reconstructed(opened):
    recorded = through_json(record_scan(opened))
    assert_same(open_recorded(recorded), opened)
    assert_same(done(load(recorded.source)).scan, opened)


def read_by(words, source, folder):
    """The scan that `ptycho train` reads by these words, with the files beside the run that they name."""
    for path, body in source.needed_files(folder).items():
        write_json(path, body)
    program, *flags = words
    args = cli.parse(flags)
    assert (program, args.output_dir) == ("ptycho", folder)
    return open_scan(given_source(args, args.train_data_file[0], args.positions))


def test_the_copied_command_line(opened, tmp_path):
    folder = tmp_path / "out"
    command = command_line({}, opened.source, folder)
    assert_same(read_by(shlex.split(command), opened.source, folder), opened)


def test_the_job_script(opened, tmp_path):
    folder = tmp_path / "out"
    script = job_script(command_line({}, opened.source, folder), Config(), JobLimits())
    (line,) = (line for line in script.splitlines() if line.startswith("srun "))
    assert_same(read_by(shlex.split(line)[1:], opened.source, folder), opened)
