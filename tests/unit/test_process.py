"""Child processes end with the process that owns them, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lifecycle.domain.errors import ServiceError
from lifecycle.process import Children, ReservedPort
from lifecycle.waiting import wait_until

# a child that starts a grandchild, writes both pids and then does nothing for a minute
FAMILY = "import os,subprocess,sys,time; p=subprocess.Popen(['sleep','60']); print(os.getpid(), p.pid, flush=True); time.sleep(60)"
HARNESS = f"""
import sys, time
from pathlib import Path
from lifecycle.process import Children
with Children() as children:
    children.start("family", [sys.executable, "-c", {FAMILY!r}], log=Path(sys.argv[1]))
    time.sleep(60)
"""


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def family(log: Path) -> list[int]:
    """The pids that the child wrote."""
    return wait_until(
        lambda: [int(pid) for pid in log.read_text().split()] if log.exists() else None,
        deadline_s=20,
        what="the child's pids",
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_harness_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    """After SIGKILL, SIGTERM or Ctrl-C of the owner neither child, grandchild nor guardian is left."""
    log = tmp_path / "family.log"
    harness = subprocess.Popen([sys.executable, "-c", HARNESS, str(log)], stderr=subprocess.DEVNULL)
    pids = [*family(log), *(child.pid for child in psutil.Process(harness.pid).children(recursive=True))]
    assert all(alive(pid) for pid in pids)
    os.kill(harness.pid, number)
    harness.wait(20)
    wait_until(lambda: not any(alive(pid) for pid in pids), deadline_s=20, what="the harness's processes to end")


def test_leaving_the_context_ends_the_whole_tree(tmp_path: Path) -> None:
    """A normal close takes the grandchildren as well."""
    log = tmp_path / "family.log"
    with Children() as children:
        children.start("family", [sys.executable, "-c", FAMILY], log=log)
        pids = family(log)
    assert not any(alive(pid) for pid in pids)


def test_a_child_that_will_not_end_is_killed_after_the_grace(tmp_path: Path) -> None:
    """A child that ignores SIGTERM does not hold the run up."""
    code = "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('1 1', flush=True); time.sleep(60)"
    begun = time.monotonic()
    with Children(grace_s=0.5) as children:
        child = children.start("stubborn", [sys.executable, "-c", code], log=tmp_path / "log")
        family(tmp_path / "log")
    assert not alive(child.pid)
    assert time.monotonic() - begun < 30


def test_exit_codes_and_output_are_known(tmp_path: Path) -> None:
    """A child's code is told, and its output is in its log."""
    with Children() as children:
        child = children.start(
            "short", [sys.executable, "-c", "print('hello'); raise SystemExit(7)"], log=tmp_path / "log"
        )
        assert child.wait(20) == 7
        assert child.log_tail() == "hello"


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The error names the child, the program and what to do."""
    with Children() as children, pytest.raises(ServiceError, match="ghost cannot be started: /no/such/program"):
        children.start("ghost", ["/no/such/program"], log=tmp_path / "log")


def test_a_reserved_port_is_given_to_nobody_else() -> None:
    """As long as it is held the kernel does not hand the same port out again."""
    with ReservedPort() as first:
        others = [ReservedPort() for _ in range(50)]
        assert first.number not in {other.number for other in others}
        for other in others:
            other.release()


def test_waiting_explains_itself() -> None:
    """The error says how long, for what and what is known."""
    with pytest.raises(ServiceError, match=r"waited 0\.05 s for the moon:\nit is cloudy"):
        wait_until(lambda: None, deadline_s=0.05, what="the moon", explain=lambda: "it is cloudy")
    assert wait_until(lambda: "now", deadline_s=0, what="nothing") == "now"
