"""The gateway as an emulator: controller beside proxy, on one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from lifecycle.emulators.base import Emulator
from lifecycle.emulators.gateway.attachment import GROUP, Condition, Key, Object, Objects, Plan, plan
from lifecycle.emulators.gateway.clients import Client
from lifecycle.emulators.gateway.endpoints import Board
from lifecycle.emulators.gateway.upstream import Pool
from lifecycle.emulators.kube_client import ApiError, KubeClient, load_kubeconfig

API = f"{GROUP}/v1"
CONTROLLER = "lifecycle.dev/gateway-controller"
KINDS = 5
RETRY_S = 0.2
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GatewayConfig:
    """`seed` makes the choice among weighted backends repeatable; `gateway_class` is created when it is missing."""

    kubeconfig: Path
    seed: int | None = None
    gateway_class: str = "lifecycle"
    controller: str = CONTROLLER


def create(config: GatewayConfig) -> Emulator:
    """The gateway, not yet listening."""
    gateway = _Gateway(config)
    return Emulator(name="gateway", listen=gateway.listen, background=(gateway.run,), close=gateway.close)


class _Gateway:
    def __init__(self, config: GatewayConfig) -> None:
        self._config = config
        self._board = Board(config.seed)
        self._pool = Pool()
        self._clients: set[Client] = set()
        self._objects = Objects()
        self._listed: set[str] = set()
        self._dirty = asyncio.Event()
        self._plan: Plan | None = None

    async def listen(self, host: str, port: int) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(
            lambda: Client(self._board, self._pool, self._clients), host, port, backlog=1024
        )

    async def close(self) -> None:
        for client in list(self._clients):
            client.close()
        self._pool.close()

    async def run(self) -> None:
        """Follow the objects and keep table and statuses in step, for ever."""
        async with KubeClient(load_kubeconfig(self._config.kubeconfig)) as client, asyncio.TaskGroup() as group:
            watched = {
                (API, "GatewayClass"): self._objects.classes,
                (API, "Gateway"): self._objects.gateways,
                (API, "HTTPRoute"): self._objects.routes,
                ("v1", "Service"): self._objects.services,
                ("discovery.k8s.io/v1", "EndpointSlice"): self._objects.slices,
            }
            for (version, kind), known in watched.items():
                group.create_task(self._follow(client, version, kind, known))
            group.create_task(self._reconcile(client))

    async def _follow(self, client: KubeClient, version: str, kind: str, known: dict[Key, Object]) -> None:
        async for event in client.follow(version, kind):
            if event.type == "LISTED":
                self._listed.add(kind)
            else:
                meta = event.object["metadata"]
                key = (meta.get("namespace", ""), meta["name"])
                if event.type == "DELETED":
                    known.pop(key, None)
                else:
                    known[key] = event.object
            self._changed()

    def _changed(self) -> None:
        """Traffic follows at once, statuses in their own time: a status may only say what is already true."""
        if len(self._listed) < KINDS:
            return
        self._plan = plan(self._objects, self._config.controller)
        self._board.table = self._plan.table
        self._board.endpoints = self._plan.endpoints
        self._board.synced = True
        self._pool.keep_only(self._board.live())
        self._dirty.set()

    async def _reconcile(self, client: KubeClient) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            assert self._plan is not None
            try:
                await self._write(client, self._plan)
            except (ApiError, httpx.TransportError) as error:
                log.warning("cannot write a status, trying again: %s", error)
                await asyncio.sleep(RETRY_S)
                self._dirty.set()

    # --- statuses

    async def _write(self, client: KubeClient, found: Plan) -> None:
        await self._write_class(client)
        for key, listeners in found.listeners.items():
            gateway = self._objects.gateways.get(key)
            if gateway is None:
                continue  # deleted while this was written
            generation = gateway["metadata"].get("generation", 0)
            status = gateway.get("status") or {}
            before = {listener["name"]: listener.get("conditions") or [] for listener in status.get("listeners") or ()}
            wanted = {
                "conditions": _conditions(
                    status.get("conditions") or [],
                    (Condition("Accepted", "True", "Accepted"), Condition("Programmed", "True", "Programmed")),
                    generation,
                ),
                "addresses": [{"type": "IPAddress", "value": "127.0.0.1"}],
                "listeners": [
                    {
                        "name": listener.name,
                        "supportedKinds": [{"group": GROUP, "kind": "HTTPRoute"}],
                        "attachedRoutes": listener.attached,
                        "conditions": _conditions(before.get(listener.name, []), listener.conditions, generation),
                    }
                    for listener in listeners
                ],
            }
            await self._patch(client, "Gateway", gateway, wanted)
        for key, parents in found.parents.items():
            route = self._objects.routes.get(key)
            if route is None:
                continue
            generation = route["metadata"].get("generation", 0)
            told = (route.get("status") or {}).get("parents") or []
            others = [entry for entry in told if entry.get("controllerName") != self._config.controller]
            mine = []
            for parent in parents:
                before_here = next(
                    (e.get("conditions") or [] for e in told if e not in others and _same(e["parentRef"], parent.ref)),
                    [],
                )
                mine.append(
                    {
                        "parentRef": parent.ref,
                        "controllerName": self._config.controller,
                        "conditions": _conditions(before_here, parent.conditions, generation),
                    }
                )
            if mine or others != told:
                await self._patch(client, "HTTPRoute", route, {"parents": [*others, *mine]})

    async def _write_class(self, client: KubeClient) -> None:
        name = self._config.gateway_class
        if ("", name) not in self._objects.classes:
            body = {
                "apiVersion": API,
                "kind": "GatewayClass",
                "metadata": {"name": name},
                "spec": {"controllerName": self._config.controller},
            }
            with contextlib.suppress(ApiError):  # somebody else was faster; it will be seen by the watch
                await client.create(body)
            return
        found = self._objects.classes["", name]
        if found.get("spec", {}).get("controllerName") == self._config.controller:
            before = (found.get("status") or {}).get("conditions") or []
            accepted = _conditions(
                before, (Condition("Accepted", "True", "Accepted"),), found["metadata"].get("generation", 0)
            )
            await self._patch(client, "GatewayClass", found, {"conditions": accepted})

    async def _patch(self, client: KubeClient, kind: str, obj: Object, status: Object) -> None:
        now = obj.get("status") or {}
        if all(now.get(name) == value for name, value in status.items()):
            return
        meta = obj["metadata"]
        try:
            written = await client.patch_status(API, kind, meta["name"], meta.get("namespace", ""), status)
        except ApiError as error:
            if error.code == 404:
                return  # deleted meanwhile
            raise
        obj["status"] = written.get("status", status)


def _same(one: Object, other: Object) -> bool:
    keys = ("group", "kind", "namespace", "name", "sectionName", "port")
    return all(one.get(key) == other.get(key) for key in keys)


def _conditions(before: Sequence[Object], wanted: Sequence[Condition], generation: int) -> list[Object]:
    """The wanted conditions; the time of a change is kept while the status is the same."""
    known = {condition["type"]: condition for condition in before}
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    result = []
    for condition in wanted:
        old = known.get(condition.type, {})
        changed = old.get("lastTransitionTime") if old.get("status") == condition.status else None
        result.append(
            {
                "type": condition.type,
                "status": condition.status,
                "reason": condition.reason,
                "message": condition.message,
                "observedGeneration": generation,
                "lastTransitionTime": changed or now,
            }
        )
    return result
