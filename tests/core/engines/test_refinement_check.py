"""What is concluded from how much better moved or brighter patterns are explained."""

from __future__ import annotations

import numpy as np
import pytest

from ptycho_core.base.events import StopToken
from ptycho_core.engines.models.direct import DirectModel
from ptycho_core.engines.refinement_check import check_refinement
from ptycho_core.quality.deviance import Misfit
from tests.helpers.fits import DIRECT
from tests.helpers.truth import whole_canvas


@pytest.mark.parametrize(
    ("knob", "after", "helps"),
    [
        ("positions", 0.46, True),
        ("positions", 0.48, False),  # a tenth of what photon noise leaves to explain: another fault
        ("intensity", 0.46, False),
        ("intensity", 0.44, True),
    ],
)
def test_what_helps_explains_a_good_part_of_what_is_missed(tiny_sim, monkeypatch, knob, after, helps):
    found = iter([Misfit(0.5, 0.3, 0.1), Misfit(after, 0.3, 0.1)])
    monkeypatch.setattr(DirectModel, "misfit_of", lambda *arguments, **how: next(found))
    config = DIRECT.replace(**{knob: "check"})
    model, canvas = DirectModel.from_scan(tiny_sim.scan, config), whole_canvas(tiny_sim)
    (told,) = check_refinement(model, model.object_of(canvas), canvas.only(np.arange(5)), canvas, None, StopToken())
    assert (told.knob, told.helps, told.bent_px) == (knob, helps, 0)


@pytest.mark.parametrize(("after", "asks_for"), [(0.38, "positions"), (0.30, "probe_variation")])
def test_a_probe_that_varies_has_to_explain_far_more_than_moved_patterns(tiny_sim, monkeypatch, after, asks_for):
    def misfit(model: DirectModel, *arguments, settled: bool, **how) -> Misfit:
        found = 0.5 if settled else 0.4 if len(model.shifts) else after
        return Misfit(found, 0.3, 0.1)

    monkeypatch.setattr(DirectModel, "misfit_of", misfit)
    config = DIRECT.replace(positions="check", probe_variation=None)
    model, canvas = DirectModel.from_scan(tiny_sim.scan, config), whole_canvas(tiny_sim)
    told = check_refinement(model, model.object_of(canvas), canvas.only(np.arange(5)), canvas, None, StopToken())
    assert [(event.knob, event.value) for event in told] == [("positions", "refine"), ("probe_variation", 1)]
    assert [event.knob for event in told if event.helps] == [asks_for]


def test_patterns_that_ask_to_be_moved_have_it_found_out_whether_the_picture_is_bent(tiny_sim, monkeypatch):
    asked = []
    monkeypatch.setattr("ptycho_core.engines.refinement_check.ASKS", -1.0)
    monkeypatch.setattr("ptycho_core.engines.refinement_check.bent_px", lambda *given: asked.append(given) or 0.9)
    config = DIRECT.replace(positions="check", intensity="off")
    model, canvas = DirectModel.from_scan(tiny_sim.scan, config), whole_canvas(tiny_sim)
    (told,) = check_refinement(model, model.object_of(canvas), canvas.only(np.arange(5)), canvas, None, StopToken())
    assert len(asked) == 1
    assert (told.helps, told.bent_px) == (True, 0.9)
    assert "bent by 0.9 pixels" in told.message


def test_positions_that_were_refined_are_not_asked_for_again(tiny_sim, monkeypatch):
    monkeypatch.setattr("ptycho_core.engines.refinement_check.ASKS", -1.0)
    monkeypatch.setattr("ptycho_core.engines.refinement_check.bent_px", lambda *given: 0.9)
    config = DIRECT.replace(positions="refine", intensity="check")
    model, canvas = DirectModel.from_scan(tiny_sim.scan, config), whole_canvas(tiny_sim)
    (told,) = check_refinement(model, model.object_of(canvas), canvas.only(np.arange(5)), canvas, None, StopToken())
    assert (told.knob, told.bent_px) == ("intensity", 0)
    assert "bent" not in told.message


def test_after_a_stop_nothing_more_is_found_out(tiny_sim):
    config = DIRECT.replace(positions="check", intensity="check", probe_variation=None)
    model, canvas = DirectModel.from_scan(tiny_sim.scan, config), whole_canvas(tiny_sim)
    stop = StopToken()
    stop.stop()
    assert check_refinement(model, model.object_of(canvas), canvas.only(np.arange(5)), canvas, None, stop) == []
