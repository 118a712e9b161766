"""What a run ran on: versions and host, for run.json and bundles. Imports none of the packages that it asks about."""

from __future__ import annotations

import os
import platform
from importlib import metadata

from ptycho_core import __version__

_PACKAGES = ("torch", "lightning", "numpy", "scipy", "h5py", "hdf5plugin", "scikit-image", "safetensors")


def versions() -> dict[str, str]:
    """Return the version of ptycho, of Python and of each package that a result may depend on.

    A package that is not installed is left out.
    """
    return {"ptycho": __version__, "python": platform.python_version(), **package_versions(*_PACKAGES)}


def package_versions(*packages: str) -> dict[str, str]:
    """Return the versions of those packages that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def host() -> dict[str, str | int | None]:
    """Return the names of platform, machine and host, the number of usable CPUs and the memory in bytes.

    ``memory_bytes`` is None where the operating system does not tell.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "platform": platform.platform(),
        "machine": platform.machine(),
        "hostname": platform.node(),
        "cpu_count": usable,
        "memory_bytes": _memory_bytes(),
    }


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None
