"""What scenarios and the report look at, beyond single answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.faults.load import Cause, Judged, Verdict
from tests.faults.load.connection import Seen
from tests.faults.load.request import requests
from tests.faults.report import result_of, table
from tests.faults.scenarios import SCENARIOS
from tests.faults.scenarios.updates import check_order
from tests.faults.stage import Stage
from tests.unit.faults.conftest import well
from tests.unit.faults.test_verdicts import DURING, cut_by_chunks, cut_by_length


@pytest.fixture
def stage() -> Stage:
    return Stage("test", Path("/none"))


def answered(sent_s: float, ended_s: float, version: str) -> Judged:
    seen = Seen(due_s=sent_s, sent_s=sent_s, ended_s=ended_s, status=200, whole=True)
    document = {"code": f"{version}.ext4"}
    return Judged(next(requests("test")), seen, Verdict.ANSWERED, document=document, phase=DURING)


def test_old_then_new_is_in_order(stage):
    stage.ledger.all = [answered(0, 1, "a"), answered(1, 4, "a"), answered(2, 3, "b"), answered(5, 6, "b")]
    assert check_order(stage, stage.ledger, ["a", "b"]) == 2
    assert stage.problems == []


def test_an_older_version_after_a_newer_one_is_told(stage):
    stage.ledger.all = [answered(0, 1, "a"), answered(2, 3, "b"), answered(4, 9, "a")]
    check_order(stage, stage.ledger, ["a", "b"])
    assert stage.problems == ["1 requests got an older version than one that had answered before"]


def test_an_answer_of_a_version_that_nobody_uploaded_is_told(stage):
    stage.ledger.all = [answered(0, 1, "a"), answered(2, 3, "?")]
    check_order(stage, stage.ledger, ["a", "b"])
    assert stage.problems == ["1 answers of versions that nobody uploaded meanwhile"]


@pytest.mark.parametrize("answer", [cut_by_chunks, cut_by_length])
async def test_a_broken_answer_with_a_cause_is_a_platform_error(client, ledger, server, answer):
    server.answer = answer
    client.phase = DURING
    await client.once()
    assert ledger.sums().lost == 1
    ledger.causes.append(Cause("cut_short", 1))
    sums = ledger.sums()
    assert (sums.sent, sums.platform_errors, sums.lost) == (1, 1, 0)


async def test_figures_and_problems_make_a_scenario_fail(client, stage, server):
    stage.ledger.all = [await client.once()]
    good = result_of(stage, 1.0)
    assert good["problems"] == []
    assert (good["sent"], good["answered"], good["lost"], good["wrong"]) == (1, 1, 0, 0)
    server.answer = cut_by_chunks
    stage.ledger.all.append(await client.once())
    assert result_of(stage, 1.0)["problems"] == ["1 lost"]
    server.answer = well
    stage.check(False, "something was left")
    bad = result_of(stage, 1.0)
    assert bad["problems"] == ["something was left", "1 lost"]
    assert "something was left" in table([bad])


def test_a_scenario_without_an_answer_fails(stage):
    assert result_of(stage, 1.0)["problems"] == ["nothing was answered"]


def test_scenarios_have_names_of_their_own_and_say_what_they_are_about():
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
    assert all(scenario.about for scenario in SCENARIOS)
