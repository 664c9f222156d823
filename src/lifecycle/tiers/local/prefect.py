"""Prefect's own API server as a child process on loopback, with the work pool the deployments use.

Migrating an empty database takes most of a cold start, so a migrated one is kept as a template in the cache folder, by version.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from lifecycle.domain.endpoints import PrefectEndpoint
from lifecycle.domain.errors import ServiceError
from lifecycle.process import HOST, Child, Children, ReservedPort, log_tail
from lifecycle.waiting import wait_until

START_DEADLINE_S = 90.0
MIGRATE_DEADLINE_S = 180
MIGRATE = "import asyncio; from prefect.server.database import provide_database_interface as db; asyncio.run(db().create_db())"
WORK_POOL = "local-pool"


def start(
    children: Children, run_dir: Path, cache: Path, environment: Mapping[str, str]
) -> tuple[Child, PrefectEndpoint]:
    """Start the server, wait until it answers, and make the work pool.

    Raises:
        ServiceError: it did not start; the error holds the end of its log.
    """
    home = run_dir / "prefect"
    home.mkdir(parents=True)
    shutil.copy(_template(cache, environment), home / "prefect.db")
    log = run_dir / "logs" / "prefect.log"
    with ReservedPort() as port:
        listener = port.listener()
        child = children.start(
            "prefect",
            [
                sys.executable,
                "-m",
                "uvicorn",
                "--factory",
                "prefect.server.api.server:create_app",
                "--fd",
                "3",
                "--log-level",
                "warning",
            ],
            env={**environment, **_settings(home), "PREFECT_API_DATABASE_MIGRATE_ON_START": "false"},
            cwd=home,
            log=log,
            pass_fds=(listener.fileno(),),
        )
        url = f"http://{HOST}:{port.number}/api"
    wait_until(
        lambda: _healthy(child, url),
        deadline_s=START_DEADLINE_S,
        what="Prefect's server to answer",
        explain=lambda: log_tail(log),
    )
    _make_pool(url)
    return child, PrefectEndpoint(url, WORK_POOL)


def _settings(home: Path) -> dict[str, str]:
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home / 'prefect.db'}",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        "PREFECT_LOGGING_LEVEL": "WARNING",
    }


def _template(cache: Path, environment: Mapping[str, str]) -> Path:
    """A migrated, empty database."""
    from importlib.metadata import version

    template = cache / f"prefect-{version('prefect')}.db"
    if template.is_file():
        return template
    scratch = cache / f".prefect-{os.getpid()}"
    scratch.mkdir(parents=True)
    try:
        done = subprocess.run(
            [sys.executable, "-c", MIGRATE], env={**environment, **_settings(scratch)}, capture_output=True, text=True,
            timeout=MIGRATE_DEADLINE_S, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise ServiceError(
                f"Prefect's database cannot be made: {done.stderr.strip()[-500:]}", fix="see whether the disk is full"
            )
        database = sqlite3.connect(scratch / "prefect.db")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # everything into the one file that is copied
        database.close()
        (scratch / "prefect.db").replace(template)
    finally:
        shutil.rmtree(scratch)
    return template


def _healthy(child: Child, url: str) -> bool:
    import httpx

    if child.poll() is not None:
        raise ServiceError(
            f"Prefect's server ended with code {child.poll()} at its start:\n{child.log_tail()}",
            fix="see its log in the run folder",
        )
    try:
        return httpx.get(f"{url}/health", timeout=START_DEADLINE_S).status_code == 200
    except httpx.TransportError:
        return False


def _make_pool(url: str) -> None:
    import httpx

    answer = httpx.post(f"{url}/work_pools/", json={"name": WORK_POOL, "type": "process"}, timeout=30)
    if answer.status_code not in {201, 409}:
        raise ServiceError(f"Prefect refused the work pool {WORK_POOL}: {answer.status_code} {answer.text[:200]}")
