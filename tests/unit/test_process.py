"""Child processes end with the harness, however it ends; looked at from outside with psutil."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from lifecycle.domain.errors import ServiceError
from lifecycle.process import Children, ReservedPort, spawn_tied
from lifecycle.waiting import NotYet, wait_until, wait_until_async

# a child with a grandchild, and a daemon that left its session and its parent; each carries the marker on its command line
FAMILY = textwrap.dedent(
    """
    import os, subprocess, sys, time
    marker = sys.argv[1]
    sleeper = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)", marker]
    subprocess.Popen(sleeper)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv(sleeper[0], sleeper)
        os._exit(0)
    time.sleep(600)
    """
)


def marked(marker: str) -> list[psutil.Process]:
    """The living processes whose command line carries the marker."""
    found = []
    for process in psutil.process_iter():
        try:
            if marker in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def wait_marked(marker: str, count: int) -> None:
    """Wait until exactly that many live."""
    wait_until(
        lambda: len(marked(marker)) == count or NotYet(str(marked(marker))), 20, f"{count} processes marked {marker}"
    )


@pytest.fixture
def marker(tmp_path: Path) -> str:
    """A word that marks the processes of one test."""
    return f"marker-{os.getpid()}-{tmp_path.name}"


@pytest.fixture
def children() -> Iterator[Children]:
    """An owner of processes, closed at the end."""
    with Children(grace_s=2) as owner:
        yield owner


def harness(script: str, *arguments: str) -> subprocess.Popen[str]:
    """A harness process of its own that says `up` when its children are there."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *arguments], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


HARNESS = """
import sys, threading, time
from pathlib import Path
from lifecycle.process import Children

family, marker, folder = sys.argv[1:]
with Children(grace_s=1) as children:
    # started from a thread that ends: the children must not end with it
    def start():
        for number in range(3):
            children.start(f"family-{number}", [sys.executable, "-I", "-S", "-c", family, marker], log=Path(folder) / "log")
        Path(folder, "private").mkdir()
        children.remove_at_end(Path(folder, "private"))
    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    print("up", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_outlives_the_harness(number: signal.Signals, marker: str, tmp_path: Path) -> None:
    """Whatever signal ends the harness, no child, grandchild, daemon or registered folder of it is left."""
    process = harness(HARNESS, FAMILY, marker, str(tmp_path))
    wait_marked(marker, 9 + 1)  # three families of three and the harness itself
    process.send_signal(number)
    process.wait(20)
    wait_marked(marker, 0)
    wait_until(lambda: not (tmp_path / "private").exists(), 10, "the private folder to be removed")


def test_children_end_when_the_guardian_is_killed(marker: str, tmp_path: Path) -> None:
    """Even the guardian's own death takes the heads down, and the harness learns of it."""
    with Children() as children:
        sleeper = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)", marker]
        child = children.start("sleeper", sleeper, log=tmp_path / "log")
        psutil.Process(child.pid).parent().kill()  # type: ignore[union-attr]
        assert child.wait(10) == -signal.SIGKILL
        wait_marked(marker, 0)
        with pytest.raises(ServiceError, match="guardian"):
            children.start("sleeper", sleeper, log=tmp_path / "log")


def test_a_forked_copy_of_the_harness_does_not_keep_children_alive(marker: str, tmp_path: Path) -> None:
    """A fork without exec holds the control socket, yet the harness's end is noticed."""
    script = HARNESS.replace(
        'print("up"', "import os\n    if os.fork() == 0:\n        time.sleep(600)\n    print('up'"
    ).replace('time.sleep(600)\n"""', "")
    process = harness(script, FAMILY, marker, str(tmp_path))
    wait_marked(marker, 9 + 2)
    process.kill()
    process.wait(20)
    wait_marked(marker, 1)
    for copy in marked(marker):
        copy.kill()


def test_close_ends_families(children: Children, marker: str, tmp_path: Path) -> None:
    """A normal close leaves neither grandchild nor daemon."""
    children.start("family", [sys.executable, "-I", "-S", "-c", FAMILY, marker], log=tmp_path / "log")
    wait_marked(marker, 3)
    children.close()
    assert marked(marker) == []


def test_a_head_that_ends_takes_its_session_along(children: Children, marker: str, tmp_path: Path) -> None:
    """Terminating one child ends what it started, and leaves the other child alone."""
    sleeper = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)", marker]
    other = children.start("other", sleeper, log=tmp_path / "other.log")
    script = "import subprocess, sys, time; subprocess.Popen(sys.argv[1:]); time.sleep(600)"
    child = children.start("parent", [sys.executable, "-I", "-S", "-c", script, *sleeper], log=tmp_path / "log")
    wait_marked(marker, 3)
    assert child.terminate(5) == -signal.SIGTERM
    wait_marked(marker, 1)
    assert other.poll() is None
    assert children.running == (other,)


def test_a_child_that_ignores_its_stop_signal_is_killed(children: Children, tmp_path: Path) -> None:
    """terminate() does not wait for ever."""
    script = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    child = children.start("deaf", [sys.executable, "-I", "-S", "-c", script], log=tmp_path / "log")
    wait_until(lambda: "deaf" in child.log_tail(), 10, "the child to be deaf", child=child)
    assert child.terminate(0.1) == -signal.SIGKILL


def test_output_code_environment_and_folder_of_a_child(children: Children, tmp_path: Path) -> None:
    """The log holds both streams, the exit code is told, environment and folder are those given."""
    script = "import os, sys; print(os.environ['WORD'], os.getcwd()); print('bad', file=sys.stderr); sys.exit(7)"
    child = children.start(
        "speaker",
        [sys.executable, "-I", "-S", "-c", script],
        env={"WORD": "hello"},
        cwd=tmp_path,
        log=tmp_path / "logs" / "log",
    )
    assert child.wait(10) == 7
    assert sorted((tmp_path / "logs" / "log").read_text().splitlines()) == ["bad", f"hello {tmp_path}"]


def test_descriptors_are_handed_down(children: Children, tmp_path: Path) -> None:
    """A listening socket arrives as descriptor 3, with the port it was bound to."""
    with ReservedPort() as port:
        script = "import socket; s = socket.socket(fileno=3); c, _ = s.accept(); c.sendall(b'hello'); c.close()"
        children.start(
            "server",
            [sys.executable, "-I", "-S", "-c", script],
            log=tmp_path / "log",
            pass_fds=(port.listener().fileno(),),
        )
    with socket.create_connection(("127.0.0.1", port.number), 10) as connection:
        assert connection.recv(10) == b"hello"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the port is released before the server starts")
def test_a_reserved_port_is_kept_for_its_server() -> None:
    """While held, the kernel gives the port to nobody else, yet a server that asks for it by number gets it."""
    with ReservedPort() as port:
        others = [ReservedPort() for _ in range(200)]
        assert port.number not in {other.number for other in others}
        for other in others:
            other.release()
        with socket.create_server(("127.0.0.1", port.hand_over())) as server:
            assert server.getsockname()[1] == port.number


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_child_can_run_as_another_user(children: Children, tmp_path: Path) -> None:
    """The child has the user's ids and none of root's groups."""
    child = children.start(
        "nobody", ["/bin/sh", "-c", "id -u; id -G"], user="nobody", log=tmp_path / "log", cwd=Path("/")
    )
    assert child.wait(10) == 0
    assert "0" not in child.log_tail().split()


def test_a_missing_program_is_named(children: Children, tmp_path: Path) -> None:
    """A program that is not there is an error with its name and a fix."""
    with pytest.raises(ServiceError, match=r"thing cannot be started: /no/such/program") as caught:
        children.start("thing", ["/no/such/program"], log=tmp_path / "log")
    assert caught.value.fix


def test_waiting_explains_itself(tmp_path: Path) -> None:
    """The error names what, how long, the last observation, and quotes the log."""
    log = tmp_path / "log"
    log.write_text("first\nport in use\n")
    with pytest.raises(ServiceError) as caught:
        wait_until(lambda: NotYet("HTTP 503"), 0.05, "the server to answer", log=log)
    message = str(caught.value)
    assert "waited 0.05 s for the server to answer; last seen: HTTP 503" in message
    assert "port in use" in message
    assert str(log) in message
    with pytest.raises(ServiceError, match=r"waited 0\.05 s for the moon:\nit is cloudy"):
        wait_until(lambda: None, deadline_s=0.05, what="the moon", explain=lambda: "it is cloudy")
    assert wait_until(lambda: "now", deadline_s=0, what="nothing") == "now"


def test_waiting_ends_with_the_process_waited_for(children: Children, tmp_path: Path) -> None:
    """A service that dies is reported at once with its code and its log, not at the deadline."""
    child = children.start(
        "server", [sys.executable, "-I", "-S", "-c", "print('no licence'); raise SystemExit(3)"], log=tmp_path / "log"
    )
    begun = time.monotonic()
    with pytest.raises(ServiceError, match=r"(?s)server ended with exit code 3.*no licence"):
        wait_until(lambda: False, 300, "the server", child=child)
    assert time.monotonic() - begun < 200


def test_waiting_takes_named_errors_for_not_yet() -> None:
    """Only the exceptions named are swallowed; the last one is told."""

    def refuse() -> bool:
        raise ConnectionError("refused")

    with pytest.raises(ServiceError, match="ConnectionError: refused"):
        wait_until(refuse, 0.03, "an answer", errors=(ConnectionError,))
    with pytest.raises(ConnectionError):
        wait_until(refuse, 0.03, "an answer")


def test_async_waiting() -> None:
    """The coroutine version returns the condition's value and gives up alike."""

    async def seven() -> int:
        return 7

    async def never() -> NotYet:
        return NotYet("red")

    assert asyncio.run(wait_until_async(seven, 1, "seven")) == 7
    with pytest.raises(ServiceError, match="last seen: red"):
        asyncio.run(wait_until_async(never, 0.03, "green"))


# --- spawn_tied


async def _family(marker: str) -> Callable[[], object]:
    process = await spawn_tied([sys.executable, "-I", "-S", "-c", FAMILY, marker])
    while len(marked(marker)) < 4:  # the guardian's command line carries the marker, too
        await asyncio.sleep(0.02)
    return process.kill


def test_tied_kill_takes_the_whole_tree(marker: str) -> None:
    """kill() leaves neither grandchild nor daemon."""

    async def story() -> None:
        (await _family(marker))()

    asyncio.run(story())
    wait_marked(marker, 0)


def test_tied_process_tells_its_output_and_code() -> None:
    """Pipes and exit codes come through; a pipe closes when the process ends."""

    async def story() -> tuple[bytes, int]:
        process = await spawn_tied(["/bin/sh", "-c", "echo hello; exit 5"], stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        return await process.stdout.read(), await process.wait()

    assert asyncio.run(story()) == (b"hello\n", 5)


def test_tied_stop_is_polite_first() -> None:
    """stop() lets the process end by itself."""

    async def story() -> int:
        process = await spawn_tied(
            ["/bin/sh", "-c", "trap 'exit 4' TERM; echo; while :; do sleep 0.05; done"], stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        await process.stdout.readline()
        return await process.stop(10)

    assert asyncio.run(story()) == 4


def test_tied_processes_end_with_a_killed_parent(marker: str, tmp_path: Path) -> None:
    """SIGKILL for the process that spawned takes the tied tree along."""
    script = """
    import asyncio, sys
    from lifecycle.process import spawn_tied

    async def main():
        await spawn_tied([sys.executable, "-I", "-S", "-c", *sys.argv[1:3]])
        print("up", flush=True)
        await asyncio.sleep(600)
    asyncio.run(main())
    """
    process = harness(script, FAMILY, marker)
    wait_marked(marker, 1 + 1 + 3)
    process.kill()
    process.wait(10)
    wait_marked(marker, 0)
