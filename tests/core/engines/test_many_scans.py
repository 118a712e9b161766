"""One network that is trained on several scans: what it sees of each, keeps of each, and finds again."""

from __future__ import annotations

import dataclasses
import json
import re

import lightning as L
import numpy as np
import pytest
import torch

from ptycho_core.base.build_config import build_config
from ptycho_core.base.config import Config
from ptycho_core.base.errors import InputError
from ptycho_core.base.events import EpochDone, Judged, PreviewReady, Stage
from ptycho_core.cli import main
from ptycho_core.engines import data
from ptycho_core.engines.checkpoints import check_checkpoint, export_checkpoint, load_checkpoint
from ptycho_core.engines.data import split
from ptycho_core.engines.models import pinn
from ptycho_core.engines.reconstruct import reconstruct
from ptycho_core.engines.samplers import GroupSampler, ScansInTurn
from ptycho_core.engines.training import resume, train
from ptycho_core.formats import read_scan
from ptycho_core.formats.writers.exports import write_scan
from ptycho_core.inspection.run_checks import check_run
from ptycho_core.runs.previews import read_previews
from ptycho_core.runs.record import read_metrics, read_run
from ptycho_core.simulation import simulate
from tests.helpers import specs
from tests.helpers.training_runs import SMALL, Training

BRIGHT = dataclasses.replace(specs.SMALL, seed=3, n_patterns=49, counts_per_pixel=300.0, defocus_m=0.8e-3)
WARM = {
    **SMALL,
    "warm_start_epochs": 2,
    "max_epochs": 2,
    "positions": "check",
    "val_fraction": 0.1,
    "preview_seconds": 1,
}


@pytest.fixture(scope="module")
def scans():
    """Two scans of different field, dose and beam."""
    return [simulate(spec).scan for spec in (specs.SMALL, BRIGHT)]


@pytest.fixture(scope="module")
def files(scans, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    paths = [folder / "faint.npz", folder / "bright.npz"]
    for scan, path in zip(scans, paths, strict=True):
        write_scan(scan, path)
    return paths


@pytest.fixture(scope="module")
def trained(files, tmp_path_factory):
    """A run on both, of two epochs."""
    first, second = map(read_scan, files)
    heard = []
    folder = tmp_path_factory.mktemp("both") / "out"
    info = train(Config(**WARM), first, folder, further_scans=[second], events=heard.append)
    return info, heard


def test_an_epoch_deals_every_scan_with_groups_of_its_own_patterns_each_batch_of_one_scan(scans):
    config = Config(**SMALL)
    samplers = [GroupSampler(scan, np.arange(len(scan)), config, rank=0, world=1) for scan in (scans[0], scans[0])]
    both = ScansInTurn(samplers, 1)
    orders = []
    for epoch in range(6):
        both.set_epoch(epoch)
        deals = list(both)
        assert len(deals) == len(both)
        assert sorted({deal.scan for deal in deals}) == [2 * epoch, 2 * epoch + 1]
        one, other = ([d.groups.tolist() for d in deals if d.scan % 2 == place] for place in (0, 1))
        assert one != other  # though the scans are alike
        orders.append(deals[0].scan % 2)
    assert set(orders) == {0, 1}


def test_each_scan_keeps_its_own_beam_and_the_record_names_them_all(trained, files, scans):
    info, _ = trained
    assert info.scan_names == ["faint.npz", "bright.npz"]
    assert read_run(info.folder) == info
    model = load_checkpoint(info.last_checkpoint).model()
    for place, scan in enumerate(scans):
        brightest = scan.patterns[:].sum(axis=(1, 2)).max()
        assert float(model.of_scan(place).probe.abs().square().sum()) == pytest.approx(brightest, rel=0.5)


def test_each_scan_has_pictures_of_its_own_while_the_run_goes_on_kept_in_its_place(trained, scans):
    info, heard = trained
    for place, scan in enumerate(scans):
        shown = [event for event in heard if isinstance(event, PreviewReady) and event.scan == place]
        assert {event.stage for event in shown} >= {Stage.WARMING_UP, Stage.TRAINING}
        assert {event.pixel_size_m for event in shown} == {scan.pixel_size_m}
        kept = read_previews(info.folder_of_scan(place))
        assert kept[-1].stage == Stage.TRAINING
        np.testing.assert_array_equal(kept[-1].object, shown[-1].object)


def test_the_patterns_that_validate_or_stay_free_are_those_of_the_rule_in_each_scan(trained):
    info, _ = trained
    (second,) = info.further_scans
    parts = split(49, info.config)
    assert second.free_indexes == tuple(parts.free)
    assert second.validation_indexes == tuple(parts.validation)


def test_the_loss_of_each_scan_is_a_column_and_told_of_each_epoch(trained):
    info, heard = trained
    columns = read_metrics(info.folder)
    told = [event.metrics for event in heard if isinstance(event, EpochDone)]
    counts = [len(info.validation_indexes), len(info.further_scans[0].validation_indexes)]
    for name in ("poisson_val_loss_1", "poisson_val_loss_2"):
        column = columns[name][np.isfinite(columns[name])]
        assert column == pytest.approx([metrics[name] for metrics in told])
        assert len(column) == 2
    last = info.metrics
    assert counts[0] != counts[1]
    mean = np.average([last["poisson_val_loss_1"], last["poisson_val_loss_2"]], weights=counts)
    assert last["poisson_val_loss"] == pytest.approx(mean, rel=1e-5)
    assert last["poisson_val_loss_1"] != pytest.approx(last["poisson_val_loss_2"], rel=0.01)


def test_a_bundle_reconstructs_each_scan_with_the_beam_that_training_found_for_it(trained, scans, tmp_path, capsys):
    info, _ = trained
    bundle = export_checkpoint(info.last_checkpoint, tmp_path / "model.zip")
    assert main(["models", str(tmp_path), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["scan"], row["further_scans"]) == ("faint.npz", ["bright.npz"])
    model = load_checkpoint(bundle).model()
    for place, scan in enumerate(scans):
        assert check_checkpoint(load_checkpoint(bundle), scan) == []
        found = reconstruct(scan, bundle, polish_epochs=0, halves=False, final_pass=False, accelerator="cpu")
        np.testing.assert_allclose(abs(found.probe), abs(model.of_scan(place).probe.detach()), rtol=1e-4, atol=1e-4)


def test_a_run_goes_on_with_the_state_of_every_scan_also_when_files_have_moved(files, tmp_path):
    first, second = map(read_scan, files)
    whole = train(Config(**{**WARM, "max_epochs": 3}), first, tmp_path / "whole", further_scans=[second])
    here = [path.parent.parent / f"{tmp_path.name}-{path.name}" for path in files]
    for path, there in zip(files, here, strict=True):
        there.write_bytes(path.read_bytes())
    moving, also = map(read_scan, here)
    config, ends = Config(**{**WARM, "max_epochs": 3}), [StopAfter(1)]
    part = train(config, moving, tmp_path / "part", further_scans=[also], callbacks=ends)
    assert part.epochs_done == 2
    moved = [path.rename(tmp_path / path.name) for path in here]
    with pytest.raises(InputError, match=here[0].name):
        resume(part.folder)
    with pytest.raises(InputError, match="none of the 2 files that the run was trained on"):
        resume(part.folder, scan_file=[*moved, tmp_path / "whole" / "run.json"])
    done = resume(part.folder, scan_file=moved[::-1])
    assert done.epochs_done == 3
    for name in ("poisson_val_loss_1", "poisson_val_loss_2"):
        assert done.metrics[name] == pytest.approx(whole.metrics[name], rel=1e-4)


class StopAfter(L.Callback):
    """Ends training in good order after an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_end(self, trainer, *args) -> None:
        trainer.should_stop = trainer.should_stop or trainer.current_epoch == self.epoch


def test_scans_that_do_not_fit_in_memory_together_are_read_batch_by_batch_with_the_same_result(
    scans, tmp_path, monkeypatch
):
    def go(name):
        return Training(tmp_path / name).go(scan=scans[0], further_scans=scans[1:], max_epochs=1)

    kept = go("kept")
    monkeypatch.setattr(data, "IN_MEMORY_BYTES", scans[0].patterns.nbytes)
    read = go("read")
    assert read.info.metrics["poisson_val_loss"] == pytest.approx(kept.info.metrics["poisson_val_loss"], rel=1e-6)
    assert torch.equal(*(one.last["state_dict"]["network.last.weight"] for one in (kept, read)))


def test_objects_that_find_no_room_in_memory_are_made_at_each_validation_with_the_same_result(
    scans, tmp_path, monkeypatch
):
    def go(name):
        run = Training(tmp_path / name).go(scan=scans[0], further_scans=scans[1:], max_epochs=2)
        return [run.info.metrics[f"poisson_val_loss_{place}"] for place in (1, 2)]

    kept = go("kept")
    monkeypatch.setattr(pinn, "KEPT_BYTES", 0)
    assert go("made anew") == kept


def test_the_end_of_a_run_judges_each_scan_and_names_those_beside_the_first(trained):
    info, heard = trained
    assert {event.scan for event in heard if isinstance(event, Judged)} == {0, 1}
    for place, named in enumerate(("", "bright.npz: ")):
        known = read_run(info.folder).of_scan(place)
        assert known.verdict is not None
        told = known.checks["positions"]["message"]
        assert told.startswith((f"{named}Refined positions would", f"{named}Patterns kept apart do not ask"))
        assert known.picture_chosen.startswith(f"{named}the ")
        assert (info.folder_of_scan(place) / "warm_start.ckpt").exists()


def test_another_scan_may_validate_in_place_of_parts_of_them(scans, tmp_path):
    run = Training(tmp_path / "out").go(scan=scans[0], further_scans=scans[1:], test_scan=scans[0], max_epochs=1)
    assert run.info.validation_indexes == run.info.further_scans[0].validation_indexes == ()
    assert np.isfinite(run.info.metrics["poisson_val_loss"])
    assert "poisson_val_loss_1" not in run.info.metrics


@pytest.mark.parametrize(
    ("settings", "change", "sentence"),
    [
        ({}, {"size": 32}, "its patterns have 32 pixels a side, those of .* 16"),
        (
            {},
            {"seed": 0, "n_patterns": 36, "counts_per_pixel": 30.0, "defocus_m": 1.2e-3},
            ": it holds the patterns",
        ),
        ({"engine": "direct"}, {}, "the direct engine fits one scan, and 2 are given"),
        ({"gridsize": 6}, {"n_patterns": 30}, "gridsize 6 groups 36 patterns, but there are only 30"),
    ],
)
def test_what_is_wrong_with_one_of_them_is_an_error_that_names_it(scans, settings, change, sentence):
    other = simulate(dataclasses.replace(BRIGHT, **change)).scan
    found = [p for p in check_run(build_config(settings), scans[0], None, [other]) if p.severity == "error"]
    assert len(found) == 1
    assert re.search(sentence, found[0].message)
