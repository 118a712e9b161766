"""Answers are asked for before the file's own value is judged: each works where what is stored cannot be used."""

from __future__ import annotations

import pickle

import h5py
import numpy as np
import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.formats import read_scan
from ptycho_core.inspection.scan_checks import check_scan
from ptycho_core.scan.source import ScanSource
from tests.helpers import scan_files as files

M = files.TINY
DETECTOR, SOURCE = "entry_1/instrument_1/detector_1", "entry_1/instrument_1/source_1"


def edited(folder, name, **values):
    """A good file with other values at some keys; None takes one away, (value, unit) has a unit."""
    path = files.write(folder, name)
    with h5py.File(path, "a") as file:
        for key, value in values.items():
            if key in file:
                del file[key]
            if value is not None:
                number, unit = value if isinstance(value, tuple) else (value, None)
                file[key] = number
                if unit is not None:
                    file[key].attrs["units"] = unit
    return path


def follow(path, fixes, answers):
    """Read a file with what its error offers, where a number is asked for with that of the ``answers``."""
    assert fixes
    for fix in fixes:
        value = answers.get(fix.field) if fix.value is None else fix.value
        yield fix, read_scan(path, settings={fix.field: value})


BEAM = {"energy_ev": "8000", "distance_m": "2", "detector_pixel_m": "75e-6"}
UNUSABLE = [
    ("nexus", "entry_1/instrument_1/beam_1/incident_beam_energy", (8.0, "parsec"), "energy_ev"),
    ("nexus", "entry_1/instrument_1/beam_1/incident_beam_energy", (np.linspace(7, 9, 12), "keV"), "energy_ev"),
    ("nexus", f"{DETECTOR}/distance", (np.nan, "m"), "distance_m"),
    ("nexus", f"{DETECTOR}/x_pixel_size", (75.0, "furlong"), "detector_pixel_m"),
    ("cxi", f"{DETECTOR}/distance", -1.0, "distance_m"),
    ("cxi", f"{SOURCE}/energy", "eight", "energy_ev"),
    ("nsls2", "z_m", 0.0, "distance_m"),
    ("nsls2", "lambda_nm", np.nan, "energy_ev"),
    ("nsls2", "ccd_pixel_um", np.array([1.0, 2.0, 9.0]), "detector_pixel_m"),
    ("ptypy", "meta/energy", np.nan, "energy_ev"),
    ("ptypy", "meta/distance", np.array([1.0, 2.0]), "distance_m"),
]


@pytest.mark.parametrize(("name", "key", "value", "setting"), UNUSABLE)
def test_a_number_that_cannot_be_used_is_said_by_the_operator(tmp_path, name, key, value, setting):
    path = edited(tmp_path, name, **{key: value})
    with pytest.raises(InputError, match=setting) as caught:
        read_scan(path)
    for fix, scan in follow(path, caught.value.fixes, BEAM):
        assert fix.field == setting
        np.testing.assert_allclose(scan.positions, M.positions, atol=1e-3)


@pytest.mark.parametrize("name", ["cxi", "nexus"])
def test_a_unit_that_nobody_knows_is_said_by_the_operator(tmp_path, name):
    path = files.write(tmp_path, name)
    with h5py.File(path, "a") as file:
        if name == "cxi":
            file["entry_1/sample_1/geometry_1/translation"].attrs["units"] = "cubit"
        else:
            for axis in "xy":
                file[f"entry_1/sample_1/transformations/{axis}"].attrs["units"] = "cubit"
    with pytest.raises(InputError, match=r"'cubit'.* position_unit") as caught:
        read_scan(path)
    unit = {"cxi": "m", "nexus": "um"}[name]
    assert ("position_unit", unit) in [(fix.field, fix.value) for fix in caught.value.fixes]
    scan = read_scan(path, settings={"position_unit": unit})
    np.testing.assert_allclose(scan.positions, M.positions, atol=1e-6)


@pytest.mark.parametrize(
    "unit", ["millimeters", "millimetres", "mm", np.bytes_("mm"), np.array(["mm"] * 3, dtype="S2")]
)
@pytest.mark.parametrize("attribute", ["units", "unit", "Units"])
def test_a_unit_is_known_in_any_spelling_and_wrapping(tmp_path, unit, attribute):
    path = files.write(tmp_path, "cxi")
    with h5py.File(path, "a") as file:
        where = file["entry_1/sample_1/geometry_1/translation"]
        where[...] = where[...] * 1e3
        where.attrs[attribute] = unit
    np.testing.assert_allclose(read_scan(path).positions, M.positions, atol=1e-6)


@pytest.mark.parametrize("unit", [np.bytes_("µm".encode("latin-1")), np.bytes_("µm".encode()), "micrometers", "[um]"])
def test_micrometres_are_known_in_any_encoding(tmp_path, unit):
    path = files.write(tmp_path, "cxi")
    with h5py.File(path, "a") as file:
        where = file["entry_1/sample_1/geometry_1/translation"]
        where[...] = where[...] * 1e6
        where.attrs["units"] = unit
    np.testing.assert_allclose(read_scan(path).positions, M.positions, atol=1e-6)


def test_a_guessed_unit_of_the_energy_is_an_open_question(tmp_path):
    path = edited(tmp_path, "nexus", **{"entry_1/instrument_1/beam_1/incident_beam_energy": 8.0})
    (asked,) = [one for one in read_scan(path).assumptions if one.key == "energy_ev"]
    assert float(asked.value) == 8000
    assert "no unit" in asked.reason


@pytest.mark.parametrize(
    ("key", "value", "answer"),
    [
        (f"{DETECTOR}/data_dark", "none", {"dark": "ignore"}),
        (f"{DETECTOR}/data_dark", np.zeros((3, 4)), {"dark": "ignore"}),
        (f"{SOURCE}/illumination", "none", {"probe": "ignore"}),
        (f"{SOURCE}/illumination", np.zeros(5, np.complex64), {"probe": "ignore"}),
        (f"{SOURCE}/illumination", np.full((16, 16), np.nan, np.complex64), {"probe": "ignore"}),
        (f"{DETECTOR}/mask", np.full((16, 16), 0.5), {"mask": "ignore"}),
        (f"{DETECTOR}/mask", np.eye(8, dtype=int), {"mask": "ignore"}),
        (f"{DETECTOR}/mask", np.zeros((2, 3, 16, 16), int), {"mask": "ignore"}),
    ],
)
def test_what_cannot_be_used_can_be_left_out(tmp_path, key, value, answer):
    path = edited(tmp_path, "cxi", **{key: value})
    ((setting, word),) = answer.items()
    with pytest.raises(InputError, match=f"{setting}={word}") as caught:
        read_scan(path)
    assert (setting, word) in [(fix.field, fix.value) for fix in caught.value.fixes]
    scan = read_scan(path, settings=answer)
    np.testing.assert_array_equal(scan.patterns[:], M.counts)


BAD = np.zeros((16, 16), np.uint32)
BAD[4, 7] = BAD[9, 2] = 1


@pytest.mark.parametrize(
    "mask",
    [BAD, BAD[None], BAD[None, None], BAD[..., None], BAD.astype(float), BAD.astype(np.int8), np.where(BAD, np.nan, 0)],
)
@pytest.mark.parametrize("name", ["cxi", "nexus"])
def test_a_mask_is_one_in_any_type_and_with_axes_of_length_one(tmp_path, name, mask):
    key = f"{DETECTOR}/{'mask' if name == 'cxi' else 'pixel_mask'}"
    scan = read_scan(edited(tmp_path, name, **{key: mask}))
    np.testing.assert_array_equal(scan.mask, BAD == 0)


def test_a_mask_with_true_for_good_is_inverted_by_the_button_beside_it(tmp_path):
    path = edited(tmp_path, "cxi", **{f"{DETECTOR}/mask": BAD == 0})
    (problem,) = [one for one in check_scan(read_scan(path)) if one.field == "mask"]
    assert [(fix.field, fix.value) for fix in problem.fixes] == [
        ("mask", word) for word in ("invert", "ignore", "file")
    ]
    assert problem.severity == "error"
    source = ScanSource(path).fixed(problem.fixes[0])
    np.testing.assert_array_equal(read_scan(path, settings=source.settings).mask, BAD == 0)
    meant = [one for one in check_scan(read_scan(path, settings={"mask": "file"})) if one.field == "mask"]
    assert [one.severity for one in meant] == ["warning"]


@pytest.mark.parametrize("name", ["plain-npz", "ptychopinn-npz", "fold-slice"])
def test_a_mask_of_a_format_that_has_no_key_for_one_is_taken_by_its_name(tmp_path, name):
    good = BAD == 0
    for key, mask in (("mask", BAD), ("mask", good), ("good_pixels", good.astype(np.uint8)), ("bad_pixels", BAD)):
        path = files.write(tmp_path, name)
        if name in files.HDF5:
            with h5py.File(path, "a") as file:
                file[key] = mask
        else:
            with np.load(path) as stored:
                arrays = {**stored, key: mask}
            with path.open("wb") as file:
                np.savez(file, **arrays)
        np.testing.assert_array_equal(read_scan(path).mask, good)
    assert read_scan(path, settings={"mask": "ignore"}).mask is None


def faults_of_single_patterns(folder, part, n=64):
    measured = files.Measurement(files.counts(n), files.positions(n), files.probe(), columns=8)
    path = files.write(folder, "cxi", measured)
    masks = (np.random.default_rng(0).random((n, 16, 16)) < part).astype(np.uint8)
    masks[:, 3, 3] = 1
    with h5py.File(path, "a") as file:
        del file[f"{DETECTOR}/mask"]
        file[f"{DETECTOR}/mask"] = masks
    return path, masks


def fewer_masks_than_patterns(folder, part):
    path, masks = faults_of_single_patterns(folder, part)
    with h5py.File(path, "a") as file:
        del file[f"{DETECTOR}/mask"]
        file[f"{DETECTOR}/mask"] = masks[1:]
    return path, masks[1:]


def test_masks_of_single_patterns_take_a_pixel_from_these_alone(tmp_path):
    path, masks = faults_of_single_patterns(tmp_path, 0.01)
    scan = read_scan(path)
    np.testing.assert_array_equal(scan.mask[:], masks == 0)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(scan)).mask[:], masks == 0)
    assert f"took a mask for each pattern, with {masks.mean():.2%} of the pixels bad" in scan.history
    assert [one.message for one in check_scan(scan) if one.field == "mask"] == []
    np.testing.assert_array_equal(read_scan(path, settings={"mask": "invert"}).mask[:], masks == 1)
    assert read_scan(path, settings={"mask": "ignore"}).mask is None
    common = read_scan(path, settings={"mask": "common"})
    assert np.argwhere(~common.mask).tolist() == [[3, 3]]


def test_masks_that_are_all_alike_are_one(tmp_path):
    path = edited(tmp_path, "cxi", **{f"{DETECTOR}/mask": np.repeat(BAD[None], len(M.counts), axis=0)})
    np.testing.assert_array_equal(read_scan(path).mask, BAD == 0)


def test_masks_of_most_pixels_of_each_pattern_are_inverted_by_the_button_beside_it(tmp_path):
    path, masks = faults_of_single_patterns(tmp_path, 0.98)
    (problem,) = [one for one in check_scan(read_scan(path)) if one.field == "mask"]
    assert ("mask", "invert") in [(fix.field, fix.value) for fix in problem.fixes]
    np.testing.assert_array_equal(read_scan(path, settings={"mask": "invert"}).mask[:], masks == 1)


def test_masks_that_belong_to_no_pattern_and_take_many_pixels_say_so(tmp_path):
    path, masks = fewer_masks_than_patterns(tmp_path, 0.01)
    scan = read_scan(path)
    np.testing.assert_array_equal(scan.mask, ~masks.any(axis=0))
    (problem,) = [one for one in check_scan(scan) if one.field == "mask"]
    assert f"{masks.any(axis=0).mean():.0%} of the pixels, where a mask has {masks.mean():.1%}" in problem.message
    taken = read_scan(path, settings={"mask": "file"})
    assert [one.message for one in check_scan(taken) if one.field == "mask"] == []
    common = read_scan(path, settings={"mask": "common"})
    assert np.argwhere(~common.mask).tolist() == [[3, 3]]


def test_masks_that_leave_no_pixel_together_are_not_called_inverted(tmp_path):
    path, _ = fewer_masks_than_patterns(tmp_path, 0.2)
    with pytest.raises(InputError, match="bad in one of the 63 masks is left out of all patterns: 100%") as caught:
        read_scan(path)
    for _, scan in follow(path, caught.value.fixes, {}):
        assert len(scan) == 64


@pytest.mark.parametrize("name", files.WRITERS)
def test_patterns_without_a_position_are_left_out_if_the_operator_says_so(tmp_path, name):
    positions = M.positions.copy()
    positions[5] = np.nan
    path = files.write(tmp_path, name, files.Measurement(M.counts, positions, M.probe, M.columns))
    with pytest.raises(InputError, match="bad_positions=drop") as caught:
        read_scan(path)
    assert "the first at index 5" in str(caught.value) or name == "ptypy"  # whose chunks have indexes of their own
    for _, scan in follow(path, caught.value.fixes, {}):
        np.testing.assert_allclose(scan.patterns[:], np.delete(M.counts, 5, axis=0), atol=1e-3)
        kept = np.delete(M.positions, 5, axis=0)  # some formats count from the middle of the object
        np.testing.assert_allclose(scan.positions - scan.positions[0], kept - kept[0], atol=1e-6)


@pytest.mark.parametrize("value", [9.96921e36, 1e17, np.inf])
def test_positions_beyond_all_scans_are_left_out_if_the_operator_says_so(tmp_path, value):
    positions = M.positions.copy()
    positions[5] = value
    path = files.npz(tmp_path / "a.npz", **{**files.plain_arrays(), "positions": positions})
    with pytest.raises(InputError, match="bad_positions=drop") as caught:
        read_scan(path)
    for _, scan in follow(path, caught.value.fixes, {}):
        np.testing.assert_array_equal(scan.patterns[:], np.delete(M.counts, 5, axis=0))
        np.testing.assert_allclose(scan.positions, np.delete(M.positions, 5, axis=0))


def test_an_answer_to_a_fault_that_has_been_mended_still_holds(tmp_path):
    path = files.npz(tmp_path / "a.npz", **files.plain_arrays())
    scan = read_scan(path, settings={"missing": "skip", "bad_positions": "drop"})
    np.testing.assert_array_equal(scan.patterns[:], M.counts)
    assert any("missing=skip" in note and "was not needed" in note for note in scan.history)
    with pytest.raises(InputError, match="angle does not apply"):
        read_scan(path, settings={"missing": "skip", "angle": "ignore"})


@pytest.mark.parametrize("vectors", [np.zeros((2, 3)), np.full((2, 3), np.nan), "none"])
@pytest.mark.parametrize("name", ["cxi", "nexus"])
def test_axes_of_a_detector_that_cannot_be_used_are_said_by_the_operator(tmp_path, name, vectors):
    path = edited(tmp_path, name, **{f"{DETECTOR}/basis_vectors": vectors})
    with pytest.raises(InputError, match="set orientation") as caught:
        read_scan(path)
    for _, scan in follow(path, caught.value.fixes, {}):
        np.testing.assert_allclose(scan.positions, M.positions, atol=1e-6)


PROBE = np.stack([files.probe(), 0.3 * files.probe().T, 0.1 * files.probe()])


@pytest.mark.parametrize(
    ("stored", "modes"),
    [
        (np.moveaxis(PROBE, 0, -1), PROBE),
        (PROBE, PROBE),
        (np.stack([PROBE[0].real, PROBE[0].imag], axis=-1), PROBE[:1]),
        (np.stack([PROBE[0].real, PROBE[0].imag]), PROBE[:1]),
        (np.stack([PROBE.real, PROBE.imag], axis=-1), PROBE),
        (PROBE[0][..., None], PROBE[:1]),
        (np.stack([PROBE.real, PROBE.imag]), PROBE),
        (np.stack([PROBE.real, PROBE.imag], axis=1), PROBE),
        (np.stack([PROBE.real, PROBE.imag]).transpose(0, 2, 3, 1), PROBE),
        (PROBE.view([("re", "f4"), ("im", "f4")]), PROBE),
    ],
    ids=[
        "modes last",
        "modes first",
        "parts last",
        "parts first",
        "modes first, parts last",
        "one mode last",
        "parts first, then modes",
        "modes first, then parts",
        "parts first, modes last",
        "a compound type",
    ],
)
def test_the_axes_of_a_probe_are_known_by_the_size_of_the_patterns(tmp_path, stored, modes):
    path = files.npz(tmp_path / "a.npz", **{**files.plain_arrays(), "probe": stored})
    np.testing.assert_allclose(read_scan(path).probe, modes, rtol=1e-6)


def test_a_scan_of_whose_patterns_none_has_a_position_is_refused(tmp_path):
    arrays = {**files.plain_arrays(), "positions": np.full((files.N_PATTERNS, 2), np.nan)}
    path = files.npz(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match="no pattern has a position"):
        read_scan(path, settings={"bad_positions": "drop"})
