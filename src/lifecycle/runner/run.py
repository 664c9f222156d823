"""Runs one scenario on one tier: services up, the story told, the outcomes judged, everything down again."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lifecycle.domain import endpoints
from lifecycle.domain.errors import InvalidInput, LifecycleError
from lifecycle.domain.events import (
    Emit,
    Event,
    HarnessFailed,
    OutcomeJudged,
    RunFinished,
    RunStarted,
    VerbFinished,
    VerbStarted,
    Verdict,
)
from lifecycle.outcomes.world import World
from lifecycle.scenario import Story

if TYPE_CHECKING:
    from lifecycle.tools.stack import Resolve

EXIT_CODES = {Verdict.HELD: 0, Verdict.NOT_HELD: 1, Verdict.ERROR: 3}


class Tier(Protocol):
    """A running tier, whichever it is: it hands out endpoints as their services become ready."""

    resolve: Resolve


OpenTier = Callable[[Path, Emit], AbstractContextManager[Tier]]


@dataclass(frozen=True)
class RunResult:
    """How the run ended and where its files are."""

    verdict: Verdict
    exit_code: int
    run_dir: Path


def new_run_dir(root: Path, scenario: str) -> Path:
    """A folder of its own for a run: <root>/<UTC time>-<scenario>, numbered when two begin in the same second."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    for number in range(1, 1000):
        folder = root / (f"{stamp}-{scenario}" if number == 1 else f"{stamp}-{scenario}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        (folder / "evidence").mkdir()
        return folder
    raise LifecycleError(f"{root} holds a thousand runs of this second", fix="clear the folder")


def run_story(
    story: Story,
    run_dir: Path,
    tier_name: str,
    open_tier: OpenTier,
    emit: Emit,
    before_down: Callable[[World], None] | None = None,
) -> RunResult:
    """Run the story; every way it can end is an event and an exit code, and the tier is down afterwards.

    `before_down` is called with the stack still alive, after the verdict (`--keep`).
    """
    begun = time.perf_counter()
    emit(_started(story, run_dir, tier_name))
    verdict = Verdict.ERROR
    exit_code = EXIT_CODES[verdict]
    try:
        # the flows' imports take seconds, the services' starts as well: side by side
        preload = threading.Thread(target=_preload, name="preload", daemon=True)
        preload.start()
        with open_tier(run_dir, emit) as tier:
            world = _world(story, run_dir, tier, emit)
            try:
                _tell(world)
                verdict = _judge(world)
                exit_code = EXIT_CODES[verdict]
            finally:
                world.lineage.close()
            if before_down is not None:
                before_down(world)
    except InvalidInput as error:
        exit_code = error.exit_code
        emit(HarnessFailed(error=error.message, fix=error.fix))
    except LifecycleError as error:
        emit(HarnessFailed(error=error.message, fix=error.fix))
    except KeyboardInterrupt:
        exit_code = 130
        emit(HarnessFailed(error="interrupted", fix=f"run the scenario again; what was done lies in {run_dir}"))
    except Exception as error:  # noqa: BLE001 - the last line of defence: kept in full in the run folder, told in one line
        (run_dir / "traceback.txt").write_text(traceback.format_exc())
        emit(
            HarnessFailed(
                error=f"{type(error).__name__}: {error}",
                fix=f"this is a defect of the harness; its traceback is in {run_dir / 'traceback.txt'}",
            )
        )
    emit(
        RunFinished(
            verdict=verdict,
            exit_code=exit_code,
            seconds=time.perf_counter() - begun,
            report=str(run_dir / "report.html"),
        )
    )
    return RunResult(verdict, exit_code, run_dir)


def _started(story: Story, run_dir: Path, tier_name: str) -> RunStarted:
    import platform
    from importlib.metadata import version

    tools = (
        "lifecycle",
        "prefect",
        "kfp",
        "mlflow",
        "feast",
        "great-expectations",
        "dvc",
        "kserve",
        "evidently",
        "scikit-learn",
        "openlineage-python",
    )
    return RunStarted(
        run_id=run_dir.name,
        scenario=story.scenario.name,
        title=story.scenario.title,
        story=story.text,
        tier=tier_name,
        seed=story.seed,
        run_dir=str(run_dir),
        versions={"python": platform.python_version(), **{tool: version(tool) for tool in tools}},
    )


def _preload() -> None:
    from lifecycle.flows.running import preload

    preload()


def _world(story: Story, run_dir: Path, tier: Tier, emit: Emit) -> World:
    from lifecycle.runner.given import source_rows
    from lifecycle.tools.openlineage import LineageEmitter
    from lifecycle.tools.stack import Stack

    stack = Stack(tier.resolve)
    lineage = LineageEmitter(run_dir / "lineage", lambda: stack.endpoint(endpoints.MarquezEndpoint))
    rows = source_rows(story)
    stack.postgres.create_table(story.use_case)
    stack.postgres.load(story.use_case, rows)
    return World(story=story, stack=stack, run_dir=run_dir, emit=emit, lineage=lineage)


def _tell(world: World) -> None:
    """The story's `when`, in order."""
    from lifecycle.runner.verbs import perform

    for index, verb in enumerate(world.story.scenario.when, start=1):
        world.emit(VerbStarted(index=index, text=verb.sentence()))
        begun = time.perf_counter()
        stopped = perform(world, index, verb)
        world.emit(VerbFinished(index=index, seconds=time.perf_counter() - begun, stopped=stopped))


def _judge(world: World) -> Verdict:
    """The story's `then`: each outcome is read back from the system that holds the truth."""
    import json

    from lifecycle.outcomes import judge, sentence

    held = True
    for index, outcome in enumerate(world.story.scenario.then, start=1):
        finding = judge(world, outcome)
        name = next(iter(type(outcome).model_fields))
        path = world.evidence / f"outcome-{index}-{name}.json"
        path.write_text(json.dumps(finding.evidence, indent=1, default=str))
        held = held and finding.held
        world.emit(
            OutcomeJudged(
                index=index,
                outcome=name,
                text=sentence(outcome),
                held=finding.held,
                expected=finding.expected,
                found=finding.found,
                read_from=finding.read_from,
                look_next="" if finding.held else finding.look_next,
                evidence=str(path.relative_to(world.run_dir)),
            )
        )
    return Verdict.HELD if held else Verdict.NOT_HELD


def fan_out(listeners: Sequence[Emit]) -> Emit:
    """One emitter for all listeners; events come from several threads, listeners see them one at a time and in one order."""
    lock = threading.Lock()

    def emit(event: Event) -> None:
        with lock:
            for listener in listeners:
                listener(event)

    return emit
