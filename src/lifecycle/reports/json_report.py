"""`result.json`: the run's summary for programs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from lifecycle.reports.journal import read_journal
from lifecycle.reports.summary import summarise


def write_json(run_dir: Path) -> Path:
    """Write it beside the journal; returns its path."""
    summary = summarise(read_journal(run_dir))
    path = run_dir / "result.json"
    path.write_text(json.dumps({"verdict": summary.verdict, **dataclasses.asdict(summary)}, indent=1) + "\n")
    return path
