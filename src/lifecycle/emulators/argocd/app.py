"""The emulator as the host of all emulators sees it: a controller without an API of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lifecycle.domain.errors import InvalidInput
from lifecycle.emulators.argocd.controller import Controller
from lifecycle.emulators.argocd.policy import SelfHeal
from lifecycle.emulators.base import Emulator
from lifecycle.emulators.kube_client import Connection, load_kubeconfig


@dataclass(frozen=True)
class ArgoCDConfig:
    """Where the Kubernetes API is, by kubeconfig or plain URL; `resync_seconds` is how often git is asked without being told to.

    `work_dir` keeps copies of the repositories; without it they are temporary.
    """

    kubeconfig: Path | None = None
    api_url: str = ""
    namespace: str = "argocd"
    resync_seconds: float = 180
    work_dir: Path | None = None
    self_heal: SelfHeal = field(default_factory=SelfHeal)


def create(config: ArgoCDConfig) -> Emulator:
    """Argo CD's controller; it waits for the API server and for the Application kind by itself."""
    if (config.kubeconfig is None) == (not config.api_url):
        raise InvalidInput("Argo CD needs one way to the Kubernetes API", fix="give either kubeconfig or api_url")

    started: list[Controller] = []

    async def run() -> None:
        connection = (
            load_kubeconfig(config.kubeconfig)
            if config.kubeconfig is not None
            else Connection(config.api_url.rstrip("/"))
        )
        controller = Controller(
            connection,
            namespace=config.namespace,
            resync_s=config.resync_seconds,
            heal=config.self_heal,
            folder=config.work_dir,
        )
        started.append(controller)
        await controller.run()

    async def close() -> None:
        for controller in started:
            await controller.close()

    return Emulator("argocd", background=(run,), close=close)
