"""Where each service of a tier is reached: the one typed place for settings and credentials.

A tier makes these records, `tools.stack.Stack` builds the clients from them. Secrets are held in `Secret`, whose text never shows in a
repr, a log, a journal or a report.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class Secret:
    """A credential; `reveal()` is the only way to its text.

    No dataclass on purpose: `dataclasses.asdict` of a record that holds one must not open it.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.reveal() == other.reveal()

    def __hash__(self) -> int:
        return hash(self.reveal())

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__


@dataclass(frozen=True)
class PostgresEndpoint:
    """The source database, reached over TCP on loopback or in the cluster."""

    host: str
    port: int
    user: str
    password: Secret
    database: str

    def dsn(self) -> str:
        """The connection URI, password included: for clients only, never for logs."""
        return f"postgresql://{self.user}:{self.password.reveal()}@{self.host}:{self.port}/{self.database}"


@dataclass(frozen=True)
class ObjectStoreEndpoint:
    """An S3 API; the buckets are named by `Buckets`."""

    url: str
    access_key: Secret
    secret_key: Secret
    region: str = "us-east-1"

    def environment(self) -> dict[str, str]:
        """Environment variables by which any AWS SDK, MLflow, DVC or Feast in a child process finds this store."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ENDPOINT_URL_S3": self.url,
            "MLFLOW_S3_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.access_key.reveal(),
            "AWS_SECRET_ACCESS_KEY": self.secret_key.reveal(),
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


BUCKET_LAKE = "lake"
BUCKET_DVC = "dvc"
BUCKET_MLFLOW = "mlflow"
BUCKET_PREDICTIONS = "predictions"
BUCKETS = (BUCKET_LAKE, BUCKET_DVC, BUCKET_MLFLOW, BUCKET_PREDICTIONS)


@dataclass(frozen=True)
class MlflowEndpoint:
    """Tracking and registry; `tracking_uri` is a server's URL or `sqlite:///...`, artifacts go to `artifact_root` (s3://...)."""

    tracking_uri: str
    artifact_root: str


@dataclass(frozen=True)
class PrefectEndpoint:
    """The Prefect API, such as http://127.0.0.1:4200/api, and the work pool the deployments use."""

    api_url: str
    work_pool: str = "local-pool"
    api_key: Secret | None = None


@dataclass(frozen=True)
class KubernetesEndpoint:
    """A Kubernetes API by its kubeconfig; `namespace` is where the model services live."""

    kubeconfig: Path
    url: str
    namespace: str = "models"
    argocd_namespace: str = "argocd"


@dataclass(frozen=True)
class GatewayEndpoint:
    """Where requests to HTTPRoutes enter, such as http://127.0.0.1:8080; the route is chosen by Host header and path."""

    url: str


@dataclass(frozen=True)
class KubeflowEndpoint:
    """Kubeflow Pipelines' API (v2beta1), as given to kfp.Client(host=...)."""

    url: str


@dataclass(frozen=True)
class MarquezEndpoint:
    """Marquez' base URL; the API is below /api/v1."""

    url: str
    kind: str = "marquez"  # or "emulator": the report says which one stood there


@dataclass(frozen=True)
class RegistryEndpoint:
    """An OCI registry; `host` is host:port as it stands in image references; plain HTTP on loopback."""

    host: str


@dataclass(frozen=True)
class GitEndpoint:
    """Where the bare repositories are: `<base_url>/<name>.git`, base_url being file:///... or git://..."""

    base_url: str

    def repository(self, name: str) -> str:
        return f"{self.base_url.rstrip('/')}/{name}.git"


Endpoint = (
    PostgresEndpoint
    | ObjectStoreEndpoint
    | MlflowEndpoint
    | PrefectEndpoint
    | KubernetesEndpoint
    | GatewayEndpoint
    | KubeflowEndpoint
    | MarquezEndpoint
    | RegistryEndpoint
    | GitEndpoint
)
