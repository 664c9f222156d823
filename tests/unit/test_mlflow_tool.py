"""The MLflow client against a real MLflow database and a bucket: versions, aliases, runs and models as they were logged."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from lifecycle.domain.endpoints import MlflowEndpoint, ObjectStoreEndpoint, Secret
from lifecycle.domain.errors import ServiceError
from lifecycle.process import Children
from lifecycle.tools.mlflow import Mlflow
from lifecycle.tools.object_store import ObjectStore

LOG_MODELS = """
import sys
import mlflow, mlflow.sklearn
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
mlflow.set_tracking_uri(sys.argv[1])
mlflow.create_experiment("training", artifact_location="s3://mlflow/training")
mlflow.set_experiment("training")
frame = pd.DataFrame({"tenure": [1, 2, 30, 40]})
for C in (1.0, 0.5):
    with mlflow.start_run():
        mlflow.log_params({"C": C})
        mlflow.log_metric("roc_auc", 0.7)
        mlflow.log_metric("roc_auc", 0.8 + C / 100)
        model = Pipeline([("learn", LogisticRegression(C=C))]).fit(frame, [1, 1, 0, 0])
        mlflow.sklearn.log_model(model, name="model", registered_model_name="churn", serialization_format="cloudpickle",
                                 pip_requirements=["scikit-learn"])
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStoreEndpoint]:
    """A bucket."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = ObjectStoreEndpoint(f"http://{host}:{port}", Secret("test"), Secret("test"))
    ObjectStore(endpoint).create_bucket("mlflow")
    yield endpoint
    server.stop()


@pytest.fixture(scope="module")
def tool(store: ObjectStoreEndpoint, tmp_path_factory: pytest.TempPathFactory) -> Mlflow:
    """A tracking database with two versions of the model churn, logged by another process with MLflow's own API."""
    folder = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{folder}/mlflow.db"
    environment = {
        **os.environ,
        **store.environment(),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONWARNINGS": "ignore",
    }
    (folder / "log_models.py").write_text(LOG_MODELS)
    with Children() as children:
        log = folder / "log.txt"
        child = children.start("log models", [sys.executable, folder / "log_models.py", uri], env=environment, log=log)
        assert child.wait(180) == 0, child.log_tail()
    return Mlflow(MlflowEndpoint(uri, "s3://mlflow"), store)


def test_versions_are_told_with_their_run_and_folder(tool: Mlflow, store: ObjectStoreEndpoint) -> None:
    """Oldest first, latest value of a metric, and the folder is where the artifacts really lie."""
    versions = tool.versions("churn")
    assert [version.version for version in versions] == ["1", "2"]
    assert [version.params["C"] for version in versions] == ["1.0", "0.5"]
    assert versions[0].metrics["roc_auc"] == pytest.approx(0.81)
    for version in versions:
        assert version.model_uri.startswith("s3://mlflow/training/")
        assert f"{version.model_uri}/MLmodel" in ObjectStore(store).list(version.model_uri)
        assert tool.run(version.run_id).status == "FINISHED"
    assert tool.version("churn", "2") == versions[1]


def test_the_champion_is_the_version_with_the_alias(tool: Mlflow) -> None:
    """It moves, it is told with the version, and taking it away twice is no error."""
    assert tool.champion("churn") is None
    tool.set_champion("churn", "1")
    tool.set_champion("churn", "2")
    champion = tool.champion("churn")
    assert champion is not None
    assert (champion.version, champion.aliases) == ("2", ("champion",))
    assert [version.aliases for version in tool.versions("churn")] == [(), ("champion",)]
    tool.delete_alias("churn", "champion")
    tool.delete_alias("churn", "champion")
    assert tool.champion("churn") is None


def test_tags_are_added(tool: Mlflow) -> None:
    """One tag does not take another away."""
    tool.tag_version("churn", "1", {"gate": "open"})
    tool.tag_version("churn", "1", {"commit": "c0ffee"})
    tags = tool.version("churn", "1").tags
    assert (tags["gate"], tags["commit"]) == ("open", "c0ffee")


def test_a_model_comes_back_as_it_was_fitted(tool: Mlflow) -> None:
    """From the bucket alone, without any setting in the environment."""
    import pandas as pd

    first, second = (tool.load_sklearn(version.model_uri) for version in tool.versions("churn"))
    assert (first["learn"].C, second["learn"].C) == (1.0, 0.5)
    assert first.predict(pd.DataFrame({"tenure": [1, 40]})).tolist() == [1, 0]


def test_what_is_not_there_is_told(tool: Mlflow) -> None:
    """No such model is an empty answer to a question about it, an error when it must be there."""
    assert tool.versions("nobody") == ()
    assert tool.champion("nobody") is None
    with pytest.raises(ServiceError, match="version 7 of the model churn"):
        tool.version("churn", "7")
    with pytest.raises(ServiceError, match="setting the alias champion"):
        tool.set_champion("churn", "7")
    with pytest.raises(ServiceError, match="get_object of s3://mlflow/nowhere/MLmodel"):
        tool.load_sklearn("s3://mlflow/nowhere")


def test_an_experiment_is_made_once(tool: Mlflow) -> None:
    """Two threads that ask at the same time get the same one, its artifacts in the bucket."""
    found: list[str] = []
    threads = [Thread(target=lambda: found.append(tool.ensure_experiment("monitoring"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert len(set(found)) == 1
    client: Any = tool._client
    assert client.get_experiment(found[0]).artifact_location == "s3://mlflow/monitoring"


def test_asking_changes_no_setting_of_the_process(tool: Mlflow) -> None:
    """MLflow's process-wide address is what it was: two stacks can live side by side."""
    import mlflow

    before = mlflow.get_tracking_uri()
    tool.versions("churn")
    assert mlflow.get_tracking_uri() == before
    assert tool.endpoint.tracking_uri != before


def test_a_server_that_does_not_answer_is_named(store: ObjectStoreEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says which address was asked for what."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    nobody = Mlflow(MlflowEndpoint("http://127.0.0.1:9", "s3://mlflow"), store)
    with pytest.raises(ServiceError, match=r"the versions of the model churn.*127\.0\.0\.1"):
        nobody.versions("churn")


def test_importing_the_module_imports_no_mlflow() -> None:
    """The command line must start at once."""
    import subprocess

    code = "import sys, lifecycle.tools.mlflow; print([name for name in ('mlflow', 'pandas', 'boto3') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path("/"))
    assert done.stdout.strip() == "[]"
