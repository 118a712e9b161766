"""A series of angles as a stack for tomography: phases on one grid, and what failed marked."""

from __future__ import annotations

import csv
import dataclasses
import math

import h5py
import numpy as np
import pytest

from ptycho_core import cli
from ptycho_core.base.errors import InputError
from ptycho_core.formats.writers.exports import export
from ptycho_core.quality.projection import project
from ptycho_core.runs.series import Member, read_series, write_series
from tests.helpers.reconstructions import GEOMETRY, reconstruction, tilted


def bump(height=64, width=72, peak=9.0):
    """An object whose phase rises over more than a turn, in the middle of the canvas."""
    y, x = np.indices((height, width))
    phase = peak * np.exp(-((y - 30.0) ** 2 + (x - 35.0) ** 2) / (2 * 8.0**2))
    positions = np.array([(y, x) for y in (12, 30, 48) for x in (14, 35, 56)], float)
    return phase, dataclasses.replace(
        reconstruction(),
        object=np.exp(1j * phase).astype(np.complex64),
        coverage=np.ones((height, width), np.float32),
        positions_px=positions,
        pattern_index=np.arange(9),
    )


def test_a_phase_of_more_than_a_turn_is_found_without_ramp_offset_and_jumps():
    phase, recon = bump()
    made = project(
        tilted(dataclasses.replace(recon, object=recon.object * np.exp(2j)), 0.05, -0.03), _pixel(recon), (37, 43)
    )
    truth = phase[12:49, 14:57]
    assert np.ptp(made.phase) > 2 * np.pi
    # A ramp cannot be known: but for a plane the two are alike, and the plane is slight.
    rows, columns = np.indices(truth.shape)
    planes = np.stack([np.ones(truth.size), rows.ravel(), columns.ravel()], axis=1)
    apart = (made.phase - truth).ravel()
    plane = np.linalg.lstsq(planes, apart, rcond=None)[0]
    assert np.std(apart - planes @ plane) < 0.05
    assert abs(plane[1:]).max() < 0.02
    assert np.allclose(made.amplitude, 1, atol=0.02)
    assert made.covered.all()


def _pixel(recon):
    return max(recon.pixel_size_m)


@pytest.fixture
def series(tmp_path):
    _, recon = bump()
    coarse = dataclasses.replace(recon, geometry=dataclasses.replace(GEOMETRY, distance_m=4.0))
    judged = {
        **recon.metrics,
        "free_misfit": math.nan,
        "verdict": {"level": "poor", "reasons": ["halves differ"], "actions": []},
    }
    for name, one in (("first", recon), ("second", dataclasses.replace(coarse, metrics=judged))):
        (tmp_path / name / "reconstruction").mkdir(parents=True)
        export(one, tmp_path / name / "reconstruction" / "reconstruction.npz")
    (tmp_path / "list.csv").write_text(
        "folder,angle\nfirst,0\n# lost: the shutter was closed\ngone,45.5\n\nsecond,90\n"
    )
    return tmp_path


def test_a_failed_projection_is_marked_and_the_others_share_pixels(series):
    members = read_series(series / "list.csv")
    assert [member.angle_deg for member in members] == [0, 45.5, 90]
    lines = write_series(members, series / "stack.h5")
    assert [bool(line.why) for line in lines] == [False, True, False]
    with h5py.File(series / "stack.h5") as file:
        group = file["exchange"]
        np.testing.assert_allclose(group["theta"], [0, 45.5, 90])
        assert group["failed"][:].tolist() == [False, True, False]
        assert group["verdict"].asstr()[:].tolist() == ["", "failed", "poor"]
        data, pixel = group["data"][:], group["data"].attrs["pixel_size_m"]
        amplitude, covered = group["amplitude"][:], group["covered"][:]
    _, recon = bump()
    assert pixel == pytest.approx(2 * _pixel(recon))
    assert data.shape == (3, 36, 42)
    for stack in (data, amplitude):
        assert np.isnan(stack).all(axis=(1, 2)).tolist() == [False, True, False]
        assert np.isfinite(stack[[0, 2]]).all()
    assert covered.any(axis=(1, 2)).tolist() == [True, False, True]
    # The first has half the pixel: on the common one its bump is half as wide, with the same peak.
    assert np.ptp(data[0]) == pytest.approx(9, rel=0.05)
    assert (data[0] > data[0].max() - 4.5).sum() == pytest.approx((data[2] > data[2].max() - 4.5).sum() / 4, rel=0.15)
    with open(series / "stack.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert (rows[1]["verdict"], "gone" in rows[1]["remarks"]) == ("failed", True)
    assert (rows[2]["verdict"], rows[2]["remarks"], rows[2]["free_misfit"]) == ("poor", "halves differ", "")


def test_the_command_says_what_is_thought_of_each(series, capsys):
    assert cli.main(["series", str(series / "list.csv"), str(series / "stack.h5")]) == 0
    said = capsys.readouterr().err
    assert "45.5 degrees" in said
    assert "failed: there is no " in said
    assert cli.main(["series", str(series / "list.csv"), str(series / "stack.h5")]) == 2


def test_a_run_that_was_not_reconstructed_yet_is_said_to_lack_that(series):
    run = series / "gone"
    run.mkdir()
    lines = write_series(read_series(series / "list.csv"), series / "stack.h5")
    assert lines[1].why == f"{run} holds no reconstruction: make one with: ptycho reconstruct {run}"


def test_the_table_never_takes_the_place_of_the_list(series, capsys):
    listed = (series / "list.csv").read_text()
    assert cli.main(["series", str(series / "list.csv"), str(series / "list.h5"), "--overwrite"]) == 2
    assert "would take the place of the list" in capsys.readouterr().err
    assert (series / "list.csv").read_text() == listed


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "lists no folder"),
        ("folder,angle\n", "lists no folder"),
        ("first\n", "line 1: it must be a folder, a comma, and an angle"),
        ("here,abc\nsecond,1\n", "line 1: it must be a folder, a comma, and an angle"),
        ("first,0\nsecond\n", "line 2: it must be a folder, a comma, and an angle"),
        ("first,0\nsecond,nan\n", "line 2: the angle must be a number"),
    ],
)
def test_a_list_that_is_none_is_refused_with_its_line(tmp_path, text, sentence):
    (tmp_path / "here").mkdir()
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_series(tmp_path / "list.csv")


def test_nothing_but_failures_is_refused(tmp_path):
    with pytest.raises(InputError, match="none of the 1 reconstructions can be read"):
        write_series([Member(tmp_path / "gone", 0.0)], tmp_path / "stack.h5")
