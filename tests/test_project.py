"""The project around the core: what the README promises, what is installed, what the wheel holds."""

from __future__ import annotations

import ast
import configparser
import importlib.metadata
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PySide6.QtCore import QObject
from PySide6.QtSvg import QSvgRenderer

import ptycho_core
from ptycho_core.base.events import Status
from ptycho_core.formats import READERS
from ptycho_core.formats.writers.exports import EXPORTERS, SCAN_WRITERS
from ptycho_core.scan.settings import SETTINGS
from ptycho_gui.app import DESKTOP_ID
from ptycho_gui.window.actions import DECLARED
from ptycho_gui.window.guide_window import anchor_of

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
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


ARCHITECTURE = ROOT / "docs" / "architecture.md"


@pytest.mark.parametrize("package", ["ptycho_core", "ptycho_gui"])
def test_the_architecture_names_every_room_and_no_other(package):
    text = ARCHITECTURE.read_text(encoding="utf-8").partition(f"| `{package}/` |")[2].partition("\n\n")[0]
    named = re.findall(r"^\| `([\w.]+?)/?` \|", text, flags=re.MULTILINE)
    rooms = [path.name for path in (ROOT / package).iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert sorted(name for name in named if not name.endswith(".py")) == sorted(rooms)
    assert all((ROOT / package / name).exists() for name in named)


@pytest.mark.parametrize("package", ["ptycho_core", "ptycho_gui"])
def test_a_newcomer_finds_a_room_among_twelve_at_most(package):
    rooms = [path for path in (ROOT / package).iterdir() if path.suffix == ".py" or path.is_dir()]
    assert sum(path.name not in ("__init__.py", "__pycache__") for path in rooms) <= 12


@pytest.mark.parametrize("page", [ARCHITECTURE, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_a_page_for_contributors_calls_things_by_their_names_in_the_code(page):
    code = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("ptycho_*/**/*.py"))
    code += (ROOT / "tests/helpers/scan_files.py").read_text(encoding="utf-8")
    names = set(re.findall(r"`([A-Za-z_]+)`", page.read_text(encoding="utf-8")))
    assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", code)] == []
    folders = r"ptycho_\w+/|tests/|docs/|examples/|kit/|base/|engines/"
    paths = re.findall(rf"`((?:{folders})[\w./]*)`", page.read_text(encoding="utf-8"))
    homes = (ROOT, ROOT / "ptycho_core", ROOT / "ptycho_gui")
    left = [path for path in paths if not re.search(r"\b(TASK|NAME)\b", path)]
    assert [path for path in left if not any((home / path).exists() for home in homes)] == []


def test_a_sentence_for_command_line_and_window_alike_names_no_flag():
    spoken = []
    for path in sorted((ROOT / "ptycho_core").rglob("*.py")):
        if path.parent.name == "cli" or path.name == "steps_json.py":  # which speak of flags alone
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            said: list[ast.expr] = []
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("Error", "Problem")):
                said = node.args
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "message":
                said = [node.value]
            words = [part.value for each in said for part in ast.walk(each) if isinstance(part, ast.Constant)]
            spoken += [(path.name, word) for word in words if isinstance(word, str)]
    assert len(spoken) > 100
    assert not [(name, word) for name, word in spoken if re.search(r"[ (`]--[a-z]", word)]


def test_every_file_that_states_the_version_states_the_same():
    release = ElementTree.parse(ROOT / "packaging" / f"{DESKTOP_ID}.metainfo.xml").find("releases/release")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    newest = re.search(
        r"^## \[(?:Unreleased\], to be )?([\d.]+)", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE
    )
    assert {release.get("version"), citation["version"], newest[1]} == {ptycho_core.__version__}


def test_hosted_ci_runs_what_we_run_on_every_python_that_is_declared():
    (job,) = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"].values()
    assert "make lint test" in [step.get("run") for step in job["steps"]]
    declared = [line.rpartition(" ")[2] for line in PROJECT["project"]["classifiers"] if ":: 3." in line]
    assert job["strategy"]["matrix"]["python"] == declared


def test_checks_before_a_commit_are_those_of_lint():
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    lint = (ROOT / "Makefile").read_text(encoding="utf-8").partition("lint: $(installed)\n")[2].partition("\n\n")[0]
    commands = [line.strip().replace("$(bin)", ".venv/bin") for line in lint.splitlines()]
    hooks = [hook["entry"].replace(" --force-exclude", "") for hook in repository["hooks"]]
    assert [command.removesuffix(" --check") for command in commands] == hooks


@pytest.mark.parametrize("target", ["gui", "demo", "test"])
def test_the_readme_names_the_commands_and_make_knows_them(target):
    assert f"make {target}" in README
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_file_that_a_page_links_to_exists(page):
    text = re.sub(r"<!--.*?-->", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#]+)", text)
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_heading_that_a_page_links_to_exists(page):
    missing = []
    for name, heading in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text(encoding="utf-8")):
        target = page.parent / name if name else page
        headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), flags=re.MULTILINE)
        if heading not in map(anchor_of, headings):
            missing.append(f"{name}#{heading}")
    assert missing == []


def test_every_picture_of_the_pages_is_shown_by_one():
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "README.md", ROOT / "docs/guide.md"))
    names = [path.name for path in (ROOT / "docs/images").iterdir()]
    light = [name.replace("-dark.", "-light.") for name in names]  # a dark one takes its place in a dark window
    assert [name for name in light if f"images/{name}" not in pages] == []


def test_the_command_reference_is_up_to_date():
    script = ROOT / "docs" / "make_reference.py"
    fresh = runpy.run_path(str(script))["reference"]()
    assert (ROOT / "docs" / "commands.md").read_text(encoding="utf-8") == fresh, f"run {script}"


def test_the_list_of_licences_is_up_to_date():
    script = ROOT / "packaging" / "make_licences.py"
    listed = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8").splitlines()
    missing = [row for row in runpy.run_path(str(script))["rows"]() if row not in listed]
    assert missing == [], f"run {script}"
    versions = {
        row.split(" | ")[0].removeprefix("| "): row.split(" | ")[1]
        for row in listed[listed.index("|---|---|---|---|") + 1 :]
    }
    assert len(versions) > 30
    assert {name: pinned_version(name) for name in versions} == versions


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
    assert [status for status in Status if f"\n| {status} |" not in guide] == []


def test_the_guide_lists_the_keys_of_every_action_and_no_others():
    keys = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8").partition(". Keys\n")[2]
    listed = re.findall(r"^\| (\S+) \|", keys, flags=re.MULTILINE)[1:]
    assert sorted(listed) == sorted(action.shortcut for action in DECLARED.values() if action.shortcut)


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
    return path


@pytest.fixture
def archive(wheel):
    with zipfile.ZipFile(wheel) as archive:
        yield archive


def files(*folders: str) -> set[str]:
    found = {path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()}
    return {path.relative_to(ROOT).as_posix() for path in found if "__pycache__" not in path.parts}


@pytest.mark.xdist_group("wheel")
def test_the_wheel_holds_both_packages_what_they_show_and_nothing_else(archive):
    names = {name for name in archive.namelist() if ".dist-info/" not in name and ".data/" not in name}
    assert names == files("ptycho_core", "ptycho_gui") | {
        f"ptycho_core/shipped/{n}" for n in files("resources", "docs")
    }
    assert sum(entry.compress_size for entry in archive.infolist()) < 10e6


@pytest.mark.xdist_group("wheel")
def test_the_wheel_states_version_licence_and_commands(archive):
    information = f"ptycho-{ptycho_core.__version__}.dist-info"
    metadata = archive.read(f"{information}/METADATA").decode()
    assert f"\nVersion: {ptycho_core.__version__}\n" in metadata
    assert "\nLicense-Expression: BSD-3-Clause\n" in metadata
    assert f"{information}/licenses/LICENSE" in archive.namelist()
    commands = archive.read(f"{information}/entry_points.txt").decode()
    assert "ptycho = ptycho_core.cli:main" in commands
    assert "ptycho-gui = ptycho_gui.app:main" in commands


@pytest.mark.xdist_group("wheel")
def test_installed_from_the_wheel_alone_everything_that_is_shown_is_found(wheel, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path)], check=True)
    python = tmp_path / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*install, str(wheel)], check=True)
    shown = "('resources/icons', 'docs')"
    ask = f"from ptycho_core.base.resource_files import resource\nfor name in {shown}: print(resource(name))"
    done = subprocess.run([python, "-I", "-c", ask], cwd=tmp_path, capture_output=True, text=True, check=True)
    icons, docs = map(Path, done.stdout.splitlines())
    assert icons.is_relative_to(tmp_path)
    assert docs.is_relative_to(tmp_path)
    assert {path.name for path in icons.iterdir()} == {path.name for path in (ROOT / "resources/icons").iterdir()}
    assert (docs / "guide.md").read_bytes() == (ROOT / "docs/guide.md").read_bytes()
    assert {path.name for path in (tmp_path / "share").rglob(f"{DESKTOP_ID}*")} == {
        f"{DESKTOP_ID}.desktop",
        f"{DESKTOP_ID}.metainfo.xml",
        f"{DESKTOP_ID}.svg",
    }


def test_the_desktop_entry_names_what_is_installed():
    entry = configparser.ConfigParser(interpolation=None)
    entry.read(ROOT / "packaging" / f"{DESKTOP_ID}.desktop", encoding="utf-8")
    described = entry["Desktop Entry"]
    assert described["Exec"].split()[0] in PROJECT["project"]["gui-scripts"]
    assert described["Icon"] == DESKTOP_ID
    information = ElementTree.parse(ROOT / "packaging" / f"{DESKTOP_ID}.metainfo.xml").getroot()
    assert information.findtext("id") == DESKTOP_ID
    assert information.findtext("launchable") == f"{DESKTOP_ID}.desktop"
    assert information.findtext("project_license") == PROJECT["project"]["license"]


@pytest.mark.parametrize(
    "command", ["desktop-file-validate {0}.desktop", "appstreamcli validate --no-net {0}.metainfo.xml"]
)
def test_the_desktop_files_pass_their_tools(command):
    words = command.format(ROOT / "packaging" / DESKTOP_ID).split()
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


@pytest.mark.parametrize("path", sorted((ROOT / "resources/icons").glob("*.svg")), ids=lambda path: path.stem)
def test_an_icon_is_drawn_on_the_common_grid_and_qt_understands_it(path):
    assert ElementTree.parse(path).getroot().get("viewBox") == "0 0 24 24"
    assert QSvgRenderer(str(path)).isValid()
