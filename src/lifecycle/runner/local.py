"""A run on the local tier as the command line wants it: run folder, listeners, the tier, the reports."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from lifecycle.domain.events import Event, RunFinished
from lifecycle.runner.run import fan_out, new_run_dir, run_story

if TYPE_CHECKING:
    from lifecycle.outcomes.world import World
    from lifecycle.scenario import Story


def run_locally(
    story: Story, runs: Path, *, object_store: str = "moto", seed: int | None = None, keep: bool = False
) -> int:
    """Run the story on services started for it alone; returns the exit code.

    With `keep` the stack stays up after the verdict, its pages included, until Ctrl-C.
    """
    from lifecycle.reports import Console, Journal, write_html, write_json, write_junit
    from lifecycle.tiers.local import LocalTier, quiet_environment

    os.environ.update(quiet_environment())
    if seed is not None:
        given = story.scenario.given.model_copy(update={"seed": seed})
        story = dataclasses.replace(story, scenario=story.scenario.model_copy(update={"given": given}))
    run_dir = new_run_dir(runs.resolve(), story.scenario.name)

    def write_reports(event: Event) -> None:
        if isinstance(event, RunFinished):
            for write in (write_html, write_junit, write_json):
                write(run_dir)

    emit = fan_out([Journal(run_dir), write_reports, Console()])
    # a terminated harness takes its services down as an interrupted one does
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    result = run_story(
        story,
        run_dir,
        "local",
        lambda folder, listener: LocalTier(folder, listener, object_store=object_store),
        emit,
        before_down=_keep_until_interrupted if keep else None,
    )
    return result.exit_code


def _keep_until_interrupted(world: World) -> None:
    """Show the addresses and wait for Ctrl-C."""
    import click

    click.echo("\nThe stack stays up. Ctrl-C ends it.")
    for line in world.stack.addresses():
        click.echo(f"  {line}")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        click.echo("going down")
