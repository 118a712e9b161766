"""Splits, samplers and batches: what is drawn, what is withheld, and what a batch holds."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from ptycho_core.base.config import Config
from ptycho_core.engines import data
from ptycho_core.engines.data import (
    Amplitudes,
    Deal,
    Placed,
    Split,
    corners_of,
    scan_canvas,
    split,
)
from ptycho_core.engines.models import MODELS
from ptycho_core.engines.physics import place, read_patches
from ptycho_core.engines.reconstruct import reconstruct
from ptycho_core.engines.samplers import FixedSampler, GroupSampler, PatternSampler, chunks
from ptycho_core.engines.scan_data import ScanData
from ptycho_core.engines.training import train
from ptycho_core.scan.scan import Masks, Patterns, Scan
from tests.helpers.measurements import dataset, measured
from tests.helpers.training_runs import SMALL

CONFIG = Config(gridsize=2, batch_size=4)
ANYWHERE = Placed(np.zeros(2), (64, 64))


def shares(parts) -> tuple[int, int, int]:
    return len(parts.train), len(parts.validation), len(parts.free)


def test_split_is_a_partition_in_the_shares_asked_for():
    parts = split(200, CONFIG.replace(val_fraction=0.1, free_fraction=0.05))
    assert shares(parts) == (170, 20, 10)
    assert sorted(np.concatenate([parts.train, parts.validation, parts.free])) == list(range(200))


def test_split_depends_on_the_seed_alone():
    first, again, other = (split(200, CONFIG.replace(seed=seed)) for seed in (1, 1, 2))
    assert np.array_equal(first.free, again.free)
    assert np.array_equal(first.train, again.train)
    assert not np.array_equal(first.free, other.free)


def test_free_patterns_stay_the_same_whatever_validates():
    parts = split(200, CONFIG)
    assert np.array_equal(parts.free, split(200, CONFIG.replace(val_fraction=0.3)).free)
    elsewhere = split(200, CONFIG, validate=False)
    assert np.array_equal(parts.free, elsewhere.free)
    assert shares(elsewhere) == (190, 0, 10)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_something_is_left_to_train_on_in_the_smallest_scan(n):
    assert len(split(n, CONFIG.replace(val_fraction=0.5, free_fraction=0.5)).train) >= 1


def test_a_small_fraction_validates_on_one_pattern_and_none_on_nothing():
    assert shares(split(8, CONFIG.replace(val_fraction=0.01, free_fraction=0))) == (7, 1, 0)
    assert shares(split(8, CONFIG.replace(val_fraction=0, free_fraction=0))) == (8, 0, 0)


def test_amplitudes_are_roots_of_counts_with_dc_in_the_corner(tiny_scan: Scan):
    rows = np.array([7, 3])
    counts = tiny_scan.patterns[:][rows]
    amplitude, weight = Amplitudes(tiny_scan)[rows]
    assert weight is None
    assert amplitude.dtype == torch.float32
    np.testing.assert_allclose(np.fft.fftshift(amplitude, axes=(1, 2)) ** 2, counts, rtol=1e-6)


def masked(scan: Scan, value: float) -> Scan:
    """The scan with two bad pixels that read this."""
    mask = np.ones((scan.size, scan.size), np.bool_)
    mask[16, 16] = mask[3, 5] = False
    counts = scan.patterns[:].copy()
    counts[:, ~mask] = value
    return scan.replace(patterns=Patterns(counts), mask=mask)


@pytest.mark.parametrize("value", [1e9, np.nan, -5, np.inf])
def test_bad_pixels_are_zero_whatever_they_read(tiny_scan: Scan, value):
    rows = np.arange(5)
    amplitude, weight = Amplitudes(masked(tiny_scan, value))[rows]
    assert torch.equal(amplitude, Amplitudes(masked(tiny_scan, 0))[rows].amplitude)
    assert weight.dtype == torch.float32
    assert weight.sum() == 32 * 32 - 2
    assert weight[0, 0] == weight[(3 + 16) % 32, (5 + 16) % 32] == 0
    assert not amplitude[:, 0, 0].any()
    assert amplitude[:, 0, 1].any()


def with_masks(scan: Scan, value: float) -> Scan:
    """The scan with another bad pixel in each pattern, which reads this."""
    masks, counts, n = np.ones(scan.patterns.shape, np.bool_), scan.patterns[:].copy(), np.arange(len(scan))
    masks[n, 16, n % 32] = False
    counts[~masks] = value
    return scan.replace(patterns=Patterns(counts), mask=Masks(masks))


def test_what_is_bad_in_one_pattern_is_zero_there_alone(tiny_scan: Scan):
    rows = np.array([0, 5, 37])
    amplitude, weight = Amplitudes(with_masks(tiny_scan, 1e9))[rows]
    assert weight.shape == (3, 32, 32)
    assert (weight == 0).sum() == 3
    assert weight[0, 0, 16] == weight[1, 0, 21] == weight[2, 0, 21] == 0
    assert torch.equal(amplitude, Amplitudes(tiny_scan)[rows].amplitude * weight)


def test_masks_that_do_not_fit_are_read_with_their_patterns(tiny_scan: Scan, monkeypatch: pytest.MonkeyPatch):
    scan, rows = with_masks(tiny_scan, 7), np.array([50, 2, 2, 31])
    kept = Amplitudes(scan)
    monkeypatch.setattr(data, "IN_MEMORY_BYTES", 1000)
    read = Amplitudes(scan)
    assert read.kept is None
    assert all(map(torch.equal, read[rows], kept[rows]))
    assert all(map(torch.equal, read.take(rows)[np.arange(4)], kept[rows]))
    assert all(map(torch.equal, kept.take(rows)[np.arange(4)], kept[rows]))
    batch = dataset(scan, read)[Deal(rows.reshape(2, 2), scan_canvas(scan))]
    assert torch.equal(batch.weight, kept[rows].weight)


def test_a_scan_that_does_not_fit_is_read_batch_by_batch_with_the_same_result(
    tiny_scan: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    scan, rows = masked(tiny_scan, 7), np.array([50, 2, 2, 31])
    kept = Amplitudes(scan)
    monkeypatch.setattr(data, "IN_MEMORY_BYTES", 1000)
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        stored = file.create_dataset("patterns", data=scan.patterns[:])
        read = Amplitudes(scan.replace(patterns=Patterns(stored)))
        assert read.kept is None
        assert all(map(torch.equal, read[rows], kept[rows]))
        assert all(map(torch.equal, read.take(rows)[np.arange(4)], kept[rows]))


@pytest.mark.parametrize("of", [masked, with_masks])
def test_patterns_that_are_kept_on_a_device_are_the_same(tiny_scan: Scan, of):
    scan, rows = of(tiny_scan, 7), np.array([50, 2, 2, 31])
    kept, at_home = Amplitudes(scan), Amplitudes(scan, torch.device("cpu"))
    assert all(map(torch.equal, at_home[rows], kept[rows]))
    assert all(map(torch.equal, at_home.take(rows)[np.arange(4)], kept[rows]))


def test_groups_are_held_by_pieces_of_the_canvas_that_just_fit(tiny_scan: Scan):
    whole, amplitudes = scan_canvas(tiny_scan), Amplitudes(tiny_scan)
    groups = np.array([[0, 1, 8], [59, 58, 51]])
    batch = dataset(tiny_scan, amplitudes)[Deal(groups, whole)]
    assert np.array_equal(batch.indexes, groups)
    assert batch.amplitude.shape == (2, 3, 32, 32)
    assert torch.equal(batch.amplitude[1, 2], amplitudes[np.array([51])].amplitude[0])
    corners, shape = corners_of(batch), batch.piece
    span = np.ptp(np.floor(tiny_scan.positions[groups]), axis=1).max(axis=0) + 33
    assert shape == tuple(span)
    assert bool((corners >= 0).all())
    assert bool((corners + torch.tensor(shape) <= torch.tensor(whole.shape)).all())
    place(batch.positions - corners[:, None], 32, (2, *shape))


def test_whole_scan_canvas_is_shared_by_all_batches(tiny_scan: Scan):
    canvas = scan_canvas(tiny_scan)
    a, b = (dataset(tiny_scan)[Deal(np.array([rows]), canvas)] for rows in ([0, 5], [59]))
    assert a.canvas == b.canvas == canvas.shape
    np.testing.assert_allclose(
        (b.positions - a.positions[:, :1])[0, 0], np.diff(tiny_scan.positions[[0, 59]], axis=0)[0], atol=1e-5
    )


def test_canvas_holds_the_windows_of_all_patterns(tiny_scan: Scan):
    origin, shape = scan_canvas(tiny_scan)
    positions = tiny_scan.positions - origin
    place(torch.from_numpy(positions), 32, (1, *shape))
    assert np.floor(positions).min() == 16
    np.testing.assert_allclose(origin, np.round(origin))


@pytest.mark.parametrize("offset", [0.0, -1e5, 1e7])
def test_positions_on_any_origin_and_just_below_whole_pixels_find_their_windows(offset):
    """Metres divided by a pixel size often give 28.999999999 for 29."""
    positions = offset + np.array([[0.0, 0.0], [23 - 1e-9, 7.0], [11.5, 23 - 1e-9]])
    scan = Scan(Patterns(np.ones((3, 16, 16), np.float32)), positions)
    batch = dataset(scan)[Deal(np.array([[0, 1, 2]]), scan_canvas(scan))]
    assert batch.canvas == (40, 40)
    windows = place(batch.positions, 16, (1, *batch.canvas))
    ramp = torch.arange(40.0)[:, None] + 0 * torch.arange(40.0)
    centre = read_patches(ramp, windows)[:, 8, 8] + windows.fraction[:, 0]
    np.testing.assert_allclose(centre - centre[0], positions[:, 0] - positions[0, 0], atol=1e-5)


def drawn(sampler) -> list[np.ndarray]:
    return [deal.groups for deal in sampler if not deal.hidden]


def group_sampler(scan: Scan, config: Config = CONFIG, rank: int = 0, world: int = 1, rows=None) -> GroupSampler:
    return GroupSampler(scan, np.arange(10, 60) if rows is None else rows, config, rank=rank, world=world)


def test_groups_are_of_the_rows_given_only_and_distinct(tiny_scan: Scan):
    batches = drawn(group_sampler(tiny_scan))
    assert len(batches) == len(group_sampler(tiny_scan)) == 3  # 50 patterns in groups of 4, in batches of 4
    for groups in batches:
        assert groups.size == 16
        assert groups.min() >= 10
        assert all(len(set(group)) == len(group) for group in groups)


def test_an_epoch_draws_more_groups_where_training_goes_on_from_a_network(tiny_scan: Scan):
    anew, tuned, asked = CONFIG, CONFIG.replace(init="model.zip"), CONFIG.replace(init="model.zip", n_groups=16)
    assert [len(group_sampler(tiny_scan, config)) for config in (anew, tuned, asked)] == [3, 8, 4]


def test_groups_are_of_neighbours(tiny_scan: Scan):
    config = CONFIG.replace(neighbor_count=4, n_groups=60, batch_size=1)
    for groups in drawn(group_sampler(tiny_scan, config)):
        for group in groups:
            away = np.linalg.norm(tiny_scan.positions[10:] - tiny_scan.positions[group[0]], axis=1)
            assert set(group) == set(10 + np.argsort(away)[:4])


def test_groups_of_an_epoch_depend_on_seed_and_epoch_alone(tiny_scan: Scan):
    def epoch(number: int, seed: int = 42) -> np.ndarray:
        sampler = group_sampler(tiny_scan, CONFIG.replace(seed=seed))
        sampler.set_epoch(number)
        return np.concatenate([groups.ravel() for groups in drawn(sampler)])

    assert np.array_equal(epoch(3), epoch(3))
    assert not np.array_equal(epoch(3), epoch(4))
    assert not np.array_equal(epoch(3), epoch(3, seed=1))


def test_an_epoch_draws_the_number_of_groups_asked_for_even_beyond_the_patterns(tiny_scan: Scan):
    sampler = group_sampler(tiny_scan, CONFIG.replace(n_groups=200))
    assert sum(groups.size for groups in drawn(sampler)) == 200 * 4
    assert len(sampler) == 50


def test_fewer_groups_than_a_batch_make_one_smaller_batch(tiny_scan: Scan):
    (groups,) = drawn(group_sampler(tiny_scan, CONFIG.replace(n_groups=3)))
    assert groups.size == 3 * 4


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_an_epochs_groups_without_overlap(tiny_scan: Scan, world):
    config = CONFIG.replace(n_groups=48)
    alone = drawn(group_sampler(tiny_scan, config))
    parts = [drawn(group_sampler(tiny_scan, config, rank, world)) for rank in range(world)]
    assert [len(part) for part in parts] == [len(alone) // world] * world
    for rank, part in enumerate(parts):
        assert all(np.array_equal(a, b) for a, b in zip(part, alone[rank::world], strict=True))


def test_single_patterns_are_each_drawn_once_in_a_new_order_each_epoch():
    rows = np.arange(5, 40)
    sampler = PatternSampler(ANYWHERE, rows, CONFIG.replace(batch_size=8), rank=0, world=1)
    first = drawn(sampler)
    sampler.set_epoch(1)
    second = drawn(sampler)
    assert len(first) == len(sampler) == 5
    assert all(groups.shape[0] == 1 and groups.shape[1] <= 8 for groups in first)
    assert sorted(np.concatenate(first, axis=1)[0]) == sorted(np.concatenate(second, axis=1)[0]) == list(rows)
    assert not np.array_equal(np.concatenate(first, axis=1), np.concatenate(second, axis=1))


def test_fewer_single_patterns_are_drawn_when_asked_for():
    sampler = PatternSampler(ANYWHERE, np.arange(40), CONFIG.replace(n_groups=10), rank=0, world=1)
    assert sum(groups.size for groups in drawn(sampler)) == 10


@pytest.mark.parametrize(("count", "batch_size"), [(3, 4), (35, 4), (35, 1)])
def test_processes_share_single_patterns_in_equally_many_batches_none_empty(count, batch_size):
    config = CONFIG.replace(batch_size=batch_size)
    samplers = [PatternSampler(ANYWHERE, np.arange(count), config, rank=rank, world=4) for rank in range(4)]
    parts = [drawn(sampler) for sampler in samplers]
    assert {len(part) for part in parts} == {len(samplers[0])}
    assert all(groups.size for part in parts for groups in part)
    assert {int(row) for part in parts for groups in part for row in groups[0]} == set(range(count))


def batches(scan: Scan, config: Config, parts: Split, test_scan: Scan | None = None) -> ScanData:
    model = MODELS[config.engine].from_scan(scan, config)
    whole = split(len(test_scan), config.replace(val_fraction=0.05, free_fraction=0.0)) if test_scan else None
    return ScanData(model, [measured(scan, parts)], measured(test_scan, whole) if test_scan else None)


def test_training_batches_hold_training_patterns_and_validation_hides_its_own(tiny_scan: Scan):
    parts = split(60, CONFIG)
    module = batches(tiny_scan, CONFIG, parts)
    amplitudes = Amplitudes(tiny_scan)
    kept = {row: amplitudes[np.array([row])].amplitude[0] for row in range(60)}

    def rows(patterns: torch.Tensor) -> set[int]:
        return {row for pattern in patterns.flatten(0, 1) for row in kept if torch.equal(pattern, kept[row])}

    trained = set().union(*(rows(batch.amplitude) for batch in module.train_dataloader()))
    assert trained <= set(parts.train)
    (batch,) = module.val_dataloader()
    assert rows(batch.amplitude) == set(parts.validation)
    assert batch.hidden == len(parts.validation)


def test_a_test_scan_validates_on_a_part_of_itself(tiny_scan: Scan):
    test = tiny_scan.take(range(20, 50))
    parts = split(60, CONFIG, validate=False)
    module = batches(tiny_scan, CONFIG.replace(val_fraction=0), parts, test)
    assert module.validates
    (batch,) = module.val_dataloader()
    assert batch.amplitude.shape[1] == batch.hidden == 2


def test_nothing_validates_without_validation_patterns(tiny_scan: Scan):
    module = batches(tiny_scan, CONFIG, split(60, CONFIG, validate=False))
    assert not module.validates
    assert module.val_dataloader() == []


def test_many_patterns_validate_some_at_a_time():
    hidden = np.arange(2 * data.REGION + 3)
    deals = list(chunks(hidden, ANYWHERE))
    assert [deal.hidden for deal in deals] == [data.REGION, data.REGION, 3]
    assert np.array_equal(np.concatenate([deal.groups[0] for deal in deals]), hidden)


def test_processes_that_cannot_share_hidden_patterns_evenly_count_none_of_them_twice():
    deals = list(chunks(np.arange(2 * data.REGION + 3), ANYWHERE))
    shares = [list(FixedSampler(deals, rank=rank, world=2)) for rank in (0, 1)]
    assert [len(share) for share in shares] == [2, 2]  # as each waits for the other at every batch
    counted = [deal.groups[0] for share in shares for deal in share if not deal.again]
    assert np.array_equal(np.sort(np.concatenate(counted)), np.arange(2 * data.REGION + 3))


def test_the_direct_engine_sees_another_scan_on_the_canvas_that_it_is_trained_on(tiny_scan: Scan):
    config, test = CONFIG.replace(engine="direct"), tiny_scan.take(range(20, 50))
    module = batches(tiny_scan, config, split(60, config, validate=False), test)
    canvas = scan_canvas(tiny_scan)
    (batch,) = module.val_dataloader()
    assert {one.canvas for one in (*module.train_dataloader(), batch)} == {canvas.shape}
    expected = test.positions[batch.indexes] - canvas.origin
    np.testing.assert_allclose(batch.positions, expected, rtol=1e-6)


def test_patterns_are_let_go_of_when_a_run_and_a_reconstruction_end(tiny_scan, tmp_path, monkeypatch):
    """Trainers live on in cycles of references; on a GPU the next job would find no room."""
    made, init = [], Amplitudes.__init__

    def kept(self, *arguments):
        init(self, *arguments)
        made.append((self, weakref.ref(self.kept[0])))

    monkeypatch.setattr(Amplitudes, "__init__", kept)
    gc.disable()
    try:
        train(Config(**{**SMALL, "warm_start_epochs": 1, "max_epochs": 1}), tiny_scan, tmp_path, test_scan=tiny_scan)
        reconstruct(tiny_scan, tmp_path, polish_epochs=1, halves=False)
        assert len(made) == 3
        assert all(patterns() is None for _, patterns in made)
    finally:
        gc.enable()
