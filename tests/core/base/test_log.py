"""What the core logs for those who look after it; the command line prints none of it."""

from __future__ import annotations

import logging
import subprocess
import sys

from ptycho_core.engines.checkpoints import export_checkpoint
from ptycho_core.formats import read_scan
from ptycho_core.simulation.files import write_simulation
from tests.helpers.training_runs import Training


def test_reading_a_scan_logs_its_history(tiny_sim, tmp_path, caplog):
    path = tmp_path / "scan.npz"
    write_simulation(tiny_sim, path)
    with caplog.at_level(logging.INFO, "ptycho_core"):
        scan = read_scan(path)
    (record,) = caplog.records
    for sentence in scan.history:
        assert sentence in record.getMessage()


def test_a_run_logs_its_device_its_checkpoints_and_its_end(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "ptycho_core"):
        info = Training(tmp_path / "out").go(max_epochs=1, positions="check", intensity="check").info
    begun, saved, *checked, verdict, ended = [r.getMessage() for r in caplog.records if r.levelno == logging.INFO]
    assert info.device in begun
    assert str(info.best_checkpoint) in saved
    assert verdict == str(info.verdict)
    assert [told["message"] for told in info.checks.values()] == checked
    assert len(checked) == 2
    assert info.reason in ended


def test_an_export_logs_where_it_goes(tmp_path, caplog):
    info = Training(tmp_path / "out").go(max_epochs=1).info
    with caplog.at_level(logging.INFO, "ptycho_core"):
        target = export_checkpoint(info.best_checkpoint, tmp_path / "model.zip")
    assert str(target) in caplog.text


def test_warnings_of_the_check_are_logged(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "ptycho_core"):
        Training(tmp_path / "out").go(max_epochs=1, neighbor_count=34)
    assert [record.levelname for record in caplog.records].count("WARNING") >= 1


def test_nothing_is_printed_unless_someone_takes_the_log():
    code = "import logging, ptycho_core; logging.getLogger('ptycho_core.runs.run').error('unheard')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
