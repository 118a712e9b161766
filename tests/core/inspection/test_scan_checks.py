"""Problems of a scan that could be read: found, named, and with values that put them right."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ptycho_core.formats import read_scan
from ptycho_core.inspection.scan_checks import check_overlap, check_scan, median_step_px, stray_rows
from ptycho_core.preprocessing import open_scan, preprocess
from ptycho_core.scan.scan import Geometry, Patterns, Scan
from ptycho_core.scan.settings import Assumption
from ptycho_core.scan.steps import Region
from ptycho_core.scan.steps_json import step_from_text
from tests.helpers import scan_files as files


def scan(**changes):
    fields = {"patterns": Patterns(files.counts()), "positions": files.positions(), "probe": files.probe()[None]}
    return Scan(**{**fields, **changes})


def only_problem(subject):
    problems = check_scan(subject)
    assert len(problems) == 1, problems
    return problems[0]


def test_a_good_scan_has_no_problems():
    assert check_scan(scan()) == []


def test_the_real_scan_has_no_problems(real_scan_path):
    assert check_scan(read_scan(real_scan_path)) == []


def test_empty_patterns_are_listed():
    counts = files.counts()
    counts[[2, 9]] = 0
    problem = only_problem(scan(patterns=Patterns(counts)))
    assert (problem.field, problem.severity) == ("patterns", "warning")
    assert "2 patterns hold nothing but zeros: 2, 9" in problem.message


def test_a_scan_of_zeros_cannot_run():
    assert only_problem(scan(patterns=Patterns(np.zeros((12, 16, 16))))).severity == "error"


def test_identical_positions_cannot_run():
    problem = only_problem(scan(positions=np.full((12, 2), 1e4)))
    assert problem.severity == "error"
    assert "identical" in problem.message


def test_positions_on_a_line_are_warned_of():
    problem = only_problem(scan(positions=np.outer(np.arange(12), [3.0, 4.0]) + 1e3))
    assert problem.severity == "warning"
    assert "one line" in problem.message


def test_repeated_positions_do_not_make_the_step_zero():
    assert median_step_px(np.repeat(files.positions(), 3, axis=0)) == median_step_px(files.positions())


@pytest.mark.parametrize(("factor", "unit"), [(1e-9, "m"), (1e-3, "um"), (1e-6, "mm")])
def test_implausible_step_names_the_unit_that_would_fit(factor, unit):
    """Object pixels of 1 nm: positions stored in metres, micrometres or millimetres but read as pixels."""
    geometry = Geometry(object_pixel_m=(1e-9, 1e-9))
    problem = only_problem(scan(positions=files.positions() * factor, geometry=geometry))
    assert problem.severity == "error"
    assert unit in [fix.value for fix in problem.fixes]
    assert all(fix.field == "position_unit" for fix in problem.fixes)


@pytest.mark.parametrize(
    ("stated", "right"),
    [
        ({"energy_ev": 1.55}, {"energy_ev": "7998.98"}),  # a wavelength in angstrom
        ({"energy_ev": 30e3}, {"source": "electrons"}),
        ({"distance_m": 0.02}, {"distance_m": "2"}),
    ],
)
def test_a_slip_of_what_gives_the_pixel_size_is_offered_where_steps_are_not_usual(stated, right):
    """Positions right in metres: a plausible, wrong number makes steps of less than a pixel, or views apart."""
    geometry = Geometry(**{"energy_ev": 8e3, "distance_m": 2.0, "detector_pixel_m": (75e-6, 75e-6), **stated})
    answer = {key: value if key == "source" else float(value) for key, value in right.items()}
    meant = dataclasses.replace(geometry, **answer)
    pixel = geometry.pixel_size_m(16)[0] / meant.pixel_size_m(16)[0]
    told = Assumption("position_unit", "m", (), "")
    odd = scan(positions=files.positions() / pixel, geometry=geometry, assumptions=(told,))
    step = median_step_px(odd.positions)
    problems = [*check_scan(odd, step_px=step), *check_overlap(odd, step, files.probe()[None])]
    fixes = {fix.field: fix.value for problem in problems for fix in problem.fixes if fix.field in right}
    assert fixes == right


def test_metres_that_were_micrometres_are_found_through_the_assumption():
    told = Assumption("position_unit", "m", (), "")
    geometry = Geometry(object_pixel_m=(20e-9, 20e-9))
    problem = only_problem(scan(positions=files.positions() * 1e6, geometry=geometry, assumptions=(told,)))
    assert "um" in [fix.value for fix in problem.fixes]
    assert "nothing overlaps" in problem.message


def test_the_unit_that_is_offered_puts_it_right(tmp_path):
    arrays = {**files.plain_arrays(), "positions": files.positions() * 20e-9}
    path = files.npz(tmp_path / "a.npz", **arrays)
    fixes = only_problem(read_scan(path, settings={"object_pixel_m": "20e-9"})).fixes
    assert [fix.value for fix in fixes] == ["m"]
    assert check_scan(read_scan(path, settings={"object_pixel_m": "20e-9", fixes[0].field: fixes[0].value})) == []


def test_probe_of_another_size_offers_settings_that_put_it_right(tmp_path):
    arrays = {**files.plain_arrays(), "probe": files.probe(24)}
    path = files.npz(tmp_path / "a.npz", **arrays)
    problem = only_problem(read_scan(path))
    assert "24 x 24 pixels, the patterns are 16 x 16" in problem.message
    assert [fix.value for fix in problem.fixes] == ["crop", "resample", "ignore"]
    for fix in problem.fixes:
        left = check_scan(read_scan(path, settings={fix.field: fix.value}))
        assert [p.severity for p in left] == (["warning"] if fix.value == "ignore" else [])


def test_a_scan_without_a_probe_says_that_one_is_guessed():
    problem = only_problem(scan(probe=None))
    assert problem.severity == "warning"
    assert "guess" in problem.message


def test_a_probe_for_each_pattern_is_no_set_of_modes_and_may_be_left_out(tmp_path):
    probes = np.repeat(files.probe()[None], 40, axis=0)
    path = files.npz(tmp_path / "a.npz", patterns=files.counts(40), positions=files.positions(40), probe=probes)
    (told,) = [one for one in check_scan(read_scan(path)) if one.field == "probe"]
    assert "40 modes, one for each pattern" in told.message
    assert read_scan(path, settings={fix.field: str(fix.value) for fix in told.fixes}).probe is None
    assert check_scan(scan(probe=probes[:8])) == []


def test_probe_of_zeros_offers_a_guess():
    problem = only_problem(scan(probe=np.zeros((1, 16, 16), np.complex64)))
    assert problem.fixes[0].value == "ignore"


def test_mask_of_nearly_all_pixels_looks_inverted():
    mask = np.zeros((16, 16), bool)
    mask[6:10, 6:10] = True
    assert "inverted" in only_problem(scan(mask=mask)).message


def test_energy_in_kiloelectronvolt_is_found():
    problem = only_problem(scan(geometry=Geometry(energy_ev=8.3)))
    assert problem.fixes[0].value == "8300"


def test_positions_far_from_all_others_are_left_out_by_the_region_that_is_offered():
    positions = files.positions(40) + np.array([96787.0, 24777.0])
    positions[[12, 30]], positions[35:] = 0, 0
    subject = scan(patterns=Patterns(files.counts(40)), positions=positions)
    problem = only_problem(subject)
    assert "7 positions lie far from all others: 12, 30, 35, 36" in problem.message
    step = step_from_text(Region, problem.fixes[0].value)
    kept = preprocess(subject, [step])
    np.testing.assert_array_equal(kept.positions, np.delete(positions, [12, 30, 35, 36, 37, 38, 39], axis=0))
    assert check_scan(kept) == []


def test_two_halves_of_a_scan_are_not_astray():
    positions = files.positions(40)
    positions[20:] += 1e4
    assert len(stray_rows(positions, 5.0, 16)) == 0


def test_a_place_that_comes_again_is_told_unless_all_of_them_do():
    positions = files.positions(40)
    positions[31:] = positions[30]
    problem = only_problem(scan(patterns=Patterns(files.counts(40)), positions=positions))
    assert "9 positions repeat an earlier one exactly: 31, 32" in problem.message
    assert problem.fixes[0].field == "--drop-duplicates"
    twice = np.repeat(files.positions(20), 2, axis=0)
    assert check_scan(scan(patterns=Patterns(files.counts(40)), positions=twice)) == []


def test_views_that_do_not_overlap_are_told_with_the_likely_causes():
    disc = (np.hypot(*(np.indices((16, 16)) - 8)) < 3).astype(np.complex64)[None]
    problem = check_overlap(scan(), step=5.5, probe=disc)[0]
    assert problem.severity == "warning"
    assert all(cause in problem.message for cause in ("near field", "another unit", "the probe is another"))
    assert check_overlap(scan(), step=4.0, probe=disc) == []
    assert [one.field for one in check_overlap(scan(), step=5.5, probe=disc[:, :, 2:13])] == ["overlap"]  # not square
    skirts = disc + 0.15  # half of the light far around: views share that
    assert check_overlap(scan(), step=7.0, probe=skirts.astype(np.complex64)) == []


def test_places_that_come_again_at_zero_are_left_out_with_the_first(tmp_path):
    positions = files.positions(40) - 20
    positions[[7, 23]] = 0
    arrays = {"patterns": files.counts(40), "positions": positions, "probe": files.probe()}
    unread = read_scan(files.npz(tmp_path / "a.npz", **arrays))
    problem = only_problem(unread)
    done = open_scan(unread.source.fixed(problem.fixes[0]))
    assert "2 lie at (0, 0)" in problem.message
    np.testing.assert_array_equal(done.positions, np.delete(positions, [7, 23], axis=0))
    np.testing.assert_array_equal(done.patterns[:], np.delete(files.counts(40), [7, 23], axis=0))
