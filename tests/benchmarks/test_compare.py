import dataclasses
import json

import compare
import numpy as np
import pytest
from compare import Measured, read_measured, table
from exact_scans import CASES, make
from harness import write_between

US = Measured("wide", "ptycho", "abc1234", "2026-11-27", "", 0.0201, 0.015, 0.95, 0.284, 1.01, 19.6, 19.0, 31.2, 0.61)
QUICK = dataclasses.replace(US, program="quick", nrmse=0.0207, fit_cpu_seconds=9.0)
THEM = dataclasses.replace(US, program="pty-chi", version="2.2.0", nrmse=0.0215, fit_seconds=98.4, fit_cpu_seconds=97.0)


def test_results_that_were_stored_make_a_table_of_all_programs(tmp_path):
    for each in (US, QUICK, THEM):
        (tmp_path / f"{each.program}.json").write_text(json.dumps(dataclasses.asdict(each)))
    text = table(map(read_measured, tmp_path.glob("*.json")), ["wide", "bright"])
    (row,) = [line for line in text.splitlines() if line.startswith("| wide ")]
    assert [cell.strip() for cell in row.split("|")[2:4]] == ["0.0201 / 0.0207 / 0.0215", "0.0150 / 0.0150 / 0.0150"]
    assert "19.0 / 9.0 / 97.0" in row
    assert "bright" not in text
    assert "abc1234" in text


def test_the_claim_is_counted_by_case():
    slow = dataclasses.replace(US, case="bright", fit_cpu_seconds=50.0)
    worse = dataclasses.replace(US, case="faint", nrmse=0.3)
    others = [dataclasses.replace(THEM, case=case) for case in ("wide", "bright", "faint")]
    text = table([US, slow, worse, QUICK, *others], ["wide", "bright", "faint"])
    assert (
        "ptycho: as good in 2 of 3, not faint; fast in 2 of 3, not bright; both in 1 of 3, not bright, faint." in text
    )
    assert "quick: as good in 1 of 1; fast in 1 of 1; both in 1 of 1." in text


def test_without_a_truth_free_deviance_decides():
    star = dataclasses.replace(US, nrmse=None, phase_rms=None, frc_mean=None)
    other = dataclasses.replace(star, program="pty-chi", free_deviance=0.9)
    text = table([star, other], ["wide"])
    assert "- / ? / -" in text
    assert "ptycho: as good in 1 of 1;" in text


def test_a_program_that_failed_or_was_not_run_is_said_to():
    failed = Measured("wide", "ptycho", "abc1234", "2026-11-27", failed="diverged")
    assert "failed / 0.0207 / 0.0215" in table([failed, QUICK, THEM], ["wide"])
    assert "ptycho: as good in 0 of 1" in table([failed, THEM], ["wide"])
    assert "| 0.0201 / ? / ? |" in table([US], ["wide"])


def test_neither_program_is_given_the_patterns_that_judge_them(tmp_path, monkeypatch):
    tiny = dataclasses.replace(CASES["small"], size=16, side=10, step_px=2)
    monkeypatch.setitem(CASES, "tiny", tiny)
    compare.prepare("tiny", tmp_path / "none", tmp_path / "tiny.npz")
    given, kept, whole = np.load(tmp_path / "tiny.npz"), np.load(tmp_path / "tiny.kept.npz"), make(tiny)
    assert len(kept["free"]) == 5
    assert sorted([*kept["free"], *kept["fitted"]]) == list(range(100))
    np.testing.assert_allclose(given["diff3d"] ** 2, whole.counts[kept["fitted"]], rtol=1e-5)
    np.testing.assert_array_equal(kept["counts"], whole.counts[kept["free"]])


def test_a_table_replaces_the_one_between_its_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{compare.BEGIN}\nold\n{compare.END}\nafter\n")
    write_between(page, compare.BEGIN, "new\n", compare.END)
    assert page.read_text() == f"before\n{compare.BEGIN}\nnew\n{compare.END}\nafter\n"
    page.write_text("no marks")
    with pytest.raises(SystemExit, match="must hold the lines"):
        write_between(page, compare.BEGIN, "new\n", compare.END)
