from __future__ import annotations

import dataclasses
import hashlib
import json
import warnings
import zipfile

import numpy as np
import pytest
from safetensors.numpy import load

from ptycho_core.base.errors import InputError
from ptycho_core.runs.bundle import read_bundle, write_bundle

CONTENT = {
    "tensors": {
        "net.weight": np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32),
        "probe": (np.arange(8) + 1j * np.arange(8)[::-1]).reshape(1, 2, 4).astype(np.complex64),
        "steps": np.array(7),
        "mask": np.array([True, False]),
        "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    },
    "config": {"max_epochs": 6, "learning_rate": 1e-3},
    "scan_summary": {"path": "scan.npz", "shape": [516, 128, 128]},
    "metrics": {"r_factor": 0.084, "r_free": float("nan")},
    "environment": {"torch": "2.13.0"},
    "command": "ptycho train --train_data_file scan.npz",
}


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path / "bundle.zip", **CONTENT)


def rewritten(bundle, change):
    """The same bundle with its members, a dict of name to bytes, changed."""
    with zipfile.ZipFile(bundle) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(bundle, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return bundle


def test_everything_survives_the_round_trip_complex_numbers_too(bundle):
    back = read_bundle(bundle)
    assert back.tensors.keys() == CONTENT["tensors"].keys()
    for name, array in CONTENT["tensors"].items():
        assert (back.tensors[name].dtype, back.tensors[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(back.tensors[name], array)
        assert back.tensors[name].flags.writeable
    assert back.metrics == {"r_factor": 0.084, "r_free": None}
    for field in ("config", "scan_summary", "environment", "command"):
        assert getattr(back, field) == CONTENT[field]
    with pytest.raises(dataclasses.FrozenInstanceError):
        back.command = ""


def test_other_programs_read_it_as_zip_json_and_safetensors(bundle):
    with zipfile.ZipFile(bundle) as archive:
        assert archive.testzip() is None
        manifest = json.loads(archive.read("manifest.json"))
        assert set(manifest["sha256"]) == set(archive.namelist()) - {"manifest.json"}
        for name, digest in manifest["sha256"].items():
            assert hashlib.sha256(archive.read(name)).hexdigest() == digest
        assert load(archive.read("weights.safetensors"))["probe"].dtype == np.complex64
        assert "ptycho reconstruct --checkpoint bundle.zip --scan scan.npz out" in archive.read("README.txt").decode()


def test_the_same_content_gives_the_same_bytes(bundle, tmp_path):
    reordered = {**CONTENT, "tensors": dict(reversed(CONTENT["tensors"].items()))}
    other = write_bundle(tmp_path / "other.zip", **reordered)
    assert other.read_bytes() == bundle.read_bytes()


@pytest.mark.parametrize("member", ["weights.safetensors", "config.json", "command.txt", "README.txt"])
def test_a_changed_member_is_found(bundle, member):
    def change(members):
        members[member] = members[member][:-1] + bytes([members[member][-1] ^ 1])

    with pytest.raises(InputError, match=f"{member} is damaged, its SHA-256"):
        read_bundle(rewritten(bundle, change))


@pytest.mark.parametrize("name", ["hook.py", "../config.json", "/etc/passwd", "config.json/x"])
def test_a_member_that_does_not_belong_is_refused(bundle, name):
    with pytest.raises(InputError, match="must not hold"):
        read_bundle(rewritten(bundle, lambda members: members.update({name: b"x"})))


def test_a_missing_member_is_named(bundle):
    with pytest.raises(InputError, match=r"it has no metrics\.json"):
        read_bundle(rewritten(bundle, lambda members: members.pop("metrics.json")))


def test_a_repeated_member_is_refused(bundle):
    with warnings.catch_warnings(), zipfile.ZipFile(bundle, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("config.json", b"{}")
    with pytest.raises(InputError, match=r"config\.json is there more than once"):
        read_bundle(bundle)


def test_a_zip_bomb_is_refused_by_its_declared_size_before_it_is_read(bundle, monkeypatch):
    with zipfile.ZipFile(bundle) as archive:
        names = [name for name in archive.namelist() if name != "config.json"]
        members = {name: archive.read(name) for name in names}
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        archive.writestr("config.json", bytes(17 * 2**20))
    assert bundle.stat().st_size < 2**20
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("read before the sizes were checked"))
    with pytest.raises(InputError, match=r"config\.json must be at most 16777216 bytes \(it is 17825792\)"):
        read_bundle(bundle)


def test_a_newer_version_is_named(bundle):
    def change(members):
        members["manifest.json"] = json.dumps({**json.loads(members["manifest.json"]), "version": 2}).encode()

    with pytest.raises(InputError, match="a bundle of version 2; this program reads version 1"):
        read_bundle(rewritten(bundle, change))


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 broken"])
def test_what_is_not_a_bundle_is_one_sentence(tmp_path, content):
    path = tmp_path / "bundle.zip"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bundle\.zip: the bundle cannot be read"):
        read_bundle(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"^there is no file .*bundle\.zip$"):
        read_bundle(tmp_path / "bundle.zip")


def test_a_bundle_cut_short_or_flipped_anywhere_is_an_input_error_or_whole(bundle):
    data = bundle.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(data), 200):
        for damaged in (data[:place], data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]):
            bundle.write_bytes(damaged)
            try:
                back = read_bundle(bundle)
            except InputError:
                continue
            np.testing.assert_array_equal(back.tensors["probe"], CONTENT["tensors"]["probe"])


def test_metadata_that_is_no_object_is_an_input_error(bundle):
    def change(members):
        members["config.json"] = b"[1]"
        manifest = json.loads(members["manifest.json"])
        manifest["sha256"]["config.json"] = hashlib.sha256(b"[1]").hexdigest()
        members["manifest.json"] = json.dumps(manifest).encode()

    with pytest.raises(InputError, match=r"config\.json must be a JSON object"):
        read_bundle(rewritten(bundle, change))
