"""The stack: one attribute per tool, each client made from its endpoint when first asked for.

A tier starts services side by side; `resolve` waits until the one that is asked for is ready (and raises ServiceError with the reason
when it will not be), so a flow begins as soon as its first tool is there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from lifecycle.domain import endpoints as e

if TYPE_CHECKING:
    from lifecycle.tools.argocd import ArgoCD
    from lifecycle.tools.git import Git
    from lifecycle.tools.kfp import KubeflowPipelines
    from lifecycle.tools.kserve import KServe
    from lifecycle.tools.marquez import Marquez
    from lifecycle.tools.mlflow import Mlflow
    from lifecycle.tools.object_store import ObjectStore
    from lifecycle.tools.postgres import Postgres
    from lifecycle.tools.registry import Registry

E = TypeVar("E", bound=e.Endpoint)
Resolve = Callable[[type[e.Endpoint]], e.Endpoint]


class Stack:
    """The clients of one tier's services."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve

    def endpoint(self, kind: type[E]) -> E:
        """The endpoint of that kind, once its service is ready."""
        found = self._resolve(kind)  # type: ignore[arg-type] # a member of the union, which mypy cannot tell from the variable
        assert isinstance(found, kind)
        return found

    @cached_property
    def postgres(self) -> Postgres:
        from lifecycle.tools.postgres import Postgres

        return Postgres(self.endpoint(e.PostgresEndpoint))

    @cached_property
    def object_store(self) -> ObjectStore:
        from lifecycle.tools.object_store import ObjectStore

        return ObjectStore(self.endpoint(e.ObjectStoreEndpoint))

    @cached_property
    def git(self) -> Git:
        from lifecycle.tools.git import Git

        return Git(self.endpoint(e.GitEndpoint))

    @cached_property
    def registry(self) -> Registry:
        from lifecycle.tools.registry import Registry

        return Registry(self.endpoint(e.RegistryEndpoint))

    @cached_property
    def mlflow(self) -> Mlflow:
        from lifecycle.tools.mlflow import Mlflow

        return Mlflow(self.endpoint(e.MlflowEndpoint), self.endpoint(e.ObjectStoreEndpoint))

    @cached_property
    def kfp(self) -> KubeflowPipelines:
        from lifecycle.tools.kfp import KubeflowPipelines

        return KubeflowPipelines(self.endpoint(e.KubeflowEndpoint))

    @cached_property
    def argocd(self) -> ArgoCD:
        from lifecycle.tools.argocd import ArgoCD

        return ArgoCD(self.endpoint(e.KubernetesEndpoint))

    @cached_property
    def kserve(self) -> KServe:
        from lifecycle.tools.kserve import KServe

        return KServe(self.endpoint(e.KubernetesEndpoint), self.endpoint(e.GatewayEndpoint))

    @cached_property
    def marquez(self) -> Marquez:
        from lifecycle.tools.marquez import Marquez

        return Marquez(self.endpoint(e.MarquezEndpoint))
