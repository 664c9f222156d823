"""The reports: each is written from the journal alone, says what happened, and survives a torn journal."""

from __future__ import annotations

import io
import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from lifecycle.domain.errors import InvalidInput
from lifecycle.domain.events import (
    Event,
    HarnessFailed,
    OutcomeJudged,
    RunFinished,
    RunStarted,
    ServiceReady,
    StepFailed,
    StepFinished,
    StepSkipped,
    StepStarted,
    VerbFinished,
    VerbStarted,
)
from lifecycle.reports import Console, Journal, read_journal, write_json, write_junit
from lifecycle.reports.summary import summarise

START = RunStarted(
    at=100.0,
    run_id="r1",
    scenario="story",
    title="A <script>story</script>",
    story="name: story",
    tier="local",
    seed=7,
    run_dir="/r",
    versions={"kfp": "2"},
)
EVENTS: tuple[Event, ...] = (
    START,
    ServiceReady(at=101.0, service="marquez", seconds=1.0, detail="emulator"),
    VerbStarted(at=101.0, index=1, text="run the flow"),
    StepStarted(at=101.0, step="extract", loop="data", verb=1),
    StepFinished(at=103.5, step="extract", loop="data", verb=1, seconds=2.5, facts={"rows": "7043"}),
    StepStarted(at=103.5, step="validate", loop="data", verb=1),
    StepFailed(
        at=104.0, step="validate", loop="data", verb=1, seconds=0.5, error="40 bad rows\x00", reason="data_quality"
    ),
    StepSkipped(at=104.0, step="train", loop="model", verb=1, why="the data is bad"),
    VerbFinished(at=104.0, index=1, seconds=3.0, stopped="40 bad rows"),
    OutcomeJudged(
        at=105.0,
        index=1,
        outcome="model",
        text="model: versions 0",
        held=True,
        expected="versions 0",
        found="versions 0",
        read_from="MLflow",
    ),
    OutcomeJudged(
        at=105.0,
        index=2,
        outcome="serving",
        text="serving: none",
        held=False,
        expected="none",
        found="one",
        read_from="k8s",
        look_next="kubectl",
    ),
    RunFinished(at=106.0, verdict="not_held", exit_code=1, seconds=6.0, report="/r/report.html"),
)


def journalled(folder: Path, events: tuple[Event, ...] = EVENTS) -> Path:
    journal = Journal(folder)
    for event in events:
        journal(event)
    return folder


def test_the_journal_gives_back_what_was_emitted(tmp_path: Path) -> None:
    """Every event is on disk before the next one, in order."""
    journal = Journal(tmp_path)
    for count, event in enumerate(EVENTS, start=1):
        journal(event)
        assert read_journal(tmp_path) == EVENTS[:count]


def test_a_torn_last_line_is_left_out_and_the_run_told_as_stopped(tmp_path: Path) -> None:
    """A journal cut anywhere in its last line still gives every whole event before it."""
    journalled(tmp_path)
    path = tmp_path / "journal.jsonl"
    whole = path.read_bytes()
    last = len(EVENTS[-1].to_json().encode()) + 1
    for cut in (1, last // 2, last - 1):
        path.write_bytes(whole[:-cut])
        assert read_journal(tmp_path) == EVENTS[:-1]
    assert summarise(read_journal(tmp_path)).verdict == "stopped half way"


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    """What is no event is refused with its line rather than skipped."""
    journalled(tmp_path)
    path = tmp_path / "journal.jsonl"
    path.write_text(path.read_text().replace('"event": "VerbStarted"', '"event": "Verb"'))
    with pytest.raises(InvalidInput, match=r"journal\.jsonl:3: unknown event 'Verb'"):
        read_journal(tmp_path)


def test_a_folder_without_a_journal_is_no_run(tmp_path: Path) -> None:
    """The error names the folder."""
    with pytest.raises(InvalidInput, match="is no run folder"):
        read_journal(tmp_path)


def test_steps_are_paired_by_verb_and_placed_on_the_runs_clock() -> None:
    """Starts meet their ends; times count from the run's start; a step that never ended is still running."""
    steps = summarise(EVENTS).steps
    assert [(step.step, step.state, step.begun, step.seconds) for step in steps] == [
        ("extract", "finished", 1.0, 2.5),
        ("validate", "stopped", 3.5, 0.5),
        ("train", "skipped", 4.0, 0.0),
    ]
    assert [step.state for step in summarise(EVENTS[:4]).steps] == ["running"]


def test_junit_keeps_failures_and_errors_apart(tmp_path: Path) -> None:
    """An outcome that did not hold is a failure, a broken harness an error, and a stopped flow neither; odd characters do not break it."""
    suite = ET.parse(write_junit(journalled(tmp_path))).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "0")
    assert suite.find("properties/property[@name='service.marquez']").get("value") == "emulator"  # type: ignore[union-attr]
    assert "look next: kubectl" in (suite.findtext("testcase/failure") or "")
    (tmp_path / "broken").mkdir()
    broken = (
        *EVENTS[:3],
        HarnessFailed(error="no port\x00", fix="free one"),
        RunFinished(verdict="error", exit_code=3, seconds=1.0),
    )
    suite = ET.parse(write_junit(journalled(tmp_path / "broken", broken))).getroot()
    assert (suite.get("failures"), suite.get("errors")) == ("0", "2")


def test_json_says_the_verdict_and_every_outcome(tmp_path: Path) -> None:
    """A program reads the verdict without knowing the events."""
    result = json.loads(write_json(journalled(tmp_path)).read_text())
    assert result["verdict"] == "not_held"
    assert [outcome["held"] for outcome in result["outcomes"]] == [True, False]


def test_the_console_prints_plain_lines_where_there_is_no_terminal() -> None:
    """No control characters; each step, outcome and the verdict is there, and markup in a title is shown, not obeyed."""
    stream = io.StringIO()
    console = Console(stream)
    for event in (RunStarted(**{**vars(START), "title": "[red]A title[/red]"}), *EVENTS[1:]):
        console(event)
    text = stream.getvalue()
    assert "\x1b" not in text
    assert "[red]A title[/red]" in text
    assert "rows=7043" in text
    assert "40 bad rows" in text
    assert "look next  kubectl" in text
    assert "an outcome did not hold (6.0 s, exit 1)" in text
