"""The journal: every event of the run on disk as it happens, one line of JSON each. Everything else is written from it."""

from __future__ import annotations

from pathlib import Path

from lifecycle.domain.errors import InvalidInput
from lifecycle.domain.events import Event

NAME = "journal.jsonl"


class Journal:
    """Appends each event to `<run>/journal.jsonl` and hands it to the system at once, so a killed run leaves what it did."""

    def __init__(self, run_dir: Path) -> None:
        self._file = (run_dir / NAME).open("a", encoding="utf-8")

    def __call__(self, event: Event) -> None:
        self._file.write(event.to_json() + "\n")
        self._file.flush()


def read_journal(run_dir: Path) -> tuple[Event, ...]:
    """The run's events in order; a last line that a kill cut short is left out.

    Raises:
        InvalidInput: the folder has no journal, or a line in the middle is no event.
    """
    path = run_dir / NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InvalidInput(
            f"{run_dir} is no run folder: it has no {NAME}", fix="name a folder that a run made"
        ) from None
    lines = text.split("\n")
    whole, torn = lines[:-1], lines[-1]  # a line counts once its newline is there
    events: list[Event] = []
    for number, line in enumerate(whole, start=1):
        try:
            events.append(Event.from_json(line))
        except (ValueError, TypeError) as error:
            raise InvalidInput(
                f"{path}:{number}: {error}", fix="the journal is of another version or was edited"
            ) from None
    if not events and torn:
        raise InvalidInput(f"{path} holds no whole event", fix="the run was killed at its very start; run it again")
    return tuple(events)
