"""CustomResourceDefinitions written compactly: what the server stores for a kind it did not know from birth.

https://kubernetes.io/docs/reference/kubernetes-api/extend-resources/custom-resource-definition-v1/
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Node = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """A column that `kubectl get` prints; `path` is the JSONPath of the definition; a priority above 0 shows only with -o wide."""

    name: str
    kind: str
    path: str
    priority: int = 0

    def body(self) -> Node:
        found = {"name": self.name, "type": self.kind, "jsonPath": self.path}
        return {**found, "priority": self.priority} if self.priority else found


AGE = Column("Age", "date", ".metadata.creationTimestamp")


@dataclass(frozen=True)
class Definition:
    """A kind of a CustomResourceDefinition; the first of `versions` is stored, all are served with the same schema."""

    group: str
    kind: str
    plural: str
    versions: tuple[str, ...]
    schema: Node
    namespaced: bool = True
    short_names: Sequence[str] = ()
    categories: Sequence[str] = ()
    columns: Sequence[Column] = (AGE,)
    status_subresource: bool = False

    def body(self) -> Node:
        """The CustomResourceDefinition object, spec only: the server adds the rest."""
        names: Node = {
            "plural": self.plural,
            "singular": self.kind.lower(),
            "kind": self.kind,
            "listKind": f"{self.kind}List",
        }
        names |= {"shortNames": list(self.short_names)} if self.short_names else {}
        names |= {"categories": list(self.categories)} if self.categories else {}
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{self.plural}.{self.group}"},
            "spec": {
                "group": self.group,
                "names": names,
                "scope": "Namespaced" if self.namespaced else "Cluster",
                "versions": [self._version(version, version == self.versions[0]) for version in self.versions],
            },
        }

    def _version(self, name: str, stored: bool) -> Node:
        found: Node = {"name": name, "served": True, "storage": stored, "schema": {"openAPIV3Schema": self.schema}}
        found |= {"subresources": {"status": {}}} if self.status_subresource else {}
        return {**found, "additionalPrinterColumns": [column.body() for column in self.columns]}


def root(spec: Node, status: Node | None = None, *needed: str, **more: Node) -> Node:
    """The schema of a whole object; `more` are further fields beside spec and status."""
    properties: Node = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        "spec": spec,
    }
    properties |= {"status": status} if status else {}
    found: Node = {"type": "object", "properties": {**properties, **more}}
    return {**found, "required": list(needed)} if needed else found
