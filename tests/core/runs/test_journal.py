"""The journal of a watched folder."""

from __future__ import annotations

import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.runs.journal import DONE, FAILED, Journal, Line, Stamp, content_of

ONE = Line(
    "2026-11-27T10:00:00+00:00", "a.cxi", DONE, 400, "good", 1.02345678, None, 12.5, "a", 'a "remark", two', 9, 7, "0a"
)


def test_what_was_written_is_known_again_and_reads_as_a_table(tmp_path):
    journal = Journal(tmp_path / "journal.csv")
    journal.write(ONE)
    journal.write(Line("2026-11-27T11:00:00+00:00", "b.cxi", FAILED, remarks="no", bytes=1, modified=-3))
    again = Journal(tmp_path / "journal.csv")
    for known in (journal, again):
        assert Stamp("a.cxi", 9, 7) in known
        assert Stamp("b.cxi", 1, -3) in known
        assert Stamp("a.cxi", 9, 8) not in known
        assert known.knows("a.cxi", "0a")
        assert not known.knows("b.cxi", "")
    heading, first, second = (tmp_path / "journal.csv").read_text().splitlines()
    assert heading.startswith("date,scan,outcome,patterns,verdict,free_misfit,resolution_px,seconds,folder,remarks")
    assert first == '2026-11-27T10:00:00+00:00,a.cxi,done,400,good,1.02346,,12.5,a,"a ""remark"", two",9,7,0a'
    assert second.startswith("2026-11-27T11:00:00+00:00,b.cxi,failed,,,,,,,no,1,-3,")


def test_a_line_that_was_cut_is_passed_over_and_what_others_wrote_stays(tmp_path):
    path = tmp_path / "journal.csv"
    Journal(path).write(ONE)
    path.write_text(path.read_text() + "my own line\n2026-11-27T12:00:00+00:00,c.cxi,do")
    journal = Journal(path)
    journal.write(Line("2026-11-27T13:00:00+00:00", "d.cxi", DONE, bytes=1, modified=1, content="1"))
    lines = path.read_text().splitlines()
    assert lines[2:4] == ["my own line", "2026-11-27T12:00:00+00:00,c.cxi,do"]
    assert lines[4].startswith("2026-11-27T13:00:00+00:00,d.cxi,done")
    assert Stamp("a.cxi", 9, 7) in Journal(path)


def test_another_table_is_not_written_into(tmp_path):
    (tmp_path / "journal.csv").write_text("sample,operator\n")
    with pytest.raises(InputError, match="no journal of watched scans"):
        Journal(tmp_path / "journal.csv")


def test_scans_are_told_apart_by_their_positions_and_patterns(tiny_scan):
    assert content_of(tiny_scan) == content_of(tiny_scan.replace())
    others = [
        tiny_scan.take(range(59)),
        tiny_scan.replace(positions=tiny_scan.positions + 1),
        tiny_scan.take(range(59, -1, -1)),
    ]
    assert len({content_of(scan) for scan in (tiny_scan, *others)}) == 4
