"""The guardian: a small process that owns child processes and outlives its parent just long enough to end them all.

It is run as a script by `lifecycle.process` (standard library only, `python -I -S`, so it is up within milliseconds) in a session of its own.
Why a process and not a parent-death signal alone: PR_SET_PDEATHSIG (https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html) fires
when the *thread* that forked ends, is not inherited by grandchildren, and setting it needs code between fork and exec, which is unsafe in a
process with threads. The guardian has one thread, so fork and the death signal are safe here; it is a child subreaper
(PR_SET_CHILD_SUBREAPER), so a grandchild that loses its parent, a daemon included, becomes the guardian's child and is found at the end.

It ends when its control socket closes or its parent is gone (a pidfd says so even where a forked copy of the parent still holds the socket):
each child is sent its stop signal, what is left after the grace is killed with all its descendants, and the registered folders are removed.
If the guardian itself is killed, its direct children get SIGKILL by their parent-death signal.

Outside Linux there is neither signal nor subreaper: children are then ended by process group, and a daemon that left its group is not found.

Two modes:
    guardian.py serve CONTROL_FD PARENT_PID       many children, by messages (see `Guardian.handle`)
    guardian.py one PARENT_PID ARGV...            one child that inherits the standard streams; exits as the child did
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import struct
import sys
import time

_LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_KILL_DEADLINE_S = 5.0
_HEADER = struct.Struct("!I")
_MAX_FDS = 16
_STOP_AT_ONCE = signal.SIGUSR1  # in mode `one`: kill the whole tree now

if _LINUX:
    import ctypes

    _LIBC = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> None:
    if _LINUX:
        _LIBC.prctl(option, value, 0, 0, 0)


def processes() -> dict[int, tuple[int, int, str]]:
    """Every visible process: pid -> (parent, session, state); empty where there is no /proc."""
    table: dict[int, tuple[int, int, str]] = {}
    try:
        entries = os.listdir("/proc")
    except OSError:
        return table
    for entry in entries:
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:
                after_name = file.read().rpartition(b")")[2].split()
        except OSError:  # ended between listing and reading
            continue
        table[int(entry)] = (int(after_name[1]), int(after_name[3]), after_name[0].decode())
    return table


def descendants(root: int) -> set[int]:
    """The pids below `root`, zombies left out."""
    table = processes()
    below: dict[int, list[int]] = {}
    for pid, (parent, _, _) in table.items():
        below.setdefault(parent, []).append(pid)
    found: set[int] = set()
    queue = [root]
    while queue:
        for pid in below.get(queue.pop(), []):
            if pid not in found:
                found.add(pid)
                queue.append(pid)
    return {pid for pid in found if table[pid][2] != "Z"}


def _send_signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def kill_tree(head: int) -> None:
    """SIGKILL for the head, everything below it, its process group and its session."""
    victims = descendants(head) | {pid for pid, (_, session, _) in processes().items() if session == head}
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(head, signal.SIGKILL)
    for pid in victims:
        _send_signal(pid, signal.SIGKILL)


def spawn(
    argv: list[str], env: dict[str, str] | None, cwd: str | None, ids: list[int] | None, fds: list[int] | None
) -> int:
    """Fork and exec in a new session tied to this thread; `fds` become 0, 1, 2, 3, ... of the child. Raises OSError when exec fails."""
    told, tell = os.pipe()  # closed by exec; carries errno when there was none
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            if ids is not None:
                os.setgroups([ids[1]])
                os.setgid(ids[1])
                os.setuid(ids[0])
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # after setuid, which clears it
            tell = fcntl.fcntl(tell, fcntl.F_DUPFD_CLOEXEC, 200)
            if fds is not None:
                high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100) for fd in fds]
                for number, fd in enumerate(high):
                    os.dup2(fd, number)
            if cwd is not None:
                os.chdir(cwd)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, _STOP_AT_ONCE):
                signal.signal(number, signal.SIG_DFL)
            if env is None:
                os.execvp(argv[0], argv)
            os.execvpe(argv[0], argv, env)
        except OSError as error:
            os.write(tell, struct.pack("!i", error.errno or 1))
        finally:
            os._exit(127)
    os.close(tell)
    with os.fdopen(told, "rb") as pipe:
        failure = pipe.read(4)
    if failure:
        os.waitpid(pid, 0)
        raise OSError(struct.unpack("!i", failure)[0], os.strerror(struct.unpack("!i", failure)[0]))
    return pid


class Guardian:
    """Owns the children; one thread, one poll loop."""

    def __init__(self, parent: int, control: socket.socket | None) -> None:
        self.parent = parent
        self.control = control
        self.heads: dict[int, int] = {}  # pid -> id
        self.pids: dict[int, int] = {}  # id -> pid
        self.stop_signals: dict[int, int] = {}
        self.grace_s = 2.0
        self.remove: list[str] = []
        self.ending = False
        self.status: int | None = None  # of the one child
        self.received = bytearray()
        self.received_fds: list[int] = []
        self.wake_read, wake_write = socket.socketpair()
        self.wake_read.setblocking(False)
        wake_write.setblocking(False)
        self._wake_write = wake_write
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, _STOP_AT_ONCE):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(wake_write.fileno(), warn_on_full_buffer=False)
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)

    # --- the loop

    def run(self) -> None:
        poll = select.poll()
        poll.register(self.wake_read, select.POLLIN)
        if self.control is not None:
            poll.register(self.control, select.POLLIN)
        pidfd = None
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                pidfd = os.pidfd_open(self.parent)
                poll.register(pidfd, select.POLLIN)
        while not self.ending:
            if os.getppid() != self.parent:
                break
            # without a pidfd the parent's end shows as a new parent: look once a second
            for fd, _ in poll.poll(None if pidfd is not None else 1000):
                if fd == self.wake_read.fileno():
                    self.woken()
                elif self.control is not None and fd == self.control.fileno():
                    self.read_control()
                else:
                    self.ending = True
        self.end()

    def woken(self) -> None:
        for number in self.wake_read.recv(1024):
            if number == signal.SIGCHLD:
                self.reap()
            elif number == _STOP_AT_ONCE:
                self.grace_s = 0.0
                self.ending = True
            elif self.control is None:  # mode `one`: pass it on
                for pid in self.heads:
                    _send_signal(pid, number)
            else:
                self.ending = True

    def reap(self) -> None:
        """Collect every ended child; what an ended head left behind in its session ends with it."""
        while True:
            try:
                pid, status = self._collect()
            except ChildProcessError:
                return
            if pid == 0:
                return
            identity = self.heads.pop(pid, None)
            if identity is None:
                continue  # an orphan that had come to us
            del self.pids[identity]
            code = os.waitstatus_to_exitcode(status)
            self.say({"exit": identity, "code": code})
            if self.control is None:
                self.status = code
                self.ending = True

    def _collect(self) -> tuple[int, int]:
        """One ended child's pid and status, (0, 0) when there is none."""
        if not hasattr(os, "waitid"):
            return os.waitpid(-1, os.WNOHANG)
        # a look before it is collected: until then its pid cannot become another process's, so its tree is safe to kill
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return 0, 0
        if ended.si_pid in self.heads:
            kill_tree(ended.si_pid)
        return os.waitpid(ended.si_pid, os.WNOHANG)

    # --- messages

    def read_control(self) -> None:
        assert self.control is not None
        try:
            data, fds, _, _ = socket.recv_fds(self.control, 65536, _MAX_FDS)
        except ConnectionError:
            data, fds = b"", []
        if not data:
            self.ending = True
            return
        self.received += data
        self.received_fds += fds
        while len(self.received) >= _HEADER.size:
            (size,) = _HEADER.unpack_from(self.received)
            if len(self.received) < _HEADER.size + size:
                return
            body = bytes(self.received[_HEADER.size : _HEADER.size + size])
            del self.received[: _HEADER.size + size]
            self.handle(json.loads(body))

    def handle(self, message: dict[str, object]) -> None:
        """`start` a child with descriptors, `signal` a head, `kill` a tree, set the `grace` of the end, `remove` a folder at the end."""
        kind = message["do"]
        pid = self.pids.get(int(str(message.get("id", -1))))
        if kind == "start":
            self.start(message)
        elif kind == "signal" and pid is not None:
            _send_signal(pid, int(message["number"]))  # type: ignore[call-overload]
        elif kind == "kill" and pid is not None:
            kill_tree(pid)
        elif kind == "grace":
            self.grace_s = float(message["seconds"])  # type: ignore[arg-type]
        elif kind == "remove":
            self.remove.append(str(message["path"]))

    def start(self, message: dict) -> None:  # type: ignore[type-arg]
        count = message["fds"]
        fds, self.received_fds = self.received_fds[:count], self.received_fds[count:]
        try:
            pid = spawn(message["argv"], message["env"], message["cwd"], message["ids"], fds)
        except OSError as error:
            self.say({"started": message["id"], "error": error.strerror, "errno": error.errno})
            return
        finally:
            for fd in fds:
                os.close(fd)
        self.heads[pid] = message["id"]
        self.pids[message["id"]] = pid
        self.stop_signals[pid] = message["stop_signal"]
        self.say({"started": message["id"], "pid": pid})

    def say(self, message: dict[str, object]) -> None:
        if self.control is None:
            return
        body = json.dumps(message).encode()
        with contextlib.suppress(OSError):  # the parent may be gone; its end is noticed elsewhere
            self.control.sendall(_HEADER.pack(len(body)) + body)

    # --- the end

    def end(self) -> None:
        """Stop signals, the grace, then SIGKILL until nothing is left below this process; then the folders."""
        for pid in self.heads:
            _send_signal(pid, self.stop_signals.get(pid, signal.SIGTERM))
            _send_signal(pid, signal.SIGCONT)
        until = time.monotonic() + self.grace_s
        poll = select.poll()
        poll.register(self.wake_read, select.POLLIN)
        while self.heads and (left := until - time.monotonic()) > 0:
            if poll.poll(left * 1000):
                self.woken()
        until = time.monotonic() + _KILL_DEADLINE_S
        while time.monotonic() < until:
            for pid in list(self.heads):
                kill_tree(pid)
            rest = descendants(os.getpid())
            for pid in rest:
                _send_signal(pid, signal.SIGKILL)
            self.reap()
            if not rest and not self.heads:
                break
            poll.poll(20)
            with contextlib.suppress(BlockingIOError):
                self.wake_read.recv(1024)
        for path in self.remove:
            shutil.rmtree(path, ignore_errors=True)


def main(arguments: list[str]) -> int:
    mode = arguments[0]
    if mode == "serve":
        control = socket.socket(fileno=int(arguments[1]))
        Guardian(int(arguments[2]), control).run()
        return 0
    parent, argv = int(arguments[1]), arguments[2:]
    guardian = Guardian(parent, None)
    try:
        pid = spawn(argv, None, None, None, [0, 1, 2])
    except OSError as error:
        os.write(2, f"cannot start {argv[0]}: {error.strerror}\n".encode())
        return 127
    guardian.heads = {pid: 0}
    guardian.pids = {0: pid}
    # the guardian must not keep the child's pipes open after the child closed them
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    guardian.run()
    code = guardian.status
    if code is None:
        return 128 + signal.SIGKILL
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    # _exit: there is nothing to tear down, and the interpreter's own end takes longer than ours
    os._exit(main(sys.argv[1:]))
