from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog

from ptycho_core import cli
from ptycho_core.base.build_config import build_config, read_settings
from ptycho_core.base.config import KNOBS, Config
from ptycho_core.cli import train
from ptycho_core.formats import read_scan
from ptycho_core.inspection.inspection import inspect
from ptycho_core.preprocessing import preprocess
from ptycho_core.runs.command_line import JobLimits
from ptycho_core.scan.steps import MaskPolygon
from ptycho_core.simulation import SimulationSpec, simulate
from ptycho_core.simulation.files import write_simulation
from ptycho_gui.train.draft import Draft
from ptycho_gui.train.job_script_dialog import JobScriptDialog
from ptycho_gui.train.jobs.settings_files import Folder
from ptycho_gui.train.training_panel import TrainingPanel


@pytest.fixture(scope="module")
def simulation():
    return simulate(SimulationSpec(size=16, n_patterns=30, step_px=2, jitter_px=0.5))


@pytest.fixture
def scan(simulation, tmp_path):
    return read_scan(write_simulation(simulation, tmp_path / "star.npz")[0])


@pytest.fixture
def draft(qapp):
    return Draft()


@pytest.fixture
def empty(qtbot, draft):
    panel = TrainingPanel(draft)
    qtbot.addWidget(panel)
    panel.show()
    yield panel
    panel.shut_down()


@pytest.fixture
def panel(qtbot, empty, draft, scan):
    with qtbot.waitSignal(empty.output_folder_changed):
        draft.set_scan(inspect(scan))
    return empty


def shown(panel):
    return {name for name, field in panel.form.fields.items() if field.isVisible()}


def enter(field, text):
    line = field.editor.box.lineEdit()
    line.selectAll()
    QTest.keyClicks(line, text)


def test_basic_settings_are_shown_at_once_and_the_others_unfold(empty):
    elsewhere = {"gridsize", "neighbor_count"}
    assert shown(empty) == {name for name, knob in KNOBS.items() if knob.basic} - elsewhere
    empty.form.unfold.click()
    assert shown(empty) == set(KNOBS) - elsewhere - DIRECT_ONLY


NETWORK_ONLY, DIRECT_ONLY = (
    {name for name, knob in KNOBS.items() if knob.engines == (engine,)} for engine in ("pinn", "direct")
)


def test_only_what_the_chosen_engine_uses_is_shown_and_counted(empty, draft):
    empty.form.unfold.click()
    every = shown(empty)
    draft.set("model_width", 20)
    draft.set("engine", "direct")
    assert shown(empty) == every - NETWORK_ONLY | DIRECT_ONLY
    assert every & NETWORK_ONLY
    assert empty.form.unfold.text() == "A&dvanced settings"
    draft.set("engine", "pinn")
    assert shown(empty) == every
    assert empty.form.unfold.text() == "A&dvanced settings: 1 changed"


def test_settings_that_the_chosen_engine_does_not_use_are_not_found(empty, draft):
    empty.form.search.setText("model width")
    assert "model_width" in shown(empty)
    draft.set("engine", "direct")
    assert "model_width" not in shown(empty)


def test_a_preset_tells_only_what_it_does_to_the_chosen_engine(empty, draft):
    draft.load({"preset": "best", "engine": "direct"})
    hint = empty.form.fields["preset"].hint
    assert "Epochs 80" in hint
    assert "width" not in hint


@pytest.mark.parametrize(
    ("text", "found"), [("learning rate", "learning_rate"), ("overlapp kept", None), ("HOW GOOD", "free_fraction")]
)
def test_settings_are_found_by_the_words_of_their_name_and_help(empty, text, found):
    empty.form.search.setText(text)
    assert shown(empty) == set() if found is None else found in shown(empty)
    assert "max_epochs" not in shown(empty)
    empty.form.search.clear()
    assert "max_epochs" in shown(empty)


def test_folded_settings_that_are_changed_or_wrong_are_counted(empty, draft):
    assert empty.form.unfold.text() == "A&dvanced settings"
    draft.set("seed", 7)
    enter(empty.form.fields["learning_rate"], "x")
    assert empty.form.unfold.text() == "A&dvanced settings: 2 changed, 1 to put right"


def test_preset_and_engine_say_what_they_do(empty, draft):
    draft.set("preset", "best")
    hint = empty.form.fields["preset"].hint
    assert "Epochs 80" in hint
    assert "model width 24" in hint
    assert "3 times" in hint
    draft.set("engine", "direct")
    assert "alone" in empty.form.fields["engine"].hint
    assert "times as long" not in empty.form.fields["preset"].hint


def test_a_job_script_asks_for_what_the_dialog_says_and_proposes_it_again(panel, qtbot, monkeypatch, tmp_path):
    shown = []

    def fill(dialog):
        shown.append(dialog.limits)
        dialog.minutes.setValue(30)
        dialog.partition.setText("gpu")
        return True

    monkeypatch.setattr(JobScriptDialog, "exec", fill)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *told: (str(tmp_path / "job.sh"), ""))
    for _ in range(2):
        panel.script.click()
        qtbot.waitUntil(lambda: panel.done.text() == "Saved job.sh: submit it with sbatch.")
    script = (tmp_path / "job.sh").read_text()
    assert "#SBATCH --time=30\n" in script
    assert "#SBATCH --partition=gpu\n" in script
    assert shown[0].memory_gb > 0
    assert shown[1] == JobLimits(30, shown[0].memory_gb, "gpu")


def test_the_folder_is_proposed_beside_the_scan(panel, scan):
    assert panel.output_folder == scan.source.path.parent / "star-run"


def test_a_folder_without_room_for_the_run_is_told_beside_it_and_keeps_it_from_starting(panel, draft, qtbot):
    qtbot.waitUntil(lambda: draft.reason_not_to_start() is None)
    draft.set_folder(Folder(panel.output_folder, "", 1000))
    assert "the run will write about" in panel.output.note.text
    assert "or set a smaller Checkpoints kept" in panel.output.note.text
    assert "the run will write about" in draft.reason_not_to_start()
    draft.set_folder(Folder(panel.output_folder, "", 10**12))
    assert panel.output.note.text == ""
    assert draft.reason_not_to_start() is None


def test_a_folder_that_exists_or_is_taken_is_not_proposed(panel, scan, qtbot):
    (scan.source.path.parent / "star-run").mkdir()
    with qtbot.waitSignal(panel.output_folder_changed):
        panel.renew_output_folder(taken=[scan.source.path.parent / "star-run-2"])
    assert panel.output_folder == scan.source.path.parent / "star-run-3"


def test_a_folder_that_the_operator_named_is_kept_until_another_scan_is_opened(panel, scan, draft, tmp_path, qtbot):
    panel.output_folder = tmp_path / "mine"
    panel.renew_output_folder()
    draft.set_scan(inspect(preprocess(scan, (MaskPolygon("1,2 3,4.5 6,1"),))))
    assert panel.output_folder == tmp_path / "mine"
    other = tmp_path / "other.npz"
    other.write_bytes(scan.source.path.read_bytes())
    with qtbot.waitSignal(panel.output_folder_changed):
        draft.set_scan(inspect(read_scan(other)))
    assert panel.output_folder == tmp_path / "other-run"


def test_a_folder_that_cannot_be_is_told_and_prevents_the_start(panel, scan, draft, qtbot):
    panel.output_folder = scan.source.path / "in a file"
    qtbot.waitUntil(lambda: draft.reason_not_to_start() is not None)
    assert draft.reason_not_to_start() == f"{scan.source.path} is a file: name a folder for the run"
    assert panel.output.note.text == draft.reason_not_to_start()
    draft.reset_all()
    assert draft.reason_not_to_start() is not None
    panel.output_folder = scan.source.path.parent / "elsewhere"
    qtbot.waitUntil(lambda: draft.reason_not_to_start() is None)


def test_no_folder_at_all_is_told(panel, draft):
    line = panel.output.field.line
    line.selectAll()
    QTest.keyClick(line, "\b")
    assert panel.output_folder is None
    assert draft.reason_not_to_start() == "name a folder for the run"


def test_settings_go_to_a_file_and_come_back(panel, draft, tmp_path, qtbot):
    draft.load({"preset": "quick", "seed": 7, "logger": ("csv", "mlflow")})
    panel.save_settings(tmp_path / "mine.json")
    qtbot.waitUntil(lambda: "Saved" in panel.done.text())
    assert build_config(read_settings(tmp_path / "mine.json")) == draft.config()
    draft.reset_all()
    panel.load_settings(tmp_path / "mine.json")
    qtbot.waitUntil(lambda: "Loaded mine.json" in panel.done.text())
    assert draft.settings() == {"preset": "quick", "seed": 7, "logger": ("csv", "mlflow")}
    assert panel.form.fields["seed"].editor.text() == "7"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [('{"seed": -1}', "seed must be"), ("{", "is not JSON"), ('{"logger": ["none", "csv"]}', "logger none")],
)
def test_a_wrong_file_of_settings_is_told_and_changes_nothing(panel, draft, tmp_path, qtbot, content, sentence):
    draft.set("seed", 7)
    (tmp_path / "wrong.json").write_text(content)
    panel.load_settings(tmp_path / "wrong.json")
    qtbot.waitUntil(lambda: sentence in panel.note.text)
    assert draft.settings() == {"seed": 7}


def test_a_file_that_cannot_be_written_is_told(panel, tmp_path, qtbot):
    panel.save_settings(tmp_path / "no such folder" / "mine.json")
    qtbot.waitUntil(lambda: "does not exist" in panel.note.text)


def test_reset_all_gives_every_setting_its_default(panel, draft):
    draft.set("preset", "best")
    enter(panel.form.fields["max_epochs"], "x")
    panel.reset.click()
    assert draft.config() == Config()
    assert panel.form.fields["max_epochs"].editor.text() == "50"
    assert not panel.reset.isEnabled()
    assert panel.reset.toolTip().endswith("Not now: Nothing is changed.")


def test_the_copied_command_line_trains_with_what_is_shown(panel, draft):
    draft.load({"preset": "quick", "seed": 7, "devices": 4})
    panel.copy.click()
    program, *words = shlex.split(QGuiApplication.clipboard().text())
    args = cli.parse(words)
    assert program == "ptycho"
    assert build_config(train.settings(args)) == draft.config()
    assert args.output_dir == panel.output_folder


def test_the_copied_command_line_leaves_out_what_its_engine_does_not_use(panel, draft):
    draft.load({"engine": "direct", "gridsize": 3, "seed": 7})
    panel.copy.click()
    args = cli.parse(shlex.split(QGuiApplication.clipboard().text())[1:])
    assert train.settings(args) == {"preset": "standard", "engine": "direct", "seed": 7}


def test_steps_that_need_a_file_get_it_when_the_command_is_copied(panel, draft, scan, qtbot):
    scan = preprocess(scan, (MaskPolygon("1,2 3,4.5 6,1"),))
    draft.set_scan(inspect(scan))
    panel.copy.click()
    qtbot.waitUntil(lambda: "star-run-steps.json" in panel.done.text())
    args = cli.parse(shlex.split(QGuiApplication.clipboard().text())[1:])
    assert args.steps == scan.source.steps


def test_a_job_script_is_saved_that_a_shell_takes(panel, draft, tmp_path, qtbot):
    draft.load({"devices": 4, "num_nodes": 2})
    panel.save_script(tmp_path / "job.sh", JobLimits())
    qtbot.waitUntil(lambda: "job.sh" in panel.done.text())
    script = (tmp_path / "job.sh").read_text()
    assert "#SBATCH --nodes=2" in script
    assert subprocess.run(["bash", "-n", tmp_path / "job.sh"]).returncode == 0


def test_a_script_that_cannot_be_is_told(panel, draft, tmp_path):
    draft.set("devices", "auto")
    panel.save_script(tmp_path / "job.sh", JobLimits())
    assert "set devices to one" in panel.note.text
    assert not (tmp_path / "job.sh").exists()


def test_buttons_that_cannot_help_say_why(empty, draft, scan):
    assert not empty.copy.isEnabled()
    assert empty.copy.toolTip().endswith("Not now: Open a scan first.")
    draft.set_scan(inspect(scan))
    assert empty.copy.isEnabled()
    enter(empty.form.fields["max_epochs"], "x")
    for button in (empty.copy, empty.script, empty.save):
        assert not button.isEnabled()
        assert button.toolTip().endswith("Not now: Put right first what is marked as wrong.")


@pytest.mark.parametrize("name", ["load", "save", "script"])
def test_file_dialogs_begin_where_the_last_one_ended(panel, tmp_path, monkeypatch, qtbot, name):
    monkeypatch.setattr(JobScriptDialog, "exec", lambda dialog: True)
    folder = tmp_path / "there"
    folder.mkdir()
    file = folder / "file"
    file.write_text(json.dumps({"seed": 7}))
    begun = []

    def ask(parent, title, start, filters):
        begun.append(Path(start))
        return str(file), filters

    monkeypatch.setattr(QFileDialog, "getOpenFileName", ask)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", ask)
    panel.folder = tmp_path
    for _ in range(2):
        getattr(panel, name).click()
        qtbot.waitUntil(lambda: not panel.done.isHidden())
    assert [place if name == "load" else place.parent for place in begun] == [tmp_path, folder]
    assert panel.folder == folder
