"""What is true of every preprocessing step: recorded, lazy, refused in a sentence, sketched on a large scan."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.preprocessing import _EFFECTS, preprocess
from ptycho_core.preprocessing.sketch import sketch
from ptycho_core.scan import survey
from ptycho_core.scan.scan import Geometry
from ptycho_core.scan.steps import (
    STEPS,
    Bin,
    Centre,
    Crop,
    Dark,
    DeadPixels,
    DropBright,
    DropDead,
    DropDuplicates,
    DropPatterns,
    DropRepeated,
    Every,
    HotPixels,
    MaskBrush,
    MaskFile,
    MaskPolygon,
    MaskRectangle,
    MaskThreshold,
    Monitor,
    Orient,
    OrientPositions,
    Pad,
    Pedestal,
    Photons,
    Region,
    Saturation,
    Scale,
    TurnPositions,
)
from tests.helpers.small_scans import COUNTS, probe, save, scan


class Recorded:
    """A source that remembers how many patterns were read."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.n_read = array, array.shape, array.dtype, 0

    def __getitem__(self, index):
        batch = self.array[index]
        self.n_read += len(batch)
        return batch


def all_steps(folder):
    return [
        Photons(),
        Photons(),
        Dark(save(folder, np.ones((16, 16), np.float32), "dark.npy")),
        Monitor(save(folder, np.linspace(1, 2, 12), "monitor.npy")),
        Pedestal(0.5),
        Scale(2.0),
        MaskFile(save(folder, np.eye(16) == 0, "mask.npy")),
        MaskRectangle(0, 0, 1, 2),
        MaskPolygon("4,4 4,7 7,4"),
        MaskBrush("1,1", 1),
        MaskThreshold(above=1000),
        Saturation(1000),
        HotPixels(),
        DeadPixels(),
        Centre("given", 9, 8),
        Orient("+x-y"),
        Pad(24),
        Crop(20),
        Bin(2),
        OrientPositions("-y+x"),
        TurnPositions(5, 2),
        Region(-1e3, -1e3, 1e3, 1e3),
        Every(2, 1),
        DropDead(),
        DropBright(),
        DropRepeated(),
        DropDuplicates(),
        DropPatterns("0"),
    ]


def test_every_kind_of_step_has_an_effect():
    assert set(_EFFECTS) == set(STEPS.values())


def test_each_step_is_recorded_and_adds_one_sentence_to_the_history(tmp_path):
    steps = all_steps(tmp_path)
    assert {type(step) for step in steps} == set(STEPS.values())
    done = preprocess(scan(probe=probe()), steps)
    assert done.source.steps == tuple(steps)
    assert len(done.history) == len(steps)
    assert preprocess(done, [Crop(8)]).source.steps == (*steps, Crop(8))


def test_preprocessed_scans_pickle_and_read_the_same_in_any_batch(tmp_path):
    done = preprocess(scan(), all_steps(tmp_path))
    again = pickle.loads(pickle.dumps(done))
    assert again.source.steps == done.source.steps
    whole = done.patterns[:]
    assert whole.dtype == np.float32
    assert whole.flags.c_contiguous
    for batch in ([3, 0, 3], slice(1, 4), 2, np.array([], int)):
        np.testing.assert_array_equal(again.patterns[batch], whole[batch])


def test_steps_read_only_the_patterns_that_are_asked_for(tmp_path):
    source = Recorded(COUNTS)
    masks = (MaskThreshold, Saturation, HotPixels, DeadPixels)
    looking = (Photons, *masks, Centre, Crop, Bin, DropDead, DropBright, DropRepeated)
    lazy = [step for step in all_steps(tmp_path) if type(step) not in looking]
    done = preprocess(scan(source), lazy)
    assert source.n_read == 0
    done.patterns[[1, 2]]
    assert source.n_read == 2


def test_finding_a_centre_looks_at_a_bounded_number_of_patterns():
    source = Recorded(np.broadcast_to(COUNTS[0], (5000, 16, 16)))
    preprocess(scan(source, positions=np.zeros((5000, 2))), [Centre()])
    assert 0 < source.n_read <= 256


WRONG = {
    "drop_patterns: places must be below the number of patterns, 12": [DropPatterns("3 12")],
    "drop_patterns: no pattern would be left": [DropPatterns(" ".join(map(str, range(12))))],
    "crop: size must be at most the patterns' 16": [Crop(20)],
    "pad: size must be at least the patterns' 16": [Pad(8)],
    "do not divide into 8 blocks or more of 3; take a smaller factor": [Bin(3)],
    "y and x must be from 0 to 15": [Centre("given", 16, 0)],
    "leaves no good one": [MaskRectangle(0, 0, 16, 16)],
    "bin: no good pixel would be left": [MaskThreshold(above=19.9, below=19.8), Bin(2)],
    "no position lies there; y goes from": [Region(100, 100, 200, 200)],
    "start must be below the number of patterns, 12": [Every(2, 12)],
}


@pytest.mark.parametrize("sentence", WRONG)
def test_what_cannot_be_done_with_a_scan_is_one_sentence(sentence):
    with pytest.raises(InputError, match=sentence.replace("(", r"\(")):
        preprocess(scan(), WRONG[sentence])


def test_micrometres_without_a_pixel_size_and_probes_of_another_size_are_refused():
    with pytest.raises(InputError, match="unit um needs the object pixel size"):
        preprocess(scan(geometry=Geometry()), [Region(0, 0, 1, 1, "um")])
    for step in (Crop(8), Bin(2), Orient("-y+x")):
        with pytest.raises(InputError, match="the probe is 8 x 8 pixels and the patterns are 16 x 16"):
            preprocess(scan(probe=probe(8)), [step])
    with pytest.raises(InputError, match="nothing but zeros"):
        preprocess(scan(np.zeros((3, 16, 16))), [Centre()])
    with pytest.raises(InputError, match="no pattern would be left"):
        preprocess(scan(np.zeros((3, 16, 16))), [DropDead()])


def test_a_sketch_of_a_large_scan_looks_for_dead_patterns_and_saturation_in_a_sample_only(monkeypatch):
    counts = COUNTS.copy()
    counts[[0, 1]] = 0
    counts[11, 3, 4], counts[10, 5, 6] = 1000, 1000
    large = scan(counts)
    assert len(sketch(DropDead(), large)) == 10
    monkeypatch.setattr(survey, "LOOK_AT_ALL_BYTES", 0)
    monkeypatch.setattr(survey, "SAMPLE_BYTES", 2 * COUNTS[0].astype(counts.dtype).nbytes)  # patterns 0 and 11
    alive = sketch(DropDead(0.0), large)
    np.testing.assert_array_equal(alive.patterns[:], counts[1:])
    assert alive.source.steps == (DropDead(0.0),)
    assert "of those looked at" in alive.history[-1]
    mask = sketch(Saturation(500), large).mask
    assert np.argwhere(~mask).tolist() == [[3, 4]]
    assert len(sketch(Every(2), large)) == 6
