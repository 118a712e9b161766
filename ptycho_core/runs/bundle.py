"""The checkpoint bundle: a zip that holds all that is needed to run a trained model elsewhere, and nothing that runs.

Weights are safetensors, the rest is JSON and text; the SHA-256 of each member is in ``manifest.json``. That finds
damage in transit, not malice: what protects the reader is that no member is ever executed or unpickled.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from ptycho_core.base.atomic import atomic_write
from ptycho_core.base.codec import json_ready
from ptycho_core.base.errors import InputError
from ptycho_core.formats.stores.store import reading

VERSION = 1
WEIGHTS = "weights.safetensors"
MANIFEST = "manifest.json"
_DOCUMENTS = {
    "config.json": "config",
    "scan.json": "scan_summary",
    "metrics.json": "metrics",
    "environment.json": "environment",
}
_LIMITS = {
    **dict.fromkeys((MANIFEST, *_DOCUMENTS, "command.txt", "README.txt"), 16 * 2**20),
    WEIGHTS: 4 * 2**30,
}
"""The only members that a bundle may have, and the most bytes of each."""

_README = """\
A trained ptychography model, written by ptycho.

Reconstruct a scan with it:

    ptycho reconstruct --checkpoint bundle.zip --scan scan.npz out

weights.safetensors  the model's arrays (safetensors; complex numbers as complex64)
config.json          every setting of the training
scan.json            the scan that it was trained on
metrics.json         how good it was
environment.json     versions of the software
command.txt          the command that trained it
manifest.json        format, version, and the SHA-256 of each other file

Nothing in here is a program: opening a bundle executes nothing.
"""


@dataclass(frozen=True, eq=False)
class Bundle:
    """What a bundle holds.

    Parameters
    ----------
    tensors
        Weights by name; complex64 stays complex64.
    config
        The run's config as JSON-ready primitives.
    scan_summary
        The scan that it was trained on: path, shape, geometry, SHA-256 and the like.
    metrics
        Final metrics.
    environment
        As `ptycho_core.base.environment` tells it.
    command
        The command line that trained it.
    """

    tensors: dict[str, NDArray[Any]]
    config: dict[str, Any]
    scan_summary: dict[str, Any]
    metrics: dict[str, Any]
    environment: dict[str, Any]
    command: str


def write_bundle(
    path: str | Path,
    *,
    tensors: dict[str, NDArray[Any]],
    config: dict[str, Any],
    scan_summary: dict[str, Any],
    metrics: dict[str, Any],
    environment: dict[str, Any],
    command: str,
) -> Path:
    """Write a checkpoint bundle; the same content gives the same bytes.

    Parameters are those of `Bundle`; ``tensors`` may be of any bool, integer or float type or complex64.

    Raises
    ------
    PtychoError
        The file cannot be written.
    """
    target = Path(path)
    # safetensors copies the buffer as it lies in memory, strides ignored; ascontiguousarray would add an axis to 0-d
    contiguous = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    documents = {"config": config, "scan_summary": scan_summary, "metrics": metrics, "environment": environment}
    members = {WEIGHTS: save(contiguous), "command.txt": command.encode(), "README.txt": _README.encode()}
    for name, field in _DOCUMENTS.items():
        members[name] = _json_bytes(documents[field])
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in members.items()}
    members[MANIFEST] = _json_bytes({"format": "ptycho checkpoint bundle", "version": VERSION, "sha256": digests})

    with atomic_write(target, read_bundle) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, data in sorted(members.items()):
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 3  # Unix, wherever it is written
            info.external_attr = 0o644 << 16
            archive.writestr(info, data)
    return target


def _json_bytes(value: Any) -> bytes:
    return json.dumps(json_ready(value), indent=2, sort_keys=True, allow_nan=False).encode()


def read_bundle(path: str | Path) -> Bundle:
    """Read a checkpoint bundle, after checking that it is whole and holds nothing else.

    Raises
    ------
    InputError
        Not a bundle; a member is unknown, missing, repeated, too large or damaged; a newer version.
    """
    source = Path(path)
    if not source.is_file():
        raise InputError(f"there is no file {source}")
    with reading(source, "the bundle"), zipfile.ZipFile(source) as archive:
        _check_members(source, archive)
        members = {name: archive.read(name) for name in _LIMITS}
        _check_digests(source, members)
        documents = {field: _json_object(name, members[name]) for name, field in _DOCUMENTS.items()}
        # the arrays of safetensors are read-only views of the file's bytes
        tensors = {name: array.copy() for name, array in load(members[WEIGHTS]).items()}
    return Bundle(tensors=tensors, command=members["command.txt"].decode(), **documents)


def _check_members(source: Path, archive: zipfile.ZipFile) -> None:
    names = archive.namelist()
    for info in archive.infolist():
        limit = _LIMITS.get(info.filename)
        if limit is None:
            raise InputError(f"{source} is not a checkpoint bundle: it must not hold {info.filename!r}")
        if info.file_size > limit:
            raise InputError(f"{source}: {info.filename} must be at most {limit} bytes (it is {info.file_size})")
        if names.count(info.filename) > 1:
            raise InputError(f"{source}: {info.filename} is there more than once")
    missing = sorted(set(_LIMITS) - set(names))
    if missing:
        raise InputError(f"{source} is not a checkpoint bundle: it has no {', '.join(missing)}")


def _json_object(name: str, data: bytes) -> dict[str, Any]:
    value = json.loads(data)
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be a JSON object")
    return value


def _check_digests(source: Path, members: dict[str, bytes]) -> None:
    manifest = _json_object(MANIFEST, members[MANIFEST])
    version = manifest.get("version")
    if version != VERSION:
        raise InputError(f"{source} is a bundle of version {version}; this program reads version {VERSION}")
    for name, data in members.items():
        if name != MANIFEST and hashlib.sha256(data).hexdigest() != manifest["sha256"].get(name):
            raise InputError(f"{source}: {name} is damaged, its SHA-256 is not the one in {MANIFEST}")
