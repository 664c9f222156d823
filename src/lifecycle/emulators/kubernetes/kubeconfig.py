"""A kubeconfig for an API server on plain HTTP without authentication."""

from __future__ import annotations

import json
from pathlib import Path

_NAME = "lifecycle-local"


def write_kubeconfig(url: str, path: Path) -> Path:
    """Write a kubeconfig for the server at `url`; gives the path. JSON, which every reader of YAML understands."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": _NAME, "cluster": {"server": url}}],
        "users": [{"name": _NAME, "user": {}}],
        "contexts": [{"name": _NAME, "context": {"cluster": _NAME, "user": _NAME, "namespace": "default"}}],
        "current-context": _NAME,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(config, indent=1) + "\n")
    return path
