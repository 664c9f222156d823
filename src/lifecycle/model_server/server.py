"""KServe's server, bound to one address, counting requests by outcome and closing the prediction log at its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from kserve import model_server as kserve_server
from kserve.errors import InvalidInput
from kserve.protocol.dataplane import DataPlane
from prometheus_client import Counter, Gauge

from lifecycle.model_server.arguments import Settings
from lifecycle.model_server.model import TabularModel
from lifecycle.model_server.spool import Send, Spool

REQUESTS = Counter(
    "lifecycle_requests",
    "Inference requests by protocol and outcome",
    ("service", "model_version", "protocol", "outcome"),
)
ROWS_LOGGED = Gauge("lifecycle_prediction_log_rows", "Rows this server appended to the prediction log")
ROWS_UNSENT = Gauge("lifecycle_prediction_log_unsent_rows", "Rows in the spool that the bucket does not have yet")

Scope = MutableMapping[str, Any]
Asgi = Callable[..., Awaitable[Any]]
log = logging.getLogger("kserve.lifecycle")


class StrictDataPlane(DataPlane):  # type: ignore[misc] # the SDK has no types
    """KServe's data plane lets a malformed binary V2 body end as 500; here it is the client's fault, 400."""

    def decode(self, body: Any, headers: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().decode(body, headers, *args, **kwargs)
        except InvalidInput:
            raise
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            raise InvalidInput(f"Unrecognized request format: {type(error).__name__}: {error}") from error


class CountOutcomes:
    """Counts inference requests: `succeeded` below 400, `rejected` below 500, else `failed` (a request without any answer too)."""

    def __init__(self, app: Asgi, settings: Settings) -> None:
        self._app = app
        labels = (settings.service, settings.model_version)
        self._counters = {
            protocol: {
                outcome: REQUESTS.labels(*labels, protocol, outcome) for outcome in ("succeeded", "rejected", "failed")
            }
            for protocol in ("v1", "v2")
        }

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        protocol = _protocol(scope) if scope["type"] == "http" else ""
        if not protocol:
            await self._app(scope, receive, send)
            return
        status = 500

        async def watch(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            outcome = "succeeded" if status < 400 else "rejected" if status < 500 else "failed"
            self._counters[protocol][outcome].inc()


def _protocol(scope: Scope) -> str:
    path: str = scope["path"]
    if scope["method"] != "POST":
        return ""
    if path.startswith("/v1/") and path.endswith(":predict"):
        return "v1"
    return "v2" if path.startswith("/v2/") and path.endswith("/infer") else ""


class Server(kserve_server.ModelServer):  # type: ignore[misc] # the SDK has no types
    """One REST server on one address, one worker, no gRPC."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            http_port=settings.http_port,
            workers=1,
            enable_grpc=False,
            enable_latency_logging=False,
            grace_period=settings.grace_s,
        )
        self._host = settings.http_host
        self.dataplane = StrictDataPlane(model_registry=self.registered_models)

    async def _serve(self) -> None:
        # KServe gives no way to choose the address; its uvicorn configuration is read only when the server is awaited, which is here
        self._rest_server.config.host = self._host
        await asyncio.gather(*self.servers)


def object_sender(uri: str) -> Send:
    """Stores objects below an s3:// address, as the AWS_* variables tell where; the client is made when first needed."""
    parts = urlsplit(uri)
    if parts.scheme != "s3" or not parts.netloc:
        raise ValueError(f"PREDICTION_LOG_URI is {uri!r}, expected s3://bucket or s3://bucket/prefix")
    clients: list[Any] = []

    def send(key: str, body: bytes) -> None:
        if not clients:
            import boto3
            from botocore.config import Config

            configuration = Config(
                retries={"total_max_attempts": 1},  # the spool tries again itself
                connect_timeout=3,
                read_timeout=10,
                request_checksum_calculation="when_required",  # older S3 servers know no other
            )
            clients.append(boto3.client("s3", config=configuration))
        path = str(PurePosixPath(parts.path.strip("/")) / key)
        clients[0].put_object(Bucket=parts.netloc, Key=path, Body=body, ContentType="application/jsonl")

    return send


def serve(settings: Settings) -> int:
    """Load the model, answer until SIGTERM, send the rest of the prediction log; returns the exit code."""
    kserve_server.logging.configure_logging()
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)  # the prediction log tells every request
    logging.getLogger("kserve.trace").setLevel(logging.WARNING)
    model = TabularModel(settings, None)
    model.load()  # before the spool is touched: a model that cannot be loaded leaves everything as it was
    spool = _spool(settings)
    if spool is not None:
        model._append = spool.append
    kserve_server.app.add_middleware(CountOutcomes, settings=settings)
    log.info(
        "serving %s version %s on %s:%d",
        settings.model_name,
        settings.model_version,
        settings.http_host,
        settings.http_port,
    )
    try:
        Server(settings).start([model])
    finally:
        left = spool.close(settings.grace_s) if spool is not None else 0
    return 0 if not left else 3


def _spool(settings: Settings) -> Spool | None:
    if not settings.log_uri:
        return None
    spool = Spool(settings.spool_dir, f"{settings.service}/{settings.model_version}", object_sender(settings.log_uri))
    ROWS_LOGGED.set_function(lambda: float(spool.logged))
    ROWS_UNSENT.set_function(lambda: float(spool.unsent))
    return spool
