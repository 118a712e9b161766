"""The page for the logbook."""

from __future__ import annotations

import dataclasses
import itertools
from functools import cache

import numpy as np
import pytest
from PIL import Image

from ptycho_core.cli import main
from ptycho_core.formats.writers.exports import export
from ptycho_core.formats.writers.page import HEIGHT, MARGIN, WIDTH, draw_page
from ptycho_core.runs.note import Note, write_note
from ptycho_core.scan.scan import Geometry
from tests.helpers.reconstructions import reconstruction

LONG = {
    "date": "2026-11-27T12:00:00+00:00",
    "run": "a_name_without_a_break_" * 12,
    "checkpoint": "/data/" + "folder/" * 60 + "best.ckpt",
    "final_pass": "all 225 patterns, 8 epochs; scores are from before it",
    "half_scans_reason": "fewer than 20 patterns are in each half of the scan, which tells nothing of it",
    "verdict": {"level": "poor", "reasons": ["patterns are missed by 33% beyond photon noise"] * 6, "actions": []},
}


def modes(count):
    probe = reconstruction().probe[:1]
    return np.concatenate([probe / n for n in range(1, count + 1)]).astype(np.complex64)


CASES = {
    "plain": reconstruction(name="star", config={"engine": "direct", "max_epochs": 7}),
    "nothing known": reconstruction(metrics={}, geometry=Geometry(), config={"a_knob_of_old": 3}),
    "long texts": reconstruction(
        name="n" * 200, sample="costs $5 or $6 " * 9, comments="a word " * 700, metrics=LONG, config={"preset": "best"}
    ),
    "wide": reconstruction(
        object=reconstruction().object[60:90], coverage=reconstruction().coverage[60:90], probe=modes(2)
    ),
    "tall": reconstruction(
        object=reconstruction().object[:, 60:80], coverage=reconstruction().coverage[:, 60:80], probe=modes(6)
    ),
}


def words_of(figure):
    return " ".join(text.get_text() for text in figure.texts)


@cache
def page(case):
    return draw_page(CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_nothing_on_the_page_is_cut_off_and_no_two_things_overlap(case):
    figure = page(case)
    figure.draw_without_rendering()
    scale = 72 / figure.dpi
    boxes = [text.get_window_extent() for text in figure.texts if text.get_text()]
    boxes += [axes.get_window_extent() for axes in figure.axes]
    for box in boxes:
        assert MARGIN / 2 < scale * box.x0 <= scale * box.x1 < WIDTH - MARGIN / 2
        assert MARGIN / 2 < scale * box.y0 <= scale * box.y1 < HEIGHT - MARGIN / 2
    for one, other in itertools.combinations(boxes, 2):
        width, height = min(one.x1, other.x1) - max(one.x0, other.x0), min(one.y1, other.y1) - max(one.y0, other.y0)
        assert min(width, height) * scale < 2, (one, other)  # letters reach a little beyond their line


def test_the_page_says_what_the_picture_is_and_which_settings_are_not_as_by_default():
    words = words_of(page("plain"))
    for told in ("star", "1.0913", "direct", "Object pixel", "176 nm", "max_epochs 7", "8 keV"):
        assert told in words
    assert "prior" not in words
    assert "Settings" not in words_of(page("nothing known"))


def test_a_comment_that_is_too_long_is_cut_with_a_word_about_the_rest():
    assert "…  (the rest is in the run's folder)" in words_of(page("long texts"))
    assert "the rest" not in words_of(page("plain"))


def test_the_command_writes_the_page_with_the_note_as_it_is_now(tmp_path):
    export(dataclasses.replace(reconstruction(), comments="of old"), tmp_path / "out/reconstruction", "npz")
    write_note(tmp_path / "out", Note("Ni foil", "sharp at last"))
    assert main(["export", str(tmp_path / "out"), str(tmp_path / "pages"), "--format", "page"]) == 0
    assert (tmp_path / "pages/page.pdf").read_bytes().startswith(b"%PDF")
    with Image.open(tmp_path / "pages/page.png") as image:
        assert image.size == (1652, 2338)  # A4
        assert (image.text["Sample"], image.text["Comment"]) == ("Ni foil", "sharp at last")
    assert main(["export", str(tmp_path / "out"), str(tmp_path / "star.png"), "--format", "page"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "pages", "star.png"]
