"""EMPAD and Merlin: counts, rows the right way up, raster, step; what they leave open is asked for."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from ptycho_core.base.errors import InputError, UnknownFormatError
from ptycho_core.formats import read_scan
from tests.helpers import microscope_files
from tests.helpers.microscope_files import ANSWERS, STEP_M


def assert_right(scan, size, name):
    assert scan.source.format == name
    np.testing.assert_array_equal(scan.patterns[:], microscope_files.patterns(size))
    np.testing.assert_allclose(scan.positions, microscope_files.positions_px())
    assert scan.geometry.source == "electrons"
    assert scan.geometry.energy_ev == 300e3
    assert not scan.patterns.in_memory


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("by", ["scan.xml", "scan_x4_y3.raw"])
def test_empad_opens_by_either_of_its_files(tmp_path, old, by):
    xml = microscope_files.write_empad(tmp_path, old=old)
    if by.endswith("raw"):
        xml.rename(tmp_path / "scan_x4_y3.xml")
    assert_right(read_scan(tmp_path / by, settings=ANSWERS), 128, "empad")


def test_an_empads_raw_file_opens_without_its_xml_by_the_size_in_its_name(tmp_path):
    microscope_files.write_empad(tmp_path).unlink()
    scan = read_scan(tmp_path / "scan_x4_y3.raw", settings={**ANSWERS, "step_m": str(STEP_M)})
    assert_right(scan, 128, "empad")


@pytest.mark.parametrize("kind", ["U08", "U16", "U32"])
def test_merlin_opens_with_the_raster_of_the_file_beside_it(tmp_path, kind):
    microscope_files.write_mib(tmp_path / "a.mib", kind)
    microscope_files.write_hdr(tmp_path / "a.hdr")
    scan = read_scan(tmp_path / "a.mib", settings={**ANSWERS, "step_m": str(STEP_M)})
    assert_right(scan, 32, "merlin")
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(scan.patterns))[[1, 7]], microscope_files.patterns(32)[[1, 7]]
    )


@pytest.mark.parametrize(("depth", "chips"), [(1, 1), (6, 1), (12, 1), (24, 1), (1, 4), (6, 4), (12, 4)])
def test_raw_frames_of_merlin_are_put_in_order(tmp_path, depth, chips):
    written = microscope_files.write_raw_mib(tmp_path / "a.mib", depth, chips)
    microscope_files.write_hdr(tmp_path / "a.hdr")
    scan = read_scan(
        tmp_path / "a.mib",
        settings={**ANSWERS, "step_m": str(STEP_M), "data": "counts"},
    )
    np.testing.assert_array_equal(scan.patterns[:], written)
    assert written.max() > {1: 0, 6: 40, 12: 40, 24: 4096}[depth]
    np.testing.assert_allclose(scan.positions, microscope_files.positions_px())
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(scan.patterns))[[1, 7]], written[[1, 7]])


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (b"MQ1,000001,00384,04,1024,0256,R64,   2x2,01,x,MQ1A,y,1ns,24,", "4 chips .2x2. with counters of 24 bits"),
        (b"MQ1,000001,00384,02,0512,0256,R64,   Nx1,01,x,MQ1A,y,1ns,12,", "2 chips .Nx1. with counters of 12 bits"),
        (b"MQ1,000001,00384,01,0256,0256,R64,   1x1,01,x,MQ1A,y,1ns,7,", "counters of 7 bits"),
        (b"MQ1,000001,00384,01,0030,0256,R64,   1x1,01,x,MQ1A,y,1ns,6,", "no whole words of 64 bits"),
        (b"MQ1,000001,00384,01,0256,0256,R64,   1x1,01,x,MQ1A,y,1ns,6,", "shorter than a single frame"),
        (b"MQ1,000001,00384,01,0256,0256,R64", "counters of 0 bits"),
    ],
)
def test_raw_frames_that_nobody_described_are_refused(tmp_path, head, why):
    (tmp_path / "a.mib").write_bytes(head.ljust(384, b"\0"))
    with pytest.raises(InputError, match=why):
        read_scan(tmp_path / "a.mib")


def cut(folder, length=4):
    """Cut an acquisition into files of a few frames each, as Merlin's software does; return the first."""
    microscope_files.write_mib(folder / "whole.mib")
    content = (folder / "whole.mib").read_bytes()
    stride = len(content) // 12
    (folder / "whole.mib").unlink()
    for k in range(0, 12, length):
        (folder / f"default{k // length + 1}.mib").write_bytes(content[k * stride : (k + length) * stride])
    return folder / "default1.mib"


@pytest.mark.parametrize("opened", [1, 2])
def test_an_acquisition_that_was_cut_into_several_files_is_one_scan(tmp_path, opened):
    path = cut(tmp_path).with_name(f"default{opened}.mib")
    microscope_files.write_hdr(tmp_path / "default.hdr")
    assert_right(read_scan(path, settings={**ANSWERS, "step_m": str(STEP_M)}), 32, "merlin")


@pytest.mark.parametrize(
    ("lost", "opened", "sentence"),
    [
        (1, 2, "patterns 1 to 4 of its acquisition, before those of default2.mib, are missing"),
        (2, 1, "patterns 5 to 8 of its acquisition, before those of default3.mib, are missing"),
    ],
)
def test_a_missing_file_of_an_acquisition_is_told_and_the_others_keep_their_places(tmp_path, lost, opened, sentence):
    path = cut(tmp_path).with_name(f"default{opened}.mib")
    path.with_name(f"default{lost}.mib").unlink()
    answers = {**ANSWERS, "step_m": str(STEP_M), "columns": "4"}
    with pytest.raises(InputError, match=rf"{sentence}.*missing=skip"):
        read_scan(path, settings=answers)
    scan = read_scan(path, settings={**answers, "missing": "skip"})
    kept = [k for k in range(12) if k // 4 != lost - 1]
    np.testing.assert_array_equal(scan.patterns[:], microscope_files.patterns(32)[kept])
    np.testing.assert_allclose(scan.positions, microscope_files.positions_px()[kept])


@pytest.mark.parametrize(("damaged", "opened"), [(1, 2), (2, 1)])
@pytest.mark.parametrize("told", [True, False])
def test_of_two_files_of_an_acquisition_a_damaged_one_is_named(tmp_path, damaged, opened, told):
    path = cut(tmp_path, 6).with_name(f"default{opened}.mib")
    path.with_name(f"default{damaged}.mib").write_bytes(b"MQ1,0000")
    if told:
        microscope_files.write_hdr(tmp_path / "default.hdr")
    answers = {**ANSWERS, "step_m": str(STEP_M), "columns": "4"}
    with pytest.raises(InputError, match=rf"default{damaged}\.mib beside it, .* cannot be read.*missing=skip"):
        read_scan(path, settings=answers)
    scan = read_scan(path, settings={**answers, "missing": "skip"})
    kept = slice(6 * opened - 6, 6 * opened)
    np.testing.assert_array_equal(scan.patterns[:], microscope_files.patterns(32)[kept])
    np.testing.assert_allclose(scan.positions, microscope_files.positions_px()[kept])


def test_a_count_from_0_is_no_gap(tmp_path):
    path = cut(tmp_path)
    for name, first in ((1, 0), (2, 4), (3, 8)):
        file = path.with_name(f"default{name}.mib")
        file.write_bytes(b"MQ1,%06d" % first + file.read_bytes()[10:])
    answers = {**ANSWERS, "step_m": str(STEP_M), "columns": "4"}
    assert_right(read_scan(path, settings=answers), 32, "merlin")
    path.with_name("default2.mib").unlink()
    scan = read_scan(path, settings={**answers, "missing": "skip"})
    np.testing.assert_allclose(scan.positions, microscope_files.positions_px()[[*range(4), *range(8, 12)]])


def test_files_of_other_acquisitions_are_left_alone(tmp_path):
    for number in (1, 2):
        microscope_files.write_mib(tmp_path / f"scan{number}.mib")
    (tmp_path / "scan0.mib").write_bytes(b"MQ1,0000")
    answers = {**ANSWERS, "step_m": str(STEP_M), "columns": "4"}
    assert_right(read_scan(tmp_path / "scan1.mib", settings=answers), 32, "merlin")
    cut(tmp_path, 6)
    for number in (2, 1):
        (tmp_path / f"default{number}.mib").rename(tmp_path / f"scan{number + 2}.mib")
    for opened in ("scan2", "scan3", "scan4"):
        assert_right(read_scan(tmp_path / f"{opened}.mib", settings=answers), 32, "merlin")


def test_a_count_that_goes_on_from_an_earlier_acquisition_is_no_gap_where_all_are_there(tmp_path):
    path = cut(tmp_path, 6).with_name("default2.mib")
    path.with_name("default1.mib").unlink()
    (tmp_path / "default2.hdr").write_text("Frames in Acquisition (Number):\t6\nFrames per Trigger (Number):\t3\n")
    scan = read_scan(path, settings={**ANSWERS, "step_m": str(STEP_M)})
    np.testing.assert_array_equal(scan.patterns[:], microscope_files.patterns(32)[6:])


def test_merlin_alone_asks_for_step_and_columns(tmp_path):
    microscope_files.write_mib(tmp_path / "a.mib")
    asked = (({}, "columns", "set columns"), ({"columns": "4"}, "step_m", "how far apart"))
    for answers, field, words in asked:
        with pytest.raises(InputError, match=words) as caught:
            read_scan(tmp_path / "a.mib", settings=answers)
        assert [fix.field for fix in caught.value.fixes] == [field]
    answers = {**ANSWERS, "columns": "4", "step_m": str(STEP_M)}
    assert_right(read_scan(tmp_path / "a.mib", settings=answers), 32, "merlin")


def test_lines_that_run_there_and_back_and_patterns_on_the_way_back_are_answers(tmp_path):
    microscope_files.write_mib(tmp_path / "a.mib")
    answers = {**ANSWERS, "columns": "4", "step_m": str(STEP_M)}
    step = STEP_M / microscope_files.PIXEL_M
    plain = read_scan(tmp_path / "a.mib", settings=answers)
    assert {one.key: one.value for one in plain.assumptions if one.key in ("snake", "flyback")} == {
        "snake": "no",
        "flyback": "0",
    }
    snake = read_scan(tmp_path / "a.mib", settings={**answers, "snake": "yes"})
    np.testing.assert_allclose(snake.positions[:, 1] / step, [0, 1, 2, 3, 3, 2, 1, 0, 0, 1, 2, 3], atol=1e-9)
    np.testing.assert_allclose(snake.positions[:, 0], plain.positions[:, 0])
    back = read_scan(tmp_path / "a.mib", settings={**answers, "flyback": "1"})
    kept = [k for k in range(12) if k % 4 < 3]
    np.testing.assert_array_equal(back.patterns[:], microscope_files.patterns(32)[kept])
    np.testing.assert_allclose(back.positions / step, [(k // 4, k % 4) for k in kept], atol=1e-9)
    assert "took the last 1 of the 4 patterns in a line for taken on the way back" in back.history
    both = read_scan(tmp_path / "a.mib", settings={**answers, "flyback": "1", "snake": "yes"})
    np.testing.assert_allclose(both.positions[:, 1] / step, [0, 1, 2, 2, 1, 0, 0, 1, 2], atol=1e-9)
    with pytest.raises(InputError, match="of 4 patterns in a line, 4 on the way back leave none"):
        read_scan(tmp_path / "a.mib", settings={**answers, "flyback": "4"})


def test_the_step_that_an_empad_states_gives_way_to_an_answer(tmp_path):
    scan = read_scan(
        microscope_files.write_empad(tmp_path),
        settings={**ANSWERS, "step_m": str(2 * STEP_M)},
    )
    np.testing.assert_allclose(scan.positions, 2 * microscope_files.positions_px())


@pytest.mark.parametrize("name", ["empad", "merlin"])
def test_an_acquisition_that_ended_early_is_told_and_may_be_gone_on_with(tmp_path, name):
    if name == "empad":
        path, whole, size = microscope_files.write_empad(tmp_path), tmp_path / "scan_x4_y3.raw", 128
    else:
        path = whole = tmp_path / "a.mib"
        microscope_files.write_mib(path)
        microscope_files.write_hdr(tmp_path / "a.hdr")
        size = 32
    whole.write_bytes(whole.read_bytes()[: 10 * whole.stat().st_size // 12 + 100])
    answers = {**ANSWERS, **({} if name == "empad" else {"step_m": str(STEP_M)})}
    with pytest.raises(InputError, match=r"holds 10 patterns and says that it has 12.*missing=skip"):
        read_scan(path, settings=answers)
    scan = read_scan(path, settings={**answers, "missing": "skip"})
    np.testing.assert_array_equal(scan.patterns[:], microscope_files.patterns(size)[:10])
    np.testing.assert_allclose(scan.positions, microscope_files.positions_px()[:10])


def test_files_that_are_no_frames_of_either(tmp_path):
    (tmp_path / "a.xml").write_text('<root><raw_file filename="../../etc/gone.raw"/></root>')
    with pytest.raises(InputError, match=r"names the raw file 'gone\.raw', which is missing"):
        read_scan(tmp_path / "a.xml")
    (tmp_path / "e.xml").write_text('<root><raw_file filename=""/></root>')
    with pytest.raises(InputError, match=r"e\.xml: its XML cannot be read"):
        read_scan(tmp_path / "e.xml")
    grows = '<!DOCTYPE r [<!ENTITY a "aaaa">]><root><raw_file filename="a.raw"/></root>'
    for name, text in (("b.xml", grows), ("c.xml", "<root/>"), ("d.xml", "<root")):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match="neither HDF5"):
            read_scan(tmp_path / name)
    (tmp_path / "a.mib").write_bytes(b"MQ1,000001,00384,01,0256,0256,S32," + bytes(400))
    with pytest.raises(InputError, match="pixels of the type 'S32'; only these are read: U01, U08"):
        read_scan(tmp_path / "a.mib")
    (tmp_path / "b.mib").write_bytes(b"MQ1,00")
    with pytest.raises(InputError, match=r"b\.mib: its header cannot be read"):
        read_scan(tmp_path / "b.mib")
    (tmp_path / "c.mib").write_bytes(b"MQ1,000001,00384,01,0256,0256,U16," + bytes(400))
    with pytest.raises(InputError, match="shorter than a single frame"):
        read_scan(tmp_path / "c.mib")


def test_a_step_that_is_nowhere_is_asked_for_as_a_scan_without_positions(tmp_path):
    xml = microscope_files.write_empad(tmp_path)
    xml.write_text(xml.read_text().replace("optics", "nothing"))
    with pytest.raises(UnknownFormatError, match=r"name their file, .* how far apart"):
        read_scan(xml, settings=ANSWERS)
