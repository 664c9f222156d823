"""The S3 server of the local tier: moto (quick, in memory) or SeaweedFS (on disk, checks signatures)."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from lifecycle.domain.endpoints import BUCKETS, ObjectStoreEndpoint, Secret
from lifecycle.domain.errors import ServiceError
from lifecycle.process import HOST, Child, Children, ReservedPort, log_tail
from lifecycle.waiting import wait_until

START_DEADLINE_S = 60.0
KINDS = ("moto", "seaweedfs")


def start(
    children: Children, run_dir: Path, kind: str, environment: Mapping[str, str]
) -> tuple[Child, ObjectStoreEndpoint]:
    """Start the server, wait until it answers, and make the buckets.

    Raises:
        ServiceError: it did not start; the error holds the end of its log.
    """
    log = run_dir / "logs" / "object-store.log"
    access, secret = secrets.token_hex(10).upper(), secrets.token_urlsafe(30)
    if kind == "seaweedfs":
        child, port = _seaweedfs(children, run_dir, log, environment, access, secret)
    else:
        child, port = _moto(children, run_dir, log, environment)
    endpoint = ObjectStoreEndpoint(f"http://{HOST}:{port}", Secret(access), Secret(secret))
    wait_until(
        lambda: _answers(child, endpoint),
        deadline_s=START_DEADLINE_S,
        what=f"the object store ({kind}) to answer",
        explain=lambda: log_tail(log),
    )
    return child, endpoint


def _moto(children: Children, run_dir: Path, log: Path, environment: Mapping[str, str]) -> tuple[Child, int]:
    with ReservedPort() as port:
        command = [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port.hand_over())]
        child = children.start("object-store", command, env=environment, cwd=run_dir, log=log)
        wait_until(
            lambda: _listens(child, port.number),
            deadline_s=START_DEADLINE_S,
            what="moto to listen",
            explain=lambda: log_tail(log),
        )
        return child, port.number


def _seaweedfs(
    children: Children, run_dir: Path, log: Path, environment: Mapping[str, str], access: str, secret: str
) -> tuple[Child, int]:
    data = run_dir / "seaweedfs"
    data.mkdir(parents=True)
    identity = {
        "name": "lifecycle",
        "credentials": [{"accessKey": access, "secretKey": secret}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    config = data / "s3.json"
    config.touch(mode=0o600)
    config.write_text(json.dumps({"identities": [identity]}))
    # every part of it has an HTTP and a gRPC port, and wants each named, or it takes a fixed one
    parts = ("master", "volume", "filer", "s3")
    ports = {name: ReservedPort() for part in parts for name in (part, f"{part}.grpc")}
    try:
        command: list[str | Path] = [
            Path(sys.executable).parent / "weed",
            "server",
            f"-dir={data}",
            f"-ip={HOST}",
            f"-ip.bind={HOST}",
            "-s3",
            f"-s3.config={config}",
        ]
        for part in parts:
            command += [
                f"-{part}.port={ports[part].hand_over()}",
                f"-{part}.port.grpc={ports[f'{part}.grpc'].hand_over()}",
            ]
        command += ["-volume.max=32", "-master.volumeSizeLimitMB=64", "-metricsPort=0"]
        child = children.start("object-store", command, env=environment, cwd=data, log=log)
        number = ports["s3"].number
        wait_until(
            lambda: _listens(child, number),
            deadline_s=START_DEADLINE_S,
            what="SeaweedFS to listen",
            explain=lambda: log_tail(log),
        )
        return child, number
    finally:
        for port in ports.values():
            port.release()


def _listens(child: Child, port: int) -> bool:
    import httpx

    if child.poll() is not None:
        raise ServiceError(
            f"the object store ended with code {child.poll()} at its start:\n{child.log_tail()}",
            fix="see its log in the run folder",
        )
    try:
        httpx.get(f"http://{HOST}:{port}/", timeout=2)
    except httpx.TransportError:
        return False
    return True


def _answers(child: Child, endpoint: ObjectStoreEndpoint) -> bool:
    """Whether all buckets could be made; a server that has only just come up may refuse the first."""
    from lifecycle.tools.object_store import ObjectStore

    if child.poll() is not None:
        raise ServiceError(
            f"the object store ended with code {child.poll()}:\n{child.log_tail()}", fix="see its log in the run folder"
        )
    store = ObjectStore(endpoint)
    for bucket in BUCKETS:
        store.create_bucket(bucket)
    return True
