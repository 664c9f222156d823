"""The run in a terminal: live where it is one, plain lines where it is not."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TextIO

from lifecycle.domain.events import (
    Event,
    HarnessFailed,
    OutcomeJudged,
    Progress,
    RunFinished,
    RunStarted,
    ServiceReady,
    ServiceStarting,
    StepFailed,
    StepFinished,
    StepSkipped,
    StepStarted,
    VerbFinished,
    VerbStarted,
)

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

VERDICTS = {
    "held": "every outcome held",
    "not_held": "an outcome did not hold",
    "error": "no verdict: the harness or a service failed",
}


class Console:
    """Prints each event as a line when it happens; in a terminal the steps under way are shown below the lines with their seconds."""

    def __init__(self, stream: TextIO | None = None) -> None:
        from rich.console import Console as RichConsole

        self._rich = RichConsole(file=stream or sys.stdout, highlight=False)
        self._live: Live | None = None
        self._running: dict[str, float] = {}
        self._progress: dict[str, str] = {}
        self._zero = time.time()

    def __call__(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            self._start(event)
        elif isinstance(event, RunFinished):
            self._finish(event)
        elif isinstance(event, StepStarted | ServiceStarting):
            self._running[_name(event)] = event.at
        elif isinstance(event, Progress):
            self._progress[event.step] = (
                f"{event.done:,} of {event.total:,} {event.unit}" if event.total else f"{event.done:,} {event.unit}"
            )
        else:
            if isinstance(event, StepFinished | StepFailed | ServiceReady):
                self._running.pop(_name(event), None)
                self._progress.pop(_name(event), None)
            line = _line(event)
            if line:
                self._print(f"[dim]{event.at - self._zero:6.1f} s[/dim]  {line}")

    def _start(self, event: RunStarted) -> None:
        self._zero = event.at
        self._rich.print(
            f"[bold]{_safe(event.title)}[/bold]\n[dim]{_safe(event.scenario)} on the {event.tier} tier, seed {event.seed}[/dim]\n"
        )
        if self._rich.is_terminal:
            from rich.live import Live

            self._live = Live(get_renderable=self._under_way, console=self._rich, refresh_per_second=8, transient=True)
            self._live.start()

    def _under_way(self) -> Table:
        from rich.table import Table

        table = Table.grid(padding=(0, 2))
        now = time.time()
        for name, begun in sorted(self._running.items(), key=lambda item: item[1]):
            table.add_row(
                "[cyan]…[/cyan]", _safe(name.replace("_", " ")), f"{now - begun:5.1f} s", self._progress.get(name, "")
            )
        return table

    def _print(self, line: str) -> None:
        self._rich.print(line, soft_wrap=True)

    def _finish(self, event: RunFinished) -> None:
        if self._live is not None:
            self._live.stop()
        colour = {"held": "green", "not_held": "red"}.get(event.verdict, "yellow")
        verdict = VERDICTS.get(event.verdict, event.verdict)
        self._rich.print(
            f"\n[bold {colour}]{verdict}[/bold {colour}] [dim]({event.seconds:.1f} s, exit {event.exit_code})[/dim]"
        )
        if event.report:
            self._print(f"report: {_safe(event.report)}")


def _name(event: StepStarted | ServiceStarting | StepFinished | StepFailed | ServiceReady) -> str:
    return event.service if isinstance(event, ServiceStarting | ServiceReady) else event.step


def _safe(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _line(event: Event) -> str:
    """One line for an event, or nothing for those not worth one."""
    if isinstance(event, ServiceReady):
        return f"[dim]service {event.service} ready in {event.seconds:.1f} s {_safe(event.detail)}[/dim]"
    if isinstance(event, VerbStarted):
        return f"[bold]when[/bold] {_safe(event.text)}"
    if isinstance(event, VerbFinished):
        return f"[yellow]stopped:[/yellow] {_safe(event.stopped)}" if event.stopped else ""
    if isinstance(event, StepFinished):
        facts = "  ".join(f"{key}={value}" for key, value in event.facts.items())
        return f"[green]✓[/green] {event.loop:<10} {event.step.replace('_', ' '):<16} {event.seconds:5.1f} s  [dim]{_safe(facts)}[/dim]"
    if isinstance(event, StepFailed):
        mark = "[yellow]■[/yellow]" if event.reason else "[red]✗[/red]"
        return (
            f"{mark} {event.loop:<10} {event.step.replace('_', ' '):<16} {event.seconds:5.1f} s  {_safe(event.error)}"
        )
    if isinstance(event, StepSkipped):
        return f"[dim]- {event.loop:<10} {event.step.replace('_', ' '):<16}   left out: {_safe(event.why)}[/dim]"
    if isinstance(event, OutcomeJudged):
        return _outcome(event)
    if isinstance(event, HarnessFailed):
        return f"[red]error:[/red] {_safe(event.error)}" + (f"\n          fix: {_safe(event.fix)}" if event.fix else "")
    return ""


def _outcome(event: OutcomeJudged) -> str:
    if event.held:
        return f"[green]held[/green]      {_safe(event.text)}  [dim]found {_safe(event.found)}[/dim]"
    return (
        f"[red]not held[/red]  {_safe(event.text)}\n"
        f"            expected   {_safe(event.expected)}\n"
        f"            found      {_safe(event.found)}\n"
        f"            read from  {_safe(event.read_from)}\n"
        f"            look next  {_safe(event.look_next)}"
    )
