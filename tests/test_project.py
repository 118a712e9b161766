"""The project around the core: what the README promises, what is installed, what the wheel holds."""

from __future__ import annotations

import importlib.metadata
import re
import runpy
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PySide6.QtCore import QObject

import ptycho_core
from ptycho_core.formats import READERS, SETTINGS
from ptycho_core.formats.exports import EXPORTERS, SCAN_WRITERS
from ptycho_core.run_record import STATUSES

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
CONSTRAINTS = [Requirement(line) for line in LINES if line and not line.startswith("#")]
PINS = {canonicalize_name(pin.name): pin for pin in CONSTRAINTS}


def declared() -> list[Requirement]:
    project = PROJECT["project"]
    groups = [
        project["dependencies"],
        *project["optional-dependencies"].values(),
        PROJECT["build-system"]["requires"],
    ]
    return [Requirement(text) for group in groups for text in group]


def pinned_version(name: str) -> str:
    (specifier,) = PINS[canonicalize_name(name)].specifier
    assert specifier.operator == "=="
    return specifier.version


@pytest.mark.parametrize("target", ["demo", "test"])
def test_the_readme_names_both_commands_and_make_knows_them(target):
    assert f"make {target}" in README
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda p: p.name)
def test_every_file_that_a_page_links_to_exists(page):
    text = re.sub(r"<!--.*?-->", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#]+)", text)
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_the_command_reference_is_up_to_date():
    script = ROOT / "docs" / "make_reference.py"
    fresh = runpy.run_path(str(script))["reference"]()
    assert (ROOT / "docs" / "commands.md").read_text(encoding="utf-8") == fresh, f"run {script}"


@pytest.mark.parametrize("name", ["README.md", "docs/guide.md"])
def test_a_page_calls_only_commands_and_flags_that_exist(name):
    reference = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), flags=re.DOTALL)
    calls = [line for block in blocks for line in block.splitlines() if line.startswith("ptycho ")]
    assert calls
    for call in calls:
        command, *words = call.partition("#")[0].split()[1:]
        section = reference.partition(f"## ptycho {command}\n")[2].partition("\n## ")[0]
        assert section, call
        flags = [word.replace("_", "-") for word in words if word.startswith("--")]
        assert [flag for flag in flags if not re.search(rf"`{flag}[ `]", section)] == [], call


def test_the_guide_explains_every_status_of_a_run():
    guide = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    assert [status for status in STATUSES if f"\n| {status} |" not in guide] == []


@pytest.mark.parametrize("names", [READERS, SETTINGS, EXPORTERS, SCAN_WRITERS], ids=lambda names: " ".join(names))
def test_the_description_of_formats_names_every_one_and_every_setting(names):
    text = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    assert [name for name in names if f"`{name}`" not in text] == []


@pytest.mark.parametrize("requirement", declared(), ids=str)
def test_a_declared_dependency_is_pinned_at_a_version_that_the_declaration_allows(requirement):
    assert requirement.specifier.contains(pinned_version(requirement.name))


def test_pins_are_exact_and_name_no_build_that_only_one_machine_has():
    versions = [pinned_version(pin.name) for pin in CONSTRAINTS]
    assert [version for version in versions if "+" in version] == []
    assert [pin for pin in CONSTRAINTS if pin.url] == []


def test_lightning_is_not_a_version_that_was_tampered_with():
    for name in ("lightning", "pytorch-lightning"):
        assert pinned_version(name) not in ("2.6.2", "2.6.3")


def test_calls_into_qt_keep_count_of_none():
    thing = QObject()
    before = sys.getrefcount(None)
    for _ in range(2000):
        thing.parent()
    assert sys.getrefcount(None) > before - 1000, "None loses references until the interpreter aborts"


def test_everything_installed_for_the_project_is_pinned():
    left, known = [r for r in declared() if not r.marker], set()
    while left:
        requirement = left.pop()
        name = canonicalize_name(requirement.name)
        key = (name, frozenset(requirement.extras))
        if key in known:
            continue
        known.add(key)
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # an extra that is not installed
        assert name in PINS, f"{name} is not in constraints.txt"
        for need in map(Requirement, needs):
            extras = requirement.extras or {""}
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras):
                left.append(need)
    assert len(known) > 50


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_the_wheel_holds_the_package_the_licence_and_nothing_else(wheel):
    information = f"ptycho-{ptycho_core.__version__}.dist-info"
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "ptycho_core").rglob("*.py")}
    names = set(wheel.namelist())
    assert {name for name in names if name.endswith(".py")} == sources
    assert {"ptycho_core/py.typed", f"{information}/licenses/LICENSE"} <= names
    assert {name.partition("/")[0] for name in names} == {"ptycho_core", information}


def test_the_wheel_states_version_licence_and_command(wheel):
    information = f"ptycho-{ptycho_core.__version__}.dist-info"
    metadata = wheel.read(f"{information}/METADATA").decode()
    assert f"\nVersion: {ptycho_core.__version__}\n" in metadata
    assert "\nLicense-Expression: BSD-3-Clause\n" in metadata
    assert "ptycho = ptycho_core.cli:main" in wheel.read(f"{information}/entry_points.txt").decode()
