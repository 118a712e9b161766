"""What is asked of a run through its folder reaches the token of its process, and nobody else's."""

from __future__ import annotations

import dataclasses
import os
from datetime import UTC, datetime, timedelta

import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.base.events import StopToken
from ptycho_core.runs import requests
from ptycho_core.runs.record import read_run
from ptycho_core.runs.requests import Wish, ask, reachable
from tests.helpers.patience import wait_until
from tests.helpers.run_folders import finish, start


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(requests, "_EVERY_S", 0.01)


def test_a_stop_and_then_a_cancel_reach_the_token_and_are_gone(tmp_path):
    start(tmp_path)
    token = StopToken()
    (tmp_path / "request.json").write_text('{"version": 1, "wish": "cancel", "by": "of an earlier run"}')
    with reachable(tmp_path, token):
        assert not (tmp_path / "request.json").exists()
        ask(tmp_path, Wish.STOP)
        wait_until(lambda: token.stop_requested)
        assert not token.cancel_requested
        wait_until(lambda: not (tmp_path / "request.json").exists())
        ask(tmp_path, Wish.CANCEL)
        wait_until(lambda: token.cancel_requested)
    assert token.reason.startswith("cancelled by the operator on ")


def test_a_request_that_is_none_is_said_and_forgotten(tmp_path, caplog):
    start(tmp_path)
    token = StopToken()
    with reachable(tmp_path, token):
        (tmp_path / "request.json").write_text("stop!")
        wait_until(lambda: not (tmp_path / "request.json").exists())
    assert not token.stop_requested
    assert "is not JSON" in caplog.text


def test_a_run_that_is_over_cannot_be_asked(tmp_path):
    finish(start(tmp_path))
    with pytest.raises(InputError, match="does not go on: it is finished"):
        ask(tmp_path, Wish.STOP)


def test_a_process_that_records_nothing_for_hours_shows_that_it_is_there(tmp_path):
    run = start(tmp_path)
    run.update(process=dataclasses.replace(run.info.process, host="node17"))
    text = (tmp_path / "run.json").read_text()
    long_ago = datetime.now(UTC) - timedelta(hours=9)
    (tmp_path / "run.json").write_text(text.replace(run.info.updated.isoformat(), long_ago.isoformat()))
    os.utime(tmp_path / "run.json", (long_ago.timestamp(),) * 2)
    assert read_run(tmp_path).status == "interrupted"
    with reachable(tmp_path, StopToken()):
        wait_until(lambda: read_run(tmp_path).status == "running")
