"""From a checkpoint and any scan to an object: which patterns take part, what is measured, what is refused."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from ptycho_core.base.config import Config
from ptycho_core.base.errors import InputError
from ptycho_core.base.events import StageChanged, StopToken
from ptycho_core.base.verdict import verdict_in
from ptycho_core.engines import canvas, data
from ptycho_core.engines.canvas import Canvas
from ptycho_core.engines.checkpoints import export_checkpoint, load_checkpoint
from ptycho_core.engines.data import Amplitudes, split
from ptycho_core.engines.models.direct import DirectModel
from ptycho_core.engines.models.pinn import PinnModel
from ptycho_core.engines.reconstruct import reconstruct, write_results
from ptycho_core.engines.training import train
from ptycho_core.formats.writers.exports import export, read_reconstruction
from ptycho_core.quality.deviance import Misfit, expected_half_deviance, half_deviance
from ptycho_core.scan.reconstruction import Reconstruction
from ptycho_core.scan.scan import Patterns, Scan
from ptycho_core.scan.source import ScanSource
from ptycho_core.simulation import Simulation, forward, simulate
from tests.helpers.fits import above, below

pytestmark = pytest.mark.xdist_group("one network")

NETWORK = Config(
    probe_search=False,
    positions="off",
    intensity="off",
    warm_start_epochs=4,
    max_epochs=4,
    n_groups=40,
    batch_size=4,
    model_width=4,
    accelerator="cpu",
    preview_seconds=0,
)
DIRECT = NETWORK.replace(engine="direct", max_epochs=8, n_groups=None, batch_size=8)
SCORES = ("free_deviance", "free_misfit", "misfit", "r_free")


@pytest.fixture(scope="module")
def network(tiny_scan: Scan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network trained for a few seconds: better than a back-projection, and far from done."""
    return train(NETWORK, tiny_scan, tmp_path_factory.mktemp("network") / "run").last_checkpoint


@pytest.fixture(scope="module")
def direct(tiny_scan: Scan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(DIRECT, tiny_scan, tmp_path_factory.mktemp("direct") / "run").last_checkpoint


def on_cpu(scan: Scan, checkpoint: Path, **options) -> Reconstruction:
    options = {"halves": False, "final_pass": False, "polish_epochs": 0} | options
    return reconstruct(scan, checkpoint, accelerator="cpu", **options)


def another(sim: Simulation, **changes) -> Scan:
    return simulate(dataclasses.replace(sim.spec, **changes)).scan


def replaced(scan: Scan, rows: np.ndarray) -> Scan:
    """The scan with these patterns turned on their sides: as bright as before."""
    counts = scan.patterns[:].copy()
    counts[rows] = counts[rows].swapaxes(1, 2)[:, ::-1]
    return scan.replace(patterns=Patterns(counts))


def assert_same(a: Reconstruction, b: Reconstruction) -> None:
    np.testing.assert_allclose(a.object, b.object, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(a.probe, b.probe, rtol=1e-4, atol=1e-4)
    for name in SCORES:
        assert a.metrics[name] == pytest.approx(b.metrics[name], rel=1e-4)


def numpy_misfit(found: Reconstruction, scan: Scan, rows: np.ndarray) -> Misfit:
    """The misfit of a result as it would be written into a file, by a forward model in NumPy."""
    offset = found.positions_px[0] - scan.positions[found.pattern_index[0]]
    expected = forward.intensities(found.object, found.probe, scan.positions[rows] + offset)
    counts = scan.patterns[:][rows]
    scale = np.sqrt(expected * counts).sum() / expected.sum()
    error = np.square(scale * np.sqrt(expected) - np.sqrt(counts)).sum()
    noise = expected_half_deviance(expected).mean()
    return Misfit(half_deviance(counts, expected).mean(), noise, np.sqrt(error / counts.sum()))


def untrained_deviance(scan: Scan, checkpoint: Path, probe: np.ndarray) -> float:
    """Of free patterns, by what the solver leaves to the network."""
    model = load_checkpoint(checkpoint).model()
    assert isinstance(model, PinnModel)
    blank = PinnModel(model.config, torch.from_numpy(probe))
    parts = split(len(scan), model.config)
    seen = np.sort(np.concatenate([parts.train, parts.validation]))
    whole = Canvas.of_scan(scan, Amplitudes(scan), seen, torch.device("cpu"))
    return blank.misfit_of(blank.object_of(whole), whole.only(parts.free)).deviance


@pytest.mark.parametrize(("name", "number"), [("tile", 0), ("tile", -64), ("polish_epochs", -1)])
def test_a_number_below_its_limit_is_refused(tiny_scan: Scan, tmp_path: Path, name, number):
    with pytest.raises(InputError, match=f"{name} must be a whole number from [01] "):
        reconstruct(tiny_scan, tmp_path, **{name: number})


@pytest.mark.parametrize("engine", ["network", "direct"])
def test_scores_are_those_of_the_object_and_probe_returned(tiny_scan: Scan, engine, request):
    found, parts = on_cpu(tiny_scan, request.getfixturevalue(engine)), split(60, NETWORK)
    fitted, free = (numpy_misfit(found, tiny_scan, rows) for rows in (found.pattern_index, parts.free))
    scores = (free.deviance, free.misfit, fitted.misfit, free.r)
    assert [found.metrics[name] for name in SCORES] == pytest.approx(scores, rel=3e-2)
    assert set(found.pattern_index) == set(range(60)) - set(parts.free)
    assert found.metrics["patterns"] == 57
    assert found.metrics["free_patterns"] == 3
    assert found.history[-1] == f"the picture is {verdict_in(found.metrics)}"
    lit = abs(found.probe[0]) ** 2 / np.max(abs(found.probe) ** 2)
    corner = np.floor(found.positions_px[0]).astype(int) - 16
    seen = found.coverage[corner[0] : corner[0] + 32, corner[1] : corner[1] + 32]
    assert bool((seen[lit > 0.3] > 0.2).all())


@pytest.mark.parametrize("format", ["npz", "product", "cxi"])
def test_the_verdict_goes_with_every_export(tiny_scan: Scan, direct: Path, tmp_path: Path, format):
    found = on_cpu(tiny_scan, direct)
    (written,) = export(found, tmp_path, format)
    if format == "cxi":
        with h5py.File(written) as file:
            metrics = json.loads(file["entry_1/image_1/process_1/note_2/data"][()])
            assert found.history[-1] in file["entry_1/image_1/process_1/comments"][()].decode()
    else:
        metrics = read_reconstruction(written).metrics
    assert verdict_in(metrics) == verdict_in(found.metrics)


@pytest.mark.fit
@pytest.mark.parametrize(("engine", "how"), [("network", "all 60 patterns"), ("direct", "all 60 patterns, 8 epochs")])
def test_the_final_pass_is_over_all_patterns_and_the_scores_are_from_before_it(tiny_scan: Scan, engine, how, request):
    checkpoint, free = request.getfixturevalue(engine), split(60, NETWORK).free
    before, found = on_cpu(tiny_scan, checkpoint), on_cpu(tiny_scan, checkpoint, final_pass=True)
    assert "final_pass" not in before.metrics
    assert found.metrics["final_pass"] == f"{how}; scores are from before it"
    assert f"final pass: {how}; scores are from before it" in found.history
    assert [found.metrics[name] for name in SCORES] == [before.metrics[name] for name in SCORES]
    assert list(found.pattern_index) == list(range(60))
    seen, unseen = (numpy_misfit(each, tiny_scan, free).deviance for each in (found, before))
    below(seen, 0.97 * unseen)


def test_the_final_pass_takes_in_what_validated_where_no_pattern_is_free(tiny_scan: Scan, tmp_path: Path):
    run = train(DIRECT.replace(free_fraction=0.0, max_epochs=2), tiny_scan, tmp_path / "run")
    found = on_cpu(tiny_scan, run.last_checkpoint, final_pass=True)
    assert found.metrics["final_pass"] == "all 60 patterns, 8 epochs; scores are from before it"


def test_a_scan_that_is_too_large_for_the_memory_is_refused(tiny_scan: Scan, network: Path):
    positions = tiny_scan.positions.copy()
    positions[:5] = 3e6
    with pytest.raises(InputError, match=r"of memory.* as 5 of 60 positions lie far from all others"):
        on_cpu(tiny_scan.replace(positions=positions), network)


def test_a_final_pass_that_diverges_is_left_out(tiny_scan: Scan, direct: Path, monkeypatch):
    monkeypatch.setattr(DirectModel, "training_step", lambda self, *batch: self.object_parts.sum() * math.nan)
    found = on_cpu(tiny_scan, direct, final_pass=True)
    assert found.metrics["final_pass"].startswith("left out: training diverged: ")
    np.testing.assert_array_equal(found.object, on_cpu(tiny_scan, direct).object)
    assert len(found.pattern_index) == 57


@pytest.mark.fit
@pytest.mark.parametrize("config", [NETWORK.replace(max_epochs=2), DIRECT], ids=["pinn", "direct"])
def test_free_patterns_are_seen_by_nothing(tiny_scan: Scan, tmp_path: Path, config):
    config = config.replace(val_fraction=0.0, checkpoint_save_top_k=0, early_stop_patience=0)
    parts = split(60, config)
    found = []
    for name, scan in (("as it is", tiny_scan), ("changed", replaced(tiny_scan, parts.free))):
        checkpoint = train(config, scan, tmp_path / name).last_checkpoint
        found.append(on_cpu(scan, checkpoint))
    as_it_is, changed = found
    assert np.array_equal(as_it_is.object, changed.object)
    assert np.array_equal(as_it_is.probe, changed.probe)
    assert as_it_is.metrics["misfit"] == changed.metrics["misfit"]
    below(as_it_is.metrics["free_misfit"], 0.95 * changed.metrics["free_misfit"])


@pytest.mark.fit
@pytest.mark.parametrize(
    "changes",
    [
        {"n_patterns": 30, "seed": 3},
        {"n_patterns": 150, "seed": 4, "positions": "spiral"},
        {"size": 48, "seed": 5},
        {"size": 24, "seed": 6},
        {"probe": "flat_top", "defocus_m": 0.0},
        {"object": "photographs", "counts_per_pixel": 100.0},
    ],
    ids=str,
)
def test_one_network_serves_other_scans(tiny_sim: Simulation, network: Path, changes):
    scan = another(tiny_sim, **changes)
    found = on_cpu(scan, network)
    assert found.probe.shape == (1, scan.size, scan.size)
    below(found.metrics["free_deviance"], 1.02 * untrained_deviance(scan, network, found.probe))


def test_a_scan_on_disk_gives_what_it_gives_in_memory(tiny_scan: Scan, network: Path, tmp_path: Path, monkeypatch):
    in_memory = on_cpu(tiny_scan, network)
    monkeypatch.setattr(data, "IN_MEMORY_BYTES", 0)
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        stored = file.create_dataset("patterns", data=tiny_scan.patterns[:].astype(np.uint16))
        assert_same(on_cpu(tiny_scan.replace(patterns=Patterns(stored)), network), in_memory)


def test_pieces_and_tiles_change_nothing(tiny_scan: Scan, network: Path, monkeypatch):
    whole = on_cpu(tiny_scan, network)
    monkeypatch.setattr(canvas, "_PATTERNS_AT_ONCE", 7)
    assert_same(on_cpu(tiny_scan, network, tile=16), whole)


@pytest.mark.parametrize("polish_epochs", [0, 2])
def test_bad_pixels_change_nothing(tiny_scan: Scan, network: Path, polish_epochs):
    mask = np.ones((32, 32), np.bool_)
    mask[16, 15:18] = mask[3, 5] = False
    found = []
    for value in (0, 1e6):
        counts = tiny_scan.patterns[:].copy()
        counts[:, ~mask] = value
        scan = tiny_scan.replace(patterns=Patterns(counts), mask=mask)
        found.append(on_cpu(scan, network, polish_epochs=polish_epochs))
    assert_same(*found)


def test_its_own_scan_gets_the_trained_probe_and_another_the_better_one(tiny_sim: Simulation, network: Path):
    own = tiny_sim.scan
    trained = load_checkpoint(network).model().probe.detach().numpy()
    np.testing.assert_allclose(on_cpu(own, network).probe, trained, rtol=1e-4, atol=1e-4)

    good = tiny_sim.truth.probe
    bad = good * np.exp(1j * np.random.default_rng(0).uniform(-3, 3, good.shape)).astype(np.complex64)
    other = another(tiny_sim, seed=8)
    for probe, sentence in ((good, "used the scan's own probe"), (bad, "used the checkpoint's probe")):
        found = on_cpu(other.replace(probe=probe), network)
        assert sentence in found.history
        assert np.sum(abs(found.probe) ** 2) == pytest.approx(other.patterns[:].sum(axis=(1, 2)).max(), rel=1e-3)


@pytest.mark.parametrize("engine", ["network", "direct"])
def test_a_bundle_gives_what_the_checkpoint_gives(tiny_scan: Scan, tmp_path: Path, engine, request):
    checkpoint = request.getfixturevalue(engine)
    bundle = export_checkpoint(checkpoint, tmp_path / "model.zip")
    a, b = on_cpu(tiny_scan, checkpoint), on_cpu(tiny_scan, bundle)
    assert np.array_equal(a.object, b.object)
    assert np.array_equal(a.probe, b.probe)
    assert [a.metrics[name] for name in SCORES] == [b.metrics[name] for name in SCORES]


@pytest.mark.fit
def test_polishing_improves_the_networks_object(tiny_scan: Scan, network: Path):
    passed, polished = on_cpu(tiny_scan, network), on_cpu(tiny_scan, network, polish_epochs=10)
    below(polished.metrics["misfit"], 0.95 * passed.metrics["misfit"])
    below(polished.metrics["free_misfit"], 0.98 * passed.metrics["free_misfit"])
    free = numpy_misfit(polished, tiny_scan, split(60, NETWORK).free)
    assert polished.metrics["free_deviance"] == pytest.approx(free.deviance, rel=3e-2)
    assert any("polished by the direct engine" in sentence for sentence in polished.history)


@pytest.mark.fit
def test_polishing_withholds_validation_and_free_patterns(tiny_scan: Scan, network: Path):
    parts = split(60, NETWORK)
    found = on_cpu(tiny_scan, network, polish_epochs=1)
    assert np.array_equal(found.pattern_index, parts.train)
    changed = on_cpu(replaced(tiny_scan, parts.free), network, polish_epochs=1)
    assert np.array_equal(changed.object, found.object)
    above(changed.metrics["free_misfit"], found.metrics["free_misfit"])


@pytest.mark.fit
def test_polishing_fits_the_background_that_the_misfit_is_measured_with(tiny_sim: Simulation, tmp_path: Path):
    scan = another(tiny_sim, background=5.0)
    config = NETWORK.replace(background=True, max_epochs=1, warm_start_epochs=0)
    checkpoint = train(config, scan, tmp_path / "run").last_checkpoint
    passed, polished = on_cpu(scan, checkpoint), on_cpu(scan, checkpoint, polish_epochs=25)
    below(polished.metrics["misfit"], 0.75 * passed.metrics["misfit"])


def test_a_stop_leaves_polishing_out(tiny_scan: Scan, network: Path):
    token = StopToken()
    token.stop("the operator")
    stages: list[str] = []

    def hear(event: object) -> None:
        if isinstance(event, StageChanged):
            stages.append(event.stage)

    found = on_cpu(tiny_scan, network, polish_epochs=5, stop=token, events=hear)
    assert stages == ["loading", "reconstructing"]
    assert not any("polished" in sentence for sentence in found.history)


@pytest.mark.parametrize("changes", [{"n_patterns": 30}, {"size": 48}, {"seed": 1}, {"step_px": 5.0}], ids=str)
def test_a_direct_checkpoint_refuses_another_scan(tiny_sim: Simulation, direct: Path, changes):
    with pytest.raises(InputError, match=r"holds the object of the scan .* give that scan, or a checkpoint"):
        on_cpu(another(tiny_sim, **changes), direct)


def test_a_direct_checkpoint_refuses_its_scan_at_other_positions(tiny_scan: Scan, direct: Path):
    with pytest.raises(InputError, match="give that scan"):
        on_cpu(tiny_scan.replace(positions=1.5 * tiny_scan.positions), direct)


def test_a_direct_checkpoint_knows_its_scan_again_from_another_file(tiny_scan: Scan, direct: Path):
    patterns = Patterns(tiny_scan.patterns[:].astype(np.float32))
    again = tiny_scan.replace(patterns=patterns, source=ScanSource(Path("copy.npz")))
    assert_same(on_cpu(again, direct), on_cpu(tiny_scan, direct))


def test_modes_come_orthogonal_and_ordered_by_power(tiny_scan: Scan, tmp_path: Path):
    config = DIRECT.replace(max_epochs=2, probe_modes=3)
    probe = on_cpu(tiny_scan, train(config, tiny_scan, tmp_path / "run").last_checkpoint).probe
    gram = np.einsum("iyx,jyx->ij", probe, probe.conj())
    powers = np.diag(gram).real
    assert np.all(np.diff(powers) < 0)
    np.testing.assert_allclose(gram - np.diag(powers), 0, atol=1e-3 * powers[0])


@pytest.mark.parametrize(("engine", "polish_epochs"), [("network", 0), ("network", 1), ("direct", 0)])
def test_halves_of_any_engines_reconstruction_are_compared(
    tiny_scan: Scan, engine, polish_epochs, request, monkeypatch
):
    monkeypatch.setattr("ptycho_core.engines.halves.VIEWS", 1)
    checkpoint = request.getfixturevalue(engine)
    plain, found = (
        on_cpu(tiny_scan, checkpoint, polish_epochs=polish_epochs, halves=halves) for halves in (False, True)
    )
    assert 1 <= found.metrics["half_scans_resolution_px"] < 16
    assert {"half_scans_resolution_px", "half_scans_reason"}.isdisjoint(plain.metrics)
    assert np.array_equal(found.object, plain.object)


def test_results_are_written_with_their_metrics(tiny_scan: Scan, network: Path, tmp_path: Path):
    found = on_cpu(tiny_scan, network)
    written = write_results(found, tmp_path).files
    assert {path.suffix for path in written.values()} == {".npz", ".h5", ".tif", ".png", ".json"}
    assert all(path.parent == tmp_path / "reconstruction" and path.stat().st_size for path in written.values())
    assert json.loads(written["metrics.json"].read_text())["free_misfit"] == found.metrics["free_misfit"]


def test_losses_come_from_the_run_that_the_checkpoint_lies_in(tiny_scan: Scan, network: Path, tmp_path: Path):
    history = on_cpu(tiny_scan, network).loss_history
    assert [epoch for epoch, _ in history] == list(range(1, NETWORK.max_epochs + 1))
    assert all(loss > 0 for _, loss in history)
    assert on_cpu(tiny_scan, export_checkpoint(network, tmp_path / "elsewhere.ckpt")).loss_history == ()


def test_a_cancel_while_polishing_keeps_the_best_state(tiny_scan: Scan, network: Path):
    token = StopToken()
    cancel = StopToken.cancel
    found = on_cpu(
        tiny_scan,
        network,
        polish_epochs=1000,
        stop=token,
        events=lambda event: cancel(token) if getattr(event, "stage", "") == "polishing" else None,
    )
    assert np.isfinite(found.metrics["misfit"])


def test_polishing_leaves_a_probe_alone_that_is_not_to_be_trained(tiny_scan: Scan, tmp_path: Path):
    config = NETWORK.replace(probe_trainable=False, max_epochs=1, warm_start_epochs=1)
    checkpoint = train(config, tiny_scan, tmp_path / "run").last_checkpoint
    before, after = (on_cpu(tiny_scan, checkpoint, polish_epochs=epochs).probe for epochs in (0, 3))
    assert np.array_equal(before, after)
