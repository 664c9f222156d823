"""Listeners to a run's events: the journal, the console, JUnit, JSON and the page. They know the events and nothing else.

emit = fan_out([Journal(run_dir), Console()])      # while it runs
write_html(run_dir)                                # afterwards, from the journal and the evidence beside it
"""

from lifecycle.reports.console import Console
from lifecycle.reports.journal import Journal, read_journal
from lifecycle.reports.json_report import write_json
from lifecycle.reports.junit import write_junit

__all__ = ["Console", "Journal", "read_journal", "write_json", "write_junit"]
