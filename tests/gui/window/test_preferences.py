"""What the window remembers, and when it does not."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QByteArray

from ptycho_gui.window.preferences import Preferences


def written(path, **texts):
    preferences = Preferences(path)
    for key, text in texts.items():
        preferences.set_text(key, text)
    preferences.save()


def test_texts_folders_and_bytes_come_back(tmp_path, qapp):
    preferences = Preferences(tmp_path / "window.ini")
    preferences.set_text("scheme", "dark")
    preferences.set_folder("open", tmp_path)
    preferences.set_bytes("state", QByteArray(b"\x00\x01"))
    preferences.set_texts("formats", ["npz"])
    preferences.save()
    again = Preferences(tmp_path / "window.ini")
    assert (again.text("scheme"), again.folder("open")) == ("dark", tmp_path)
    assert (bytes(again.bytes("state").data()), again.texts("formats")) == (b"\x00\x01", ["npz"])


def test_recent_scans_are_the_newest_first_each_once_and_not_too_many(tmp_path, qapp):
    preferences = Preferences(tmp_path / "window.ini")
    for number in [*range(12), 5]:
        preferences.add_recent(Path(f"/scan{number}.npz"))
    preferences.save()
    recent = Preferences(tmp_path / "window.ini").recent
    assert [path.stem for path in recent[:3]] == ["scan5", "scan11", "scan10"]
    assert len(recent) == len(set(recent)) == 10


def test_fresh_ignores_what_is_saved(tmp_path, qapp):
    written(tmp_path / "window.ini", scheme="dark")
    assert Preferences(tmp_path / "window.ini", fresh=True).text("scheme") == ""


def test_a_file_of_another_version_is_as_good_as_none(tmp_path, qapp):
    path = tmp_path / "window.ini"
    path.write_text("[General]\nversion=0\nscheme=dark\n")
    assert Preferences(path).text("scheme") == ""


def test_a_damaged_file_is_as_good_as_none(tmp_path, qapp):
    path = tmp_path / "window.ini"
    path.write_bytes(b"\xff\xfe[[[ version \x00 = 1")
    assert Preferences(path).recent == []
