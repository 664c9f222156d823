"""What the server is told: command line and environment, or one JSON line while it stands by."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO


@dataclass(frozen=True)
class Settings:
    """Everything that makes one server; `log_uri` empty means that predictions are not logged."""

    model_name: str
    model_dir: Path
    http_port: int
    http_host: str
    service: str
    model_version: str
    log_uri: str
    spool_dir: Path
    grace_s: int


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser("lifecycle.model_server", allow_abbrev=False)
    arguments.add_argument("--model_name", required=True, help="name in the URL paths")
    arguments.add_argument(
        "--model_dir", required=True, type=Path, help="folder with model.joblib, model.pkl or model.pickle"
    )
    arguments.add_argument("--http_port", type=int, default=8080)
    arguments.add_argument("--http_host", default="127.0.0.1", help="0.0.0.0 in an image, whose network is its own")
    arguments.add_argument(
        "--grace_s", type=int, default=10, help="seconds for requests in flight and unsent predictions at the end"
    )
    return arguments


def settings(argv: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Settings from a command line (without the program's name) and an environment."""
    given = parser().parse_args(argv)
    service = environment.get("SERVICE_NAME") or given.model_name
    return Settings(
        model_name=given.model_name,
        model_dir=given.model_dir,
        http_port=given.http_port,
        http_host=given.http_host,
        service=service,
        model_version=environment.get("MODEL_VERSION") or "unversioned",
        log_uri=environment.get("PREDICTION_LOG_URI", "").rstrip("/"),
        spool_dir=Path(
            environment.get("SPOOL_DIR") or Path(tempfile.gettempdir()) / "lifecycle-prediction-spool" / service
        ),
        grace_s=given.grace_s,
    )


def standby_order(stream: TextIO) -> list[str] | None:
    """Wait for `{"args": [...], "env": {...}}` on one line; applies the environment, returns the arguments; None when the stream ended."""
    line = stream.readline()
    if not line.strip():
        return None
    order = json.loads(line)
    os.environ.update({str(key): str(value) for key, value in order.get("env", {}).items()})
    args = [str(argument) for argument in order["args"]]
    sys.argv[1:] = args
    return args
