"""MLflow: what the tracking server and the model registry say of a model (https://mlflow.org/docs/latest/ml/model-registry/).

The client is MLflow's own, told its addresses explicitly: neither addresses in the environment nor MLflow's process-wide ones are read
or changed, so that two stacks in one process do not meet. Importing it takes more than a second, which happens with the first question
(or with `preload()`, while services start). Stages are gone from MLflow; the version that serves carries the alias `champion`.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lifecycle.domain.endpoints import MlflowEndpoint, ObjectStoreEndpoint
from lifecycle.domain.errors import ServiceError

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from lifecycle.tools.object_store import ObjectStore

CHAMPION = "champion"
_PICKLES = ("pickle", "cloudpickle")


@dataclass(frozen=True)
class ModelRun:
    """An MLflow run; `status` is MLflow's word, such as FINISHED."""

    run_id: str
    experiment_id: str
    status: str
    metrics: Mapping[str, float]
    params: Mapping[str, str]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class ModelVersion:
    """One version of a registered model, with the metrics and parameters of the run that made it."""

    name: str
    version: str
    run_id: str
    model_uri: str  # s3:// folder that holds the model's artifacts
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    params: Mapping[str, str]
    aliases: tuple[str, ...]


def preload() -> None:
    """Import the client: time that can pass while services start."""
    # names of variables that MLflow reads while it is imported
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_DISABLE_AGENT_HINT", "1")
    from mlflow.tracking import MlflowClient  # noqa: F401

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)


class Mlflow:
    """Tracking and registry of one server; may be used from several threads.

    Every method raises ServiceError when MLflow does not answer, refuses, or does not have what is asked for.
    """

    def __init__(self, mlflow: MlflowEndpoint, store: ObjectStoreEndpoint) -> None:
        self.endpoint = mlflow
        self._store_endpoint = store
        self._lock = threading.Lock()
        self._made: Any = None
        self._objects: ObjectStore | None = None

    # --- experiments and runs

    def ensure_experiment(self, name: str) -> str:
        """The id of the experiment; it is made when missing, its artifacts below the endpoint's artifact root."""
        from mlflow.exceptions import MlflowException

        with self._asking(f"the experiment {name}"):
            known = self._client.get_experiment_by_name(name)
            if known is None:
                location = f"{self.endpoint.artifact_root.rstrip('/')}/{name}"
                try:
                    return str(self._client.create_experiment(name, artifact_location=location))
                except MlflowException as error:
                    if error.error_code != "RESOURCE_ALREADY_EXISTS":
                        raise
                    known = self._client.get_experiment_by_name(name)  # someone else made it meanwhile
        if known.lifecycle_stage != "active":
            raise ServiceError(f"the experiment {name} was deleted in MLflow", fix="restore it or use another name")
        return str(known.experiment_id)

    def run(self, run_id: str) -> ModelRun:
        """The run with its latest metrics."""
        with self._asking(f"the run {run_id}"):
            found = self._client.get_run(run_id)
        return ModelRun(
            run_id=found.info.run_id,
            experiment_id=found.info.experiment_id,
            status=found.info.status,
            metrics=dict(found.data.metrics),
            params=dict(found.data.params),
            tags=dict(found.data.tags),
        )

    # --- the registry

    def versions(self, name: str) -> tuple[ModelVersion, ...]:
        """Every version of the model, oldest first; none when the model is not registered."""
        with self._asking(f"the versions of the model {name}"):
            aliases = self._aliases(name)
            found: list[Any] = []
            token: str | None = None
            while True:
                page = self._client.search_model_versions(f"name='{name}'", max_results=1000, page_token=token)
                found += page
                token = page.token
                if not token:
                    break
            ordered = sorted(found, key=lambda version: int(version.version))
            return tuple(self._version(version, aliases) for version in ordered)

    def version(self, name: str, version: str) -> ModelVersion:
        """One version of the model."""
        with self._asking(f"version {version} of the model {name}"):
            return self._version(self._client.get_model_version(name, version), self._aliases(name))

    def champion(self, name: str) -> ModelVersion | None:
        """The version with the alias `champion`, None when there is none or no such model."""
        with self._asking(f"the champion of the model {name}"):
            aliases = self._aliases(name)
            if CHAMPION not in aliases:
                return None
            return self._version(self._client.get_model_version(name, aliases[CHAMPION]), aliases)

    def set_champion(self, name: str, version: str) -> None:
        """Move the alias `champion`, in one request, to this version."""
        self.set_alias(name, CHAMPION, version)

    def set_alias(self, name: str, alias: str, version: str) -> None:
        with self._asking(f"setting the alias {alias} of the model {name}"):
            self._client.set_registered_model_alias(name, alias, version)

    def delete_alias(self, name: str, alias: str) -> None:
        """Idempotent."""
        with self._asking(f"deleting the alias {alias} of the model {name}"):
            self._client.delete_registered_model_alias(name, alias)

    def tag_version(self, name: str, version: str, tags: Mapping[str, str]) -> None:
        """Set tags of a version; others stay."""
        with self._asking(f"tagging version {version} of the model {name}"):
            for key, value in tags.items():
                self._client.set_model_version_tag(name, version, key, value)

    def load_sklearn(self, model_uri: str) -> Pipeline:
        """The fitted scikit-learn object of a model's folder in the bucket, as its MLmodel file describes it."""
        import pickle

        from ruamel.yaml import YAML

        folder = model_uri.rstrip("/")
        described = YAML(typ="safe", pure=True).load(self._store.get(f"{folder}/MLmodel").decode())
        flavor = described.get("flavors", {}).get("sklearn")
        if flavor is None:
            found = ", ".join(described.get("flavors", {})) or "none"
            raise ServiceError(f"{model_uri} is no scikit-learn model; its flavors: {found}")
        if flavor.get("serialization_format") not in _PICKLES:
            raise ServiceError(
                f"{model_uri} is serialised as {flavor.get('serialization_format')}, which cannot be read here",
                fix=f"log the model with serialization_format set to one of: {', '.join(_PICKLES)}",
            )
        content = self._store.get(f"{folder}/{flavor['pickled_model']}")
        model: Pipeline = pickle.loads(content)  # noqa: S301 - a model of this stack's own registry, as its server loads it
        return model

    # --- how

    @property
    def _client(self) -> Any:
        with self._lock:
            if self._made is None:
                preload()
                from mlflow.tracking import MlflowClient

                address = self.endpoint.tracking_uri
                self._made = MlflowClient(tracking_uri=address, registry_uri=address)
            return self._made

    @property
    def _store(self) -> ObjectStore:
        from lifecycle.tools.object_store import ObjectStore

        with self._lock:
            if self._objects is None:
                self._objects = ObjectStore(self._store_endpoint)
            return self._objects

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        self._client  # noqa: B018 - imported before its errors are named
        import requests
        from mlflow.exceptions import MlflowException

        try:
            yield
        except MlflowException as error:
            raise ServiceError(
                f"MLflow, asked for {what}: {error.message}",
                fix=f"look at {self.endpoint.tracking_uri} and MLflow's log in the run folder",
            ) from error
        except requests.RequestException as error:
            raise ServiceError(
                f"MLflow at {self.endpoint.tracking_uri} did not answer when asked for {what}: {error}",
                fix="look at MLflow's log in the run folder",
            ) from error

    def _aliases(self, name: str) -> Mapping[str, str]:
        """Alias to version; empty when there is no such model. The search for versions does not tell them."""
        from mlflow.exceptions import MlflowException

        try:
            return {alias: str(version) for alias, version in self._client.get_registered_model(name).aliases.items()}
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return {}
            raise

    def _version(self, found: Any, aliases: Mapping[str, str]) -> ModelVersion:
        made_by = self._client.get_run(found.run_id).data if found.run_id else None
        return ModelVersion(
            name=found.name,
            version=str(found.version),
            run_id=found.run_id or "",
            # `source` is models:/m-... since MLflow 3; the registry knows the folder behind it
            model_uri=self._client.get_model_version_download_uri(found.name, found.version).rstrip("/"),
            tags=dict(found.tags),
            metrics=dict(made_by.metrics) if made_by else {},
            params=dict(made_by.params) if made_by else {},
            aliases=tuple(sorted(alias for alias, version in aliases.items() if version == str(found.version))),
        )
