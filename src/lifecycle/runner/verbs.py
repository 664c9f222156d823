"""What each verb of `when` does."""

from __future__ import annotations

import uuid
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from lifecycle.domain.endpoints import PrefectEndpoint
from lifecycle.domain.errors import InvalidInput, StepStopped
from lifecycle.domain.events import Loop
from lifecycle.loops.context import RunContext
from lifecycle.outcomes.world import FlowRun, World
from lifecycle.scenario.model import PushVerb, RunVerb, TrafficVerb

if TYPE_CHECKING:
    from lifecycle.scenario.model import Push, RunParameters


def perform(world: World, index: int, verb: RunVerb | TrafficVerb | PushVerb) -> str:
    """Do it; returns why a flow stopped itself, or an empty text."""
    if isinstance(verb, RunVerb):
        return run_flow(world, index, verb)
    if isinstance(verb, TrafficVerb):
        send_traffic(world, index, verb)
    else:
        push(world, index, verb.push)
    return ""


def run_flow(world: World, index: int, verb: RunVerb) -> str:
    """Run a flow; that a step stopped it is part of the story, any other error ends the run."""
    from lifecycle.flows.running import run_flow as run_in_prefect

    context = context_for(world, index, verb.run, verb.with_)
    try:
        run_in_prefect(context, world.stack.endpoint(PrefectEndpoint))
    except StepStopped as stopped:
        world.flows.append(FlowRun(index, verb.run, context.run_id, stopped.step, stopped.reason))
        return stopped.message
    world.flows.append(FlowRun(index, verb.run, context.run_id))
    return ""


def context_for(world: World, index: int, flow: str, changes: RunParameters | None = None) -> RunContext:
    """The context of a new flow run, with the run's own training parameters over the use case's."""
    use_case = world.story.use_case
    if changes is not None and changes.parameters:
        training = use_case.training.model_copy(
            update={"parameters": {**use_case.training.parameters, **changes.parameters}}
        )
        use_case = use_case.model_copy(update={"training": training})
    return RunContext(
        run_id=str(uuid.uuid4()),
        flow=flow,
        seed=world.story.seed,
        stack=world.stack,
        use_case=use_case,
        run_dir=world.run_dir,
        emit=world.emit,
        lineage=world.lineage,
        verb=index,
    )


def push(world: World, index: int, change: Push) -> None:
    """Commit a change to one of the repositories; the training repository is seeded from the use case first."""
    context = context_for(world, index, "story")
    with context.step(f"push_{change.repository}", Loop.CODE) as step:
        git = world.stack.git
        use_case = world.story.use_case
        git.create(change.repository)
        if change.repository == "training":
            git.seed("training", use_case.folder / use_case.training.repository, "The team's training code")
        files: dict[str, bytes | str | None] = {_inside(path): content for path, content in change.files.items()}
        for number, replacement in enumerate(change.replace):
            path = _inside(replacement.file)
            before = files.get(path) or git.read(change.repository, path)
            text = before.decode() if isinstance(before, bytes) else before
            if replacement.find not in text:
                raise InvalidInput(
                    f"when[{index - 1}].push.replace[{number}].find: {path} of the {change.repository} repository does not hold {replacement.find!r}",
                    fix="quote the text exactly as it stands in the file",
                )
            files[path] = text.replace(replacement.find, replacement.with_)
        commit = git.commit_files(change.repository, files, change.message)
        step.note(commit=commit[:10], files=len(files))


def _inside(path: str) -> str:
    """The path, if it stays inside the repository."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or ".git" in pure.parts or not pure.parts:
        raise InvalidInput(f"{path!r} leaves the repository", fix="give a path below the repository's root")
    return str(pure)


def send_traffic(world: World, index: int, verb: TrafficVerb) -> None:
    """Send requests with rows of the source table through the gateway and keep what came of each."""
    from lifecycle.tools.load import Plan, send

    context = context_for(world, index, "story")
    use_case = world.story.use_case
    with context.step("traffic", Loop.HARNESS, title=verb.sentence()) as step:
        rows = world.stack.postgres.rows(use_case.data.table, (use_case.data.key, *use_case.features.columns))
        plan = Plan(
            requests=verb.traffic.requests,
            users=verb.traffic.users,
            rate=verb.traffic.rate,
            protocol=verb.traffic.protocol,
            seed=world.story.seed + index,
        )
        result = send(
            world.stack.kserve,
            use_case,
            rows,
            plan,
            progress=lambda done: context.progress("traffic", done, verb.traffic.requests, "requests"),
        )
        number = len(world.traffic) + 1
        path = world.evidence / f"traffic-{number}.json"
        path.write_text(result.to_json())
        world.traffic.append(result)
        step.note(
            requests=result.requests, failed=result.failed, p50_ms=f"{result.p50_ms:.1f}", p95_ms=f"{result.p95_ms:.1f}"
        )
        step.artifact("latencies", path)
