"""List the licences of what ptycho is shipped with: run ``python packaging/make_licences.py`` after a change of pins.

The list is made from the metadata of the packages installed here. Those that only some builds of torch bring (CUDA)
are not pinned and not listed: their licences lie beside them.
"""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "licences.md"

HEAD = """\
# Licences of what ptycho is shipped with

ptycho itself is under the BSD-3-Clause licence. It runs in Python (PSF-2.0) and needs these packages, whose licence
texts are installed with them (`*.dist-info`). Qt for Python, under the LGPL-3.0, is linked at run time: its libraries
can be replaced by others. `packaging/make_licences.py` makes this list of what the packages say of themselves.

| package | version | licence | home page |
|---|---|---|---|
"""


def runtime_packages() -> dict[str, importlib.metadata.Distribution]:
    """Return what the project needs to run here, directly or not, by normalised name; optional extras are left out."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found: dict[str, importlib.metadata.Distribution] = {}
    left = [Requirement(text) for text in project["dependencies"]]
    while left:
        requirement = left.pop()
        distribution = importlib.metadata.distribution(requirement.name)
        name = canonicalize_name(requirement.name)
        needs = [Requirement(text) for text in distribution.requires or []]
        extras = requirement.extras or {""}
        wanted = [n for n in needs if n.marker is None or any(n.marker.evaluate({"extra": extra}) for extra in extras)]
        left += [need for need in wanted if canonicalize_name(need.name) not in found or need.extras]
        found[name] = distribution
    return found


def pinned() -> set[str]:
    """Return the normalised names in constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return {canonicalize_name(Requirement(line).name) for line in lines if line and not line.startswith("#")}


def licence(metadata: importlib.metadata.PackageMetadata) -> str:
    """Return a package's licence as an expression, or what it is classified as."""
    said = (metadata.get("License-Expression") or metadata.get("License") or "").strip()
    classified = [c.rpartition(" :: ")[2] for c in metadata.get_all("Classifier") or [] if c.startswith("License ::")]
    if not said or "\n" in said:  # some put the whole text there
        said = ", ".join(classified) or "see its files"
    return said


def home_page(metadata: importlib.metadata.PackageMetadata) -> str:
    """Return a package's home page, or where its source is."""
    pages = dict(re.split(r",\s*", text, maxsplit=1) for text in metadata.get_all("Project-URL") or [])
    known = {label.lower(): address for label, address in pages.items()}
    labels = ("homepage", "home", "source", "repository", "source code", "code", "github", "documentation")
    return metadata.get("Home-page") or next((known[label] for label in labels if label in known), "")


def rows() -> Iterator[str]:
    """Yield one row of the table for each pinned package that is installed."""
    for name, distribution in sorted(runtime_packages().items()):
        if name in pinned():
            metadata = distribution.metadata
            version = distribution.version.partition("+")[0]
            yield f"| {name} | {version} | {licence(metadata)} | {home_page(metadata)} |"


if __name__ == "__main__":
    PAGE.write_text(HEAD + "\n".join(rows()) + "\n", encoding="utf-8")
