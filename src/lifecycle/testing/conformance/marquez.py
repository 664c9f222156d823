"""Conformance of Marquez' HTTP API: the same tests against the emulator and against a real server.

A subclass gives the fixture `marquez_url`, the base URL. Every test works in namespaces of its own, so that a server with a history
serves as well as an empty one.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

Json = dict[str, Any]
PRODUCER = "https://lifecycle.example/conformance"
RUN_EVENT = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
JOB_EVENT = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/JobEvent"
DATASET_EVENT = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/DatasetEvent"


def facet(**content: Any) -> Json:
    """A facet with the two properties each one needs."""
    return {"_producer": PRODUCER, "_schemaURL": "https://lifecycle.example/facet.json", **content}


def schema(*columns: str) -> Json:
    """A schema facet of string columns."""
    return facet(fields=[{"name": name, "type": "string"} for name in columns])


def comes_from(**columns: tuple[str, str, str]) -> Json:
    """A column lineage facet: each column from one (namespace, dataset, column)."""
    return facet(
        fields={
            column: {
                "inputFields": [{"namespace": origin[0], "name": origin[1], "field": origin[2]}],
                "transformationType": "IDENTITY",
                "transformationDescription": "as it is",
            }
            for column, origin in columns.items()
        }
    )


class Scene:
    """A server and names nobody else uses."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.api = httpx.Client(base_url=f"{url.rstrip('/')}/api/v1/", timeout=30, trust_env=False)
        mark = uuid.uuid4().hex[:10]
        self.jobs = f"jobs-{mark}"
        self.lake = f"s3://lake-{mark}"
        self.begin = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC) + timedelta(seconds=int(mark[:6], 16))

    def at(self, seconds: float) -> str:
        return (self.begin + timedelta(seconds=seconds)).isoformat()

    def dataset(self, name: str, **facets: Json) -> Json:
        return {"namespace": self.lake, "name": name, "facets": facets}

    def event(
        self,
        state: str,
        job: str,
        run_id: str,
        seconds: float = 0,
        *,
        inputs: tuple[Json, ...] = (),
        outputs: tuple[Json, ...] = (),
        run_facets: Json | None = None,
        job_facets: Json | None = None,
    ) -> Json:
        return {
            "eventType": state,
            "eventTime": self.at(seconds),
            "run": {"runId": run_id, "facets": run_facets or {}},
            "job": {"namespace": self.jobs, "name": job, "facets": job_facets or {}},
            "inputs": list(inputs),
            "outputs": list(outputs),
            "producer": PRODUCER,
            "schemaURL": RUN_EVENT,
        }

    def send(self, event: Json) -> None:
        answer = self.api.post("lineage", json=event)
        assert answer.status_code == 201, answer.text

    def complete(
        self, job: str, inputs: tuple[Json, ...] = (), outputs: tuple[Json, ...] = (), seconds: float = 0
    ) -> str:
        """A run that started and completed within a second; returns its id."""
        run_id = str(uuid.uuid4())
        self.send(self.event("START", job, run_id, seconds))
        self.send(self.event("COMPLETE", job, run_id, seconds + 1, inputs=inputs, outputs=outputs))
        return run_id

    def get(self, path: str, **query: Any) -> Json:
        answer = self.api.get(path, params=query)
        assert answer.status_code == 200, answer.text
        told: Json = answer.json()
        return told

    def job_path(self, name: str) -> str:
        return f"namespaces/{self.jobs}/jobs/{quote(name, safe='')}"

    def dataset_path(self, name: str) -> str:
        return f"namespaces/{quote(self.lake, safe='')}/datasets/{quote(name, safe='')}"

    def node(self, name: str) -> str:
        return f"dataset:{self.lake}:{name}"

    def job_node(self, name: str) -> str:
        return f"job:{self.jobs}:{name}"

    def graph(self, node_id: str, **query: Any) -> dict[str, Json]:
        return {node["id"]: node for node in self.get("lineage", nodeId=node_id, **query)["graph"]}


def ids(nodes: list[Json]) -> set[tuple[str, str]]:
    """The (namespace, name) pairs of dataset ids."""
    return {(each["namespace"], each["name"]) for each in nodes}


class MarquezConformance:
    """Subclass with a fixture `marquez_url`."""

    @pytest.fixture
    def scene(self, marquez_url: str) -> Iterator[Scene]:
        scene = Scene(marquez_url)
        yield scene
        scene.api.close()

    # --- taking events

    def test_a_run_event_is_taken_with_201_and_no_body(self, scene: Scene) -> None:
        """A valid run event is answered 201 Created and nothing else."""
        answer = scene.api.post("lineage", json=scene.event("START", "extract", str(uuid.uuid4())))
        assert (answer.status_code, answer.content) == (201, b"")

    def test_an_event_without_a_schema_url_is_a_run_event(self, scene: Scene) -> None:
        """schemaURL may be left out; the event still makes a run."""
        run_id = str(uuid.uuid4())
        event = scene.event("START", "extract", run_id)
        del event["schemaURL"]
        scene.send(event)
        assert scene.get(f"jobs/runs/{run_id}")["state"] == "RUNNING"

    @pytest.mark.parametrize("missing", ["eventTime", "run", "job", "producer"])
    def test_an_event_without_a_required_property_is_422_and_says_which(self, scene: Scene, missing: str) -> None:
        """A missing required property breaks a constraint, and the answer names it."""
        event = scene.event("START", "extract", str(uuid.uuid4()))
        del event[missing]
        answer = scene.api.post("lineage", json=event)
        assert answer.status_code == 422
        assert any(missing in error for error in answer.json()["errors"])

    @pytest.mark.parametrize(
        ("part", "name"), [("run", "runId"), ("job", "name"), ("job", "namespace")], ids=["run id", "job", "namespace"]
    )
    def test_a_null_name_is_422(self, scene: Scene, part: str, name: str) -> None:
        """A null where a name must stand is refused."""
        event = scene.event("START", "extract", str(uuid.uuid4()))
        event[part][name] = None
        assert scene.api.post("lineage", json=event).status_code == 422

    def test_a_dataset_without_a_name_is_422(self, scene: Scene) -> None:
        """An input without a name refuses the whole event."""
        nameless: Json = {"namespace": scene.lake, "name": None, "facets": {}}
        event = scene.event("COMPLETE", "extract", str(uuid.uuid4()), inputs=(nameless,))
        assert scene.api.post("lineage", json=event).status_code == 422

    def test_a_parent_without_a_run_id_is_422(self, scene: Scene) -> None:
        """A parent facet must say which run."""
        parent = facet(run={}, job={"namespace": scene.jobs, "name": "flow"})
        event = scene.event("START", "flow.step", str(uuid.uuid4()), run_facets={"parent": parent})
        assert scene.api.post("lineage", json=event).status_code == 422

    def test_text_that_is_no_json_is_400(self, scene: Scene) -> None:
        """Broken JSON is answered 400 with code and message."""
        answer = scene.api.post("lineage", content=b"{broken", headers={"Content-Type": "application/json"})
        assert answer.status_code == 400
        assert answer.json()["code"] == 400

    def test_an_event_time_that_is_none_is_400(self, scene: Scene) -> None:
        """A time that cannot be read is answered 400."""
        event = scene.event("START", "extract", str(uuid.uuid4()))
        event["eventTime"] = "yesterday"
        assert scene.api.post("lineage", json=event).status_code == 400

    def test_a_namespace_with_other_characters_is_400(self, scene: Scene) -> None:
        """Namespaces are letters, digits and a few signs."""
        odd = {"namespace": "lake 😀", "name": "customers", "facets": {}}
        event = scene.event("COMPLETE", "extract", str(uuid.uuid4()), inputs=(odd,))
        assert scene.api.post("lineage", json=event).status_code == 400

    def test_a_refused_event_leaves_nothing_behind(self, scene: Scene) -> None:
        """After a 422 neither the run nor the job's namespace exists."""
        run_id = str(uuid.uuid4())
        nameless: Json = {"namespace": scene.lake, "name": None, "facets": {}}
        scene.api.post("lineage", json=scene.event("START", "extract", run_id, inputs=(nameless,)))
        assert scene.api.get(f"jobs/runs/{run_id}").status_code == 404

    def test_a_time_without_an_offset_is_taken(self, scene: Scene) -> None:
        """Times without a zone are allowed by Marquez."""
        run_id = str(uuid.uuid4())
        event = scene.event("START", "extract", run_id)
        event["eventTime"] = event["eventTime"].removesuffix("+00:00")
        scene.send(event)
        assert scene.get(f"jobs/runs/{run_id}")["startedAt"]

    def test_nanoseconds_are_taken(self, scene: Scene) -> None:
        """Java clients send nine digits of a second."""
        run_id = str(uuid.uuid4())
        event = scene.event("START", "extract", run_id)
        event["eventTime"] = "2026-03-01T12:00:00.123456789Z"
        scene.send(event)
        assert scene.get(f"jobs/runs/{run_id}")["startedAt"].startswith("2026-03-01T12:00:00.123456")

    def test_the_same_event_twice_changes_nothing(self, scene: Scene) -> None:
        """A repeated event makes no second run, version or edge."""
        run_id = str(uuid.uuid4())
        event = scene.event("COMPLETE", "extract", run_id, 1, outputs=(scene.dataset("raw/customers"),))
        for each in (scene.event("START", "extract", run_id), event, event):
            scene.send(each)
        assert scene.get(f"{scene.job_path('extract')}/runs")["totalCount"] == 1
        assert scene.get(f"{scene.dataset_path('raw/customers')}/versions")["totalCount"] == 1

    # --- the official client

    def test_the_official_client_is_understood(self, scene: Scene) -> None:
        """The unchanged openlineage-python client emits over its HTTP transport, and the run is there."""
        from openlineage.client import OpenLineageClient
        from openlineage.client.event_v2 import Job, OutputDataset, Run, RunEvent
        from openlineage.client.facet_v2 import schema_dataset
        from openlineage.client.generated.base import EventType
        from openlineage.client.transport.http import HttpConfig, HttpTransport

        client = OpenLineageClient(transport=HttpTransport(HttpConfig(url=scene.url)))
        run_id = str(uuid.uuid4())
        columns = schema_dataset.SchemaDatasetFacet(
            fields=[schema_dataset.SchemaDatasetFacetFields(name="tenure", type="integer")]
        )
        for state, seconds in ((EventType.START, 0), (EventType.COMPLETE, 2)):
            client.emit(
                RunEvent(
                    eventType=state,
                    eventTime=scene.at(seconds),
                    run=Run(runId=run_id),
                    job=Job(namespace=scene.jobs, name="extract"),
                    outputs=[OutputDataset(namespace=scene.lake, name="raw/customers", facets={"schema": columns})],
                    producer=PRODUCER,
                )
            )
        client.close()
        run = scene.get(f"jobs/runs/{run_id}")
        assert (run["state"], run["durationMs"]) == ("COMPLETED", 2000)
        fields = scene.get(scene.dataset_path("raw/customers"))["fields"]
        assert [(each["name"], each["type"]) for each in fields] == [("tenure", "integer")]

    # --- runs

    @pytest.mark.parametrize(
        ("event_type", "state"),
        [("START", "RUNNING"), ("RUNNING", "RUNNING"), ("OTHER", "RUNNING"), ("COMPLETE", "COMPLETED"),
         ("FAIL", "FAILED"), ("ABORT", "ABORTED")],
    )  # fmt: skip
    def test_event_types_become_run_states(self, scene: Scene, event_type: str, state: str) -> None:
        """Each OpenLineage event type leaves the run in its Marquez state."""
        run_id = str(uuid.uuid4())
        scene.send(scene.event("START", "extract", run_id))
        scene.send(scene.event(event_type, "extract", run_id, 1))
        assert scene.get(f"jobs/runs/{run_id}")["state"] == state

    def test_a_run_has_its_times_and_duration(self, scene: Scene) -> None:
        """START and COMPLETE give started, ended and the milliseconds between."""
        run_id = str(uuid.uuid4())
        scene.send(scene.event("START", "extract", run_id, 0))
        scene.send(scene.event("COMPLETE", "extract", run_id, 2.5))
        run = scene.get(f"jobs/runs/{run_id}")
        begun = datetime.fromisoformat(run["startedAt"].replace("Z", "+00:00"))
        ended = datetime.fromisoformat(run["endedAt"].replace("Z", "+00:00"))
        assert (begun, ended - begun) == (scene.begin, timedelta(seconds=2.5))
        assert run["durationMs"] == 2500

    def test_a_run_without_start_has_no_start_time(self, scene: Scene) -> None:
        """A COMPLETE alone leaves startedAt and durationMs null: a lost START can be seen."""
        run_id = str(uuid.uuid4())
        scene.send(scene.event("COMPLETE", "extract", run_id))
        run = scene.get(f"jobs/runs/{run_id}")
        assert (run["state"], run.get("startedAt"), run.get("durationMs")) == ("COMPLETED", None, None)

    def test_timestamps_are_utc_with_a_z(self, scene: Scene) -> None:
        """Instants are written in UTC and end in Z."""
        run_id = str(uuid.uuid4())
        scene.send(scene.event("START", "extract", run_id))
        run = scene.get(f"jobs/runs/{run_id}")
        assert all(run[name].endswith("Z") for name in ("createdAt", "updatedAt", "startedAt"))

    def test_run_facets_of_all_events_are_merged(self, scene: Scene) -> None:
        """A run carries the facets of its START and of its end."""
        run_id = str(uuid.uuid4())
        engine = {"processing_engine": facet(name="lifecycle", version="1")}
        error = {"errorMessage": facet(message="no rows", programmingLanguage="PYTHON")}
        scene.send(scene.event("START", "extract", run_id, run_facets=engine))
        scene.send(scene.event("FAIL", "extract", run_id, 1, run_facets=error))
        facets = scene.get(f"jobs/runs/{run_id}")["facets"]
        assert facets["processing_engine"]["name"] == "lifecycle"
        assert facets["errorMessage"]["message"] == "no rows"

    def test_the_facets_endpoint_tells_job_and_run_facets_apart(self, scene: Scene) -> None:
        """GET /jobs/runs/{id}/facets gives those of the asked type only."""
        run_id = str(uuid.uuid4())
        code = {"sourceCodeLocation": facet(type="git", url="https://git.example/repo/commit/abc", version="abc")}
        engine = {"processing_engine": facet(name="lifecycle", version="1")}
        scene.send(scene.event("START", "train", run_id, run_facets=engine, job_facets=code))
        job = scene.get(f"jobs/runs/{run_id}/facets", type="job")
        run = scene.get(f"jobs/runs/{run_id}/facets", type="run")
        assert job["facets"]["sourceCodeLocation"]["version"] == "abc"
        assert set(run["facets"]) == {"processing_engine"}

    def test_a_run_knows_the_versions_it_read_and_wrote(self, scene: Scene) -> None:
        """Inputs and outputs stand in the run as dataset versions."""
        scene.complete("extract", outputs=(scene.dataset("raw/customers"),))
        run_id = scene.complete(
            "apply", (scene.dataset("raw/customers"),), (scene.dataset("features/account"),), seconds=5
        )
        run = scene.get(f"jobs/runs/{run_id}")
        read = [each["datasetVersionId"] for each in run["inputDatasetVersions"]]
        written = [each["datasetVersionId"] for each in run["outputDatasetVersions"]]
        assert ids(read) == {(scene.lake, "raw/customers")}
        assert ids(written) == {(scene.lake, "features/account")}
        current = scene.get(scene.dataset_path("features/account"))["currentVersion"]
        assert written[0]["version"] == current

    def test_runs_of_a_job_come_latest_first_with_their_count(self, scene: Scene) -> None:
        """The run list is ordered by start, latest first, and pages."""
        made = [scene.complete("extract", seconds=10 * n) for n in range(3)]
        told = scene.get(f"{scene.job_path('extract')}/runs", limit=2)
        assert [run["id"] for run in told["runs"]] == [made[2], made[1]]
        assert told["totalCount"] == 3
        rest = scene.get(f"{scene.job_path('extract')}/runs", limit=2, offset=2)
        assert [run["id"] for run in rest["runs"]] == [made[0]]

    def test_an_unknown_run_is_404_with_code_and_message(self, scene: Scene) -> None:
        """The error body names the run."""
        unknown = str(uuid.uuid4())
        answer = scene.api.get(f"jobs/runs/{unknown}")
        assert answer.status_code == 404
        assert answer.json() == {"code": 404, "message": f"Run '{unknown}' not found."}

    def test_a_run_id_that_is_no_uuid_gets_a_stable_one(self, scene: Scene) -> None:
        """Two events of the run `nightly-7` belong to one run."""
        name = f"nightly-{uuid.uuid4().hex}x"
        scene.send(scene.event("START", "extract", name))
        scene.send(scene.event("COMPLETE", "extract", name, 1))
        runs = scene.get(f"{scene.job_path('extract')}/runs")["runs"]
        assert [run["state"] for run in runs] == ["COMPLETED"]

    # --- parents

    def test_a_child_is_named_after_its_parent(self, scene: Scene) -> None:
        """Job `flow.step` with parent `flow` keeps that name, with `step` as its simple name."""
        parent = {"parent": facet(run={"runId": str(uuid.uuid4())}, job={"namespace": scene.jobs, "name": "flow"})}
        scene.send(scene.event("START", "flow.step", str(uuid.uuid4()), run_facets=parent))
        job = scene.get(scene.job_path("flow.step"))
        assert (job["name"], job["simpleName"], job["parentJobName"]) == ("flow.step", "step", "flow")

    def test_a_child_told_by_its_simple_name_is_prefixed(self, scene: Scene) -> None:
        """Job `step` with parent `flow` becomes `flow.step`."""
        parent = {"parent": facet(run={"runId": str(uuid.uuid4())}, job={"namespace": scene.jobs, "name": "flow"})}
        scene.send(scene.event("START", "step", str(uuid.uuid4()), run_facets=parent))
        assert scene.get(scene.job_path("flow.step"))["simpleName"] == "step"

    def test_a_parent_exists_as_soon_as_a_child_names_it(self, scene: Scene) -> None:
        """The parent's run and job are made by the child's event."""
        parent_id = str(uuid.uuid4())
        parent = {"parent": facet(run={"runId": parent_id}, job={"namespace": scene.jobs, "name": "flow"})}
        scene.send(scene.event("START", "flow.step", str(uuid.uuid4()), run_facets=parent))
        assert scene.get(f"jobs/runs/{parent_id}")["state"] == "RUNNING"
        assert [run["id"] for run in scene.get(f"{scene.job_path('flow')}/runs")["runs"]] == [parent_id]

    def test_a_parents_own_events_are_its_own(self, scene: Scene) -> None:
        """Parent and children share no run, and the parent's end does not end a child."""
        parent_id, child_id = str(uuid.uuid4()), str(uuid.uuid4())
        parent = {"parent": facet(run={"runId": parent_id}, job={"namespace": scene.jobs, "name": "flow"})}
        scene.send(scene.event("START", "flow", parent_id))
        scene.send(scene.event("START", "flow.step", child_id, 1, run_facets=parent))
        scene.send(scene.event("COMPLETE", "flow", parent_id, 2))
        assert scene.get(f"jobs/runs/{parent_id}")["state"] == "COMPLETED"
        child = scene.get(f"jobs/runs/{child_id}")
        assert (child["state"], child["facets"]["parent"]["run"]["runId"]) == ("RUNNING", parent_id)

    # --- datasets

    def test_a_dataset_has_its_schema_source_and_description(self, scene: Scene) -> None:
        """Fields, source name and description come from the facets."""
        facets = {
            "schema": schema("tenure", "contract"),
            "dataSource": facet(name="lake", uri="s3://lake/raw"),
            "documentation": facet(description="customers as they are"),
        }
        scene.complete("extract", outputs=(scene.dataset("raw/customers", **facets),))
        told = scene.get(scene.dataset_path("raw/customers"))
        assert [each["name"] for each in told["fields"]] == ["tenure", "contract"]
        assert (told["sourceName"], told["description"]) == ("lake", "customers as they are")
        assert told["id"] == {"namespace": scene.lake, "name": "raw/customers"}
        assert (told["type"], told["deleted"]) == ("DB_TABLE", False)

    def test_dataset_facets_are_returned_as_sent(self, scene: Scene) -> None:
        """Standard and custom facets come back with all they held."""
        facets = {"version": facet(datasetVersion="abc"), "lifecycle_node": facet(kind="object", facts={"a": "b"})}
        scene.complete("extract", outputs=(scene.dataset("raw/customers", **facets),))
        told = scene.get(scene.dataset_path("raw/customers"))["facets"]
        assert told["version"]["datasetVersion"] == "abc"
        assert told["lifecycle_node"] == facets["lifecycle_node"]

    def test_facets_of_an_input_are_kept(self, scene: Scene) -> None:
        """A dataset that is only read still has its facets."""
        told = scene.dataset(
            "customers", schema=schema("tenure"), dataQualityMetrics=facet(rowCount=7, columnMetrics={})
        )
        scene.complete("extract", inputs=(told,))
        facets = scene.get(scene.dataset_path("customers"))["facets"]
        assert facets["dataQualityMetrics"]["rowCount"] == 7

    def test_each_writing_run_makes_a_version(self, scene: Scene) -> None:
        """Two runs that write the dataset leave two versions, the later one current and created by its run."""
        scene.complete("extract", outputs=(scene.dataset("raw/customers", schema=schema("tenure")),))
        second = scene.complete(
            "extract", outputs=(scene.dataset("raw/customers", schema=schema("tenure")),), seconds=9
        )
        told = scene.get(f"{scene.dataset_path('raw/customers')}/versions")
        assert told["totalCount"] == 2
        assert told["versions"][0]["createdByRun"]["id"] == second
        current = scene.get(scene.dataset_path("raw/customers"))["currentVersion"]
        assert current == told["versions"][0]["version"]

    def test_reading_makes_no_version(self, scene: Scene) -> None:
        """A run that only reads leaves the dataset's versions as they were."""
        scene.complete("extract", outputs=(scene.dataset("raw/customers"),))
        before = scene.get(scene.dataset_path("raw/customers"))["currentVersion"]
        scene.complete("validate", inputs=(scene.dataset("raw/customers"),), seconds=5)
        assert scene.get(scene.dataset_path("raw/customers"))["currentVersion"] == before
        assert scene.get(f"{scene.dataset_path('raw/customers')}/versions")["totalCount"] == 1

    def test_what_a_failed_run_wrote_does_not_become_current(self, scene: Scene) -> None:
        """Only a completed run moves the current version."""
        scene.complete("extract", outputs=(scene.dataset("raw/customers"),))
        before = scene.get(scene.dataset_path("raw/customers"))["currentVersion"]
        run_id = str(uuid.uuid4())
        scene.send(scene.event("START", "extract", run_id, 5))
        scene.send(scene.event("FAIL", "extract", run_id, 6, outputs=(scene.dataset("raw/customers"),)))
        assert scene.get(scene.dataset_path("raw/customers"))["currentVersion"] == before

    def test_one_version_can_be_asked_for(self, scene: Scene) -> None:
        """GET .../versions/{version} gives that version with its fields."""
        scene.complete("extract", outputs=(scene.dataset("raw/customers", schema=schema("tenure")),))
        version = scene.get(scene.dataset_path("raw/customers"))["currentVersion"]
        told = scene.get(f"{scene.dataset_path('raw/customers')}/versions/{version}")
        assert told["version"] == version
        assert [each["name"] for each in told["fields"]] == ["tenure"]

    def test_datasets_of_a_namespace_are_listed_by_name_in_pages(self, scene: Scene) -> None:
        """The list is sorted, counts all and gives the page that was asked for."""
        scene.complete("extract", outputs=tuple(scene.dataset(name) for name in ("c", "a", "b")))
        path = f"namespaces/{quote(scene.lake, safe='')}/datasets"
        told = scene.get(path, limit=2)
        assert ([each["name"] for each in told["datasets"]], told["totalCount"]) == (["a", "b"], 3)
        assert [each["name"] for each in scene.get(path, limit=2, offset=2)["datasets"]] == ["c"]

    def test_an_unknown_dataset_is_404_with_its_name(self, scene: Scene) -> None:
        """The message names the dataset, slashes and all."""
        scene.complete("extract", outputs=(scene.dataset("raw/customers"),))
        answer = scene.api.get(scene.dataset_path("raw/orders"))
        assert answer.status_code == 404
        assert answer.json() == {"code": 404, "message": "Dataset 'raw/orders' not found."}

    def test_a_negative_limit_is_refused(self, scene: Scene) -> None:
        """Pages cannot be negative."""
        scene.complete("extract", outputs=(scene.dataset("a"),))
        answer = scene.api.get(f"namespaces/{quote(scene.lake, safe='')}/datasets", params={"limit": -1})
        assert answer.status_code == 400

    def test_a_deleted_dataset_is_gone_until_it_is_written_again(self, scene: Scene) -> None:
        """Deleting hides; the next event that writes the dataset brings it back."""
        scene.complete("extract", outputs=(scene.dataset("raw/customers"),))
        assert scene.api.delete(scene.dataset_path("raw/customers")).status_code == 200
        assert scene.api.get(scene.dataset_path("raw/customers")).status_code == 404
        scene.complete("extract", outputs=(scene.dataset("raw/customers"),), seconds=9)
        assert scene.api.get(scene.dataset_path("raw/customers")).status_code == 200

    def test_datasets_can_be_tagged_and_untagged(self, scene: Scene) -> None:
        """A tag stays until it is taken off, and is listed among all tags."""
        scene.complete("extract", outputs=(scene.dataset("raw/customers"),))
        path = f"{scene.dataset_path('raw/customers')}/tags/PII"
        assert scene.api.post(path).json()["tags"] == ["PII"]
        assert scene.get(scene.dataset_path("raw/customers"))["tags"] == ["PII"]
        assert scene.api.delete(path).json()["tags"] == []

    def test_fields_can_be_tagged_in_capitals(self, scene: Scene) -> None:
        """A field's tag is written in capitals, and the field must exist."""
        scene.complete("extract", outputs=(scene.dataset("raw/customers", schema=schema("tenure")),))
        path = scene.dataset_path("raw/customers")
        assert scene.api.post(f"{path}/fields/tenure/tags/sensitive").status_code == 200
        assert scene.get(path)["fields"][0]["tags"] == ["SENSITIVE"]
        assert scene.api.post(f"{path}/fields/age/tags/sensitive").status_code == 404

    def test_a_dataset_event_makes_a_dataset_without_a_run(self, scene: Scene) -> None:
        """Static metadata: a DatasetEvent alone is enough."""
        event = {
            "eventTime": scene.at(0),
            "producer": PRODUCER,
            "schemaURL": DATASET_EVENT,
            "dataset": scene.dataset("customers", schema=schema("tenure")),
        }
        scene.send(event)
        told = scene.get(scene.dataset_path("customers"))
        assert [each["name"] for each in told["fields"]] == ["tenure"]
        assert told["currentVersion"]

    # --- jobs

    def test_a_job_shows_its_latest_run_and_its_edges(self, scene: Scene) -> None:
        """After a run the job names what it read and wrote, and the run."""
        run_id = scene.complete("apply", (scene.dataset("raw/customers"),), (scene.dataset("features/account"),))
        job = scene.get(scene.job_path("apply"))
        assert ids(job["inputs"]) == {(scene.lake, "raw/customers")}
        assert ids(job["outputs"]) == {(scene.lake, "features/account")}
        assert (job["latestRun"]["id"], job["latestRun"]["state"]) == (run_id, "COMPLETED")
        assert job["id"] == {"namespace": scene.jobs, "name": "apply"}

    def test_a_job_takes_description_location_and_type_from_its_facets(self, scene: Scene) -> None:
        """Documentation, source code location and processing type stand in the job."""
        facets = {
            "documentation": facet(description="trains the model"),
            "sourceCodeLocation": facet(type="git", url="https://git.example/repo/commit/abc"),
            "jobType": facet(processingType="BATCH", integration="LIFECYCLE", jobType="STEP"),
        }
        scene.send(scene.event("START", "train", str(uuid.uuid4()), job_facets=facets))
        job = scene.get(scene.job_path("train"))
        assert (job["description"], job["type"]) == ("trains the model", "BATCH")
        assert job["location"] == "https://git.example/repo/commit/abc"

    def test_jobs_of_a_namespace_are_listed_with_their_count(self, scene: Scene) -> None:
        """Every job of the namespace, and how many there are."""
        for number, name in enumerate(("extract", "validate", "train")):
            scene.complete(name, seconds=number * 5)
        told = scene.get(f"namespaces/{scene.jobs}/jobs")
        assert ({each["name"] for each in told["jobs"]}, told["totalCount"]) == ({"extract", "validate", "train"}, 3)
        assert len(scene.get(f"namespaces/{scene.jobs}/jobs", limit=2)["jobs"]) == 2

    def test_jobs_can_be_listed_by_the_state_of_their_last_run(self, scene: Scene) -> None:
        """lastRunStates leaves out the others."""
        scene.complete("extract")
        scene.send(scene.event("START", "train", str(uuid.uuid4()), 5))
        told = scene.get(f"namespaces/{scene.jobs}/jobs", lastRunStates="RUNNING")
        assert [each["name"] for each in told["jobs"]] == ["train"]

    def test_an_unknown_job_is_404_with_its_name(self, scene: Scene) -> None:
        """The message names the job."""
        scene.complete("extract")
        answer = scene.api.get(scene.job_path("flow.unknown"))
        assert answer.status_code == 404
        assert answer.json() == {"code": 404, "message": "Job 'flow.unknown' not found."}

    def test_other_inputs_make_another_job_version(self, scene: Scene) -> None:
        """The same inputs keep the version, others make a new one."""
        scene.complete("apply", inputs=(scene.dataset("a"),))
        scene.complete("apply", inputs=(scene.dataset("a"),), seconds=5)
        first = scene.get(f"{scene.job_path('apply')}/versions")["versions"]
        scene.complete("apply", inputs=(scene.dataset("b"),), seconds=10)
        second = scene.get(f"{scene.job_path('apply')}/versions")["versions"]
        assert (len(first), len(second)) == (1, 2)
        current = scene.get(scene.job_path("apply"))["currentVersion"]
        assert ids(scene.get(f"{scene.job_path('apply')}/versions/{current}")["inputs"]) == {(scene.lake, "b")}

    def test_a_deleted_job_is_gone_until_it_runs_again(self, scene: Scene) -> None:
        """Deleting hides the job from lists and graph."""
        scene.complete("extract", outputs=(scene.dataset("raw/customers"),))
        assert scene.api.delete(scene.job_path("extract")).status_code == 200
        assert scene.api.get(scene.job_path("extract")).status_code == 404
        assert scene.get(f"namespaces/{scene.jobs}/jobs")["jobs"] == []

    def test_a_job_event_makes_a_job_without_a_run(self, scene: Scene) -> None:
        """Static lineage: a JobEvent gives the job its edges."""
        event = {
            "eventTime": scene.at(0),
            "producer": PRODUCER,
            "schemaURL": JOB_EVENT,
            "job": {"namespace": scene.jobs, "name": "apply", "facets": {}},
            "inputs": [scene.dataset("raw/customers")],
            "outputs": [scene.dataset("features/account")],
        }
        scene.send(event)
        job = scene.get(scene.job_path("apply"))
        assert ids(job["inputs"]) == {(scene.lake, "raw/customers")}
        assert job.get("latestRun") is None

    # --- namespaces

    def test_namespaces_with_slashes_are_found_percent_encoded(self, scene: Scene) -> None:
        """`s3://lake` is asked for as s3%3A%2F%2Flake."""
        scene.complete("extract", outputs=(scene.dataset("raw/customers"),))
        told = scene.get(f"namespaces/{quote(scene.lake, safe='')}")
        assert told["name"] == scene.lake
        assert told["ownerName"]

    def test_a_namespace_is_put_with_owner_and_description(self, scene: Scene) -> None:
        """PUT creates, PUT again changes, and it is listed."""
        path = f"namespaces/{scene.jobs}"
        scene.api.put(path, json={"ownerName": "one"})
        told = scene.api.put(path, json={"ownerName": "team", "description": "churn"}).json()
        assert (told["ownerName"], told["description"]) == ("team", "churn")
        listed = scene.get("namespaces", limit=100_000)["namespaces"]
        assert scene.jobs in {each["name"] for each in listed}

    def test_an_unknown_namespace_is_404(self, scene: Scene) -> None:
        """The message names the namespace as it was meant, decoded."""
        answer = scene.api.get(f"namespaces/{quote('s3://nowhere', safe='')}")
        assert answer.status_code == 404
        assert answer.json() == {"code": 404, "message": "Namespace 's3://nowhere' not found."}

    def test_a_deleted_namespace_takes_its_things_with_it(self, scene: Scene) -> None:
        """Jobs and datasets of a deleted namespace are hidden."""
        scene.complete("extract", outputs=(scene.dataset("raw/customers"),))
        assert scene.api.delete(f"namespaces/{quote(scene.lake, safe='')}").status_code == 200
        assert scene.api.get(scene.dataset_path("raw/customers")).status_code == 404

    def test_a_source_is_put_and_got(self, scene: Scene) -> None:
        """Sources are named places of datasets."""
        name = f"source-{scene.jobs}"
        told = scene.api.put(
            f"sources/{name}", json={"type": "POSTGRESQL", "connectionUrl": "jdbc:postgresql://host/db"}
        )
        assert told.status_code == 200
        assert scene.get(f"sources/{name}")["connectionUrl"] == "jdbc:postgresql://host/db"
        assert scene.api.get(f"sources/un{name}").status_code == 404

    # --- lineage

    def _pipeline(self, scene: Scene) -> None:
        """customers -> extract -> raw -> apply -> features -> train -> model, and raw -> validate."""
        scene.complete("extract", (scene.dataset("customers"),), (scene.dataset("raw"),))
        scene.complete("validate", (scene.dataset("raw"),), (), 5)
        scene.complete("apply", (scene.dataset("raw"),), (scene.dataset("features"),), 10)
        scene.complete("train", (scene.dataset("features"),), (scene.dataset("model"),), 15)

    def test_the_graph_reaches_everything_connected(self, scene: Scene) -> None:
        """From the source table the graph goes to the model, over jobs and datasets."""
        self._pipeline(scene)
        graph = scene.graph(scene.node("customers"))
        jobs = {scene.job_node(name) for name in ("extract", "validate", "apply", "train")}
        datasets = {scene.node(name) for name in ("customers", "raw", "features", "model")}
        assert set(graph) == jobs | datasets
        assert {graph[each]["type"] for each in jobs} == {"JOB"}
        assert {graph[each]["type"] for each in datasets} == {"DATASET"}

    def test_edges_point_along_the_data(self, scene: Scene) -> None:
        """A dataset's in edge comes from its writer, its out edges go to its readers."""
        self._pipeline(scene)
        raw = scene.graph(scene.node("customers"))[scene.node("raw")]
        assert raw["inEdges"] == [{"origin": scene.job_node("extract"), "destination": scene.node("raw")}]
        assert {edge["destination"] for edge in raw["outEdges"]} == {
            scene.job_node("validate"),
            scene.job_node("apply"),
        }

    def test_the_graph_can_start_at_a_job(self, scene: Scene) -> None:
        """A job's node id gives the same graph."""
        self._pipeline(scene)
        assert set(scene.graph(scene.job_node("train"))) == set(scene.graph(scene.node("customers")))

    def test_depth_bounds_the_graph(self, scene: Scene) -> None:
        """Depth counts steps from job to job; 0 is the job alone with its datasets."""
        self._pipeline(scene)
        near = scene.graph(scene.job_node("extract"), depth=0)
        assert set(near) == {scene.job_node("extract"), scene.node("customers"), scene.node("raw")}
        further = scene.graph(scene.job_node("extract"), depth=1)
        assert scene.job_node("apply") in further
        assert scene.job_node("train") not in further

    def test_a_dataset_no_job_touches_stands_alone(self, scene: Scene) -> None:
        """A graph of one node without edges."""
        event = {
            "eventTime": scene.at(0),
            "producer": PRODUCER,
            "schemaURL": DATASET_EVENT,
            "dataset": scene.dataset("lonely"),
        }
        scene.send(event)
        graph = scene.graph(scene.node("lonely"))
        assert set(graph) == {scene.node("lonely")}
        assert graph[scene.node("lonely")]["inEdges"] == []

    def test_an_edge_a_later_run_no_longer_has_is_gone(self, scene: Scene) -> None:
        """The graph shows the job's current version."""
        scene.complete("apply", (scene.dataset("a"),), (scene.dataset("out"),))
        scene.complete("apply", (scene.dataset("b"),), (scene.dataset("out"),), 5)
        graph = scene.graph(scene.node("out"))
        assert scene.node("b") in graph
        assert scene.node("a") not in graph

    def test_an_unknown_node_is_404(self, scene: Scene) -> None:
        """The graph of a dataset nobody heard of."""
        assert scene.api.get("lineage", params={"nodeId": scene.node("nothing")}).status_code == 404

    def test_a_node_id_of_another_form_is_refused(self, scene: Scene) -> None:
        """Node ids begin with dataset, datasetField, job or run."""
        assert scene.api.get("lineage", params={"nodeId": "table:a:b"}).status_code in (400, 404)

    def test_upstream_runs_lead_back_to_the_source(self, scene: Scene) -> None:
        """The runs whose outputs a run's inputs were, and theirs."""
        first = scene.complete("extract", (scene.dataset("customers"),), (scene.dataset("raw"),))
        second = scene.complete("apply", (scene.dataset("raw"),), (scene.dataset("features"),), 5)
        third = scene.complete("train", (scene.dataset("features"),), (), 10)
        told = scene.get("runlineage/upstream", runId=third)["runs"]
        assert [each["run"]["id"] for each in told] == [third, second, first]

    # --- columns

    def _columns(self, scene: Scene) -> None:
        """customers.tenure -> raw.tenure -> features.months."""
        table = scene.dataset("customers", schema=schema("tenure", "contract"))
        lineage = comes_from(tenure=(scene.lake, "customers", "tenure"))
        raw = scene.dataset("raw", schema=schema("tenure"), columnLineage=lineage)
        scene.complete("extract", (table,), (raw,))
        months = comes_from(months=(scene.lake, "raw", "tenure"))
        features = scene.dataset("features", schema=schema("months"), columnLineage=months)
        scene.complete("apply", (scene.dataset("raw", schema=schema("tenure")),), (features,), 5)

    def test_column_lineage_leads_back_over_datasets(self, scene: Scene) -> None:
        """The field's origin and the origin's origin."""
        self._columns(scene)
        told = scene.get("column-lineage", nodeId=f"datasetField:{scene.lake}:features:months")["graph"]
        fields = {(each["data"]["dataset"], each["data"]["field"]): each["data"] for each in told}
        assert set(fields) == {("features", "months"), ("raw", "tenure"), ("customers", "tenure")}
        (origin,) = fields[("features", "months")]["inputFields"]
        assert (origin["dataset"], origin["field"], origin["transformationType"]) == ("raw", "tenure", "IDENTITY")
        assert {each["type"] for each in told} == {"DATASET_FIELD"}

    def test_column_lineage_downstream_is_asked_for(self, scene: Scene) -> None:
        """withDownstream shows what a source column ended up in."""
        self._columns(scene)
        node = f"datasetField:{scene.lake}:customers:tenure"
        told = scene.get("column-lineage", nodeId=node, withDownstream="true")["graph"]
        assert ("features", "months") in {(each["data"]["dataset"], each["data"]["field"]) for each in told}

    def test_a_dataset_shows_its_column_lineage(self, scene: Scene) -> None:
        """The dataset itself lists the origin of its columns."""
        self._columns(scene)
        (column,) = scene.get(scene.dataset_path("raw"))["columnLineage"]
        assert column["name"] == "tenure"
        assert (column["inputFields"][0]["dataset"], column["inputFields"][0]["field"]) == ("customers", "tenure")

    def test_a_column_from_a_dataset_the_run_did_not_read_is_left_out(self, scene: Scene) -> None:
        """Marquez connects output columns with columns of the run's own inputs only."""
        lineage = comes_from(tenure=(scene.lake, "elsewhere", "tenure"))
        raw = scene.dataset("raw", schema=schema("tenure"), columnLineage=lineage)
        scene.complete("extract", (scene.dataset("customers", schema=schema("tenure")),), (raw,))
        told = scene.get(scene.dataset_path("raw")).get("columnLineage") or []
        assert [each for column in told for each in column["inputFields"]] == []

    def test_column_lineage_of_an_unknown_field_is_404(self, scene: Scene) -> None:
        """A field nobody heard of."""
        node = f"datasetField:{scene.lake}:customers:age"
        assert scene.api.get("column-lineage", params={"nodeId": node}).status_code == 404

    # --- events, search, tags

    def test_events_can_be_read_back_in_a_window_and_both_orders(self, scene: Scene) -> None:
        """`after` is included, `before` is not; the newest comes first unless asked otherwise."""
        run_id = str(uuid.uuid4())
        for seconds, state in ((0, "START"), (10, "RUNNING"), (20, "COMPLETE")):
            scene.send(scene.event(state, "extract", run_id, seconds))
        window = {"after": scene.at(0), "before": scene.at(20), "limit": 1000}

        def mine(**query: Any) -> list[str]:
            events = scene.get("events/lineage", **window, **query)["events"]
            return [each["eventType"] for each in events if each["run"]["runId"] == run_id]

        assert mine() == ["RUNNING", "START"]
        assert mine(sortDirection="asc") == ["START", "RUNNING"]

    def test_events_come_back_with_everything_they_held(self, scene: Scene) -> None:
        """What was sent is what is read, custom facets included."""
        run_id = str(uuid.uuid4())
        out = scene.dataset("raw", lifecycle_node=facet(kind="object", facts={"rows": "7"}))
        scene.send(scene.event("COMPLETE", "extract", run_id, outputs=(out,)))
        window = {"after": scene.at(0), "before": scene.at(1), "limit": 1000}
        events = scene.get("events/lineage", **window)["events"]
        (event,) = [each for each in events if each["run"]["runId"] == run_id]
        assert json.dumps(out, sort_keys=True) == json.dumps(event["outputs"][0], sort_keys=True)

    def test_search_finds_datasets_and_jobs_by_part_of_their_name(self, scene: Scene) -> None:
        """Case does not matter, and each result has its node id."""
        word = f"Churn{scene.jobs[-8:]}"
        scene.complete(f"train_{word}", outputs=(scene.dataset(f"model/{word}"),))
        told = scene.get("search", q=word.lower())
        found = {(each["type"], each["nodeId"]) for each in told["results"]}
        assert found == {
            ("DATASET", scene.node(f"model/{word}")),
            ("JOB", scene.job_node(f"train_{word}")),
        }
        assert told["totalCount"] == 2
        only = scene.get("search", q=word, filter="DATASET")
        assert {each["type"] for each in only["results"]} == {"DATASET"}

    def test_tags_are_put_and_listed(self, scene: Scene) -> None:
        """PUT makes a tag with a description."""
        name = f"TAG-{scene.jobs[-8:]}"
        assert scene.api.put(f"tags/{name}", json={"description": "a mark"}).json()["description"] == "a mark"
        listed = scene.get("tags", limit=100_000)["tags"]
        assert name in {each["name"] for each in listed}

    def test_an_unknown_path_is_404_and_a_wrong_method_405(self, scene: Scene) -> None:
        """The API says when it does not know a path or a method."""
        assert scene.api.get("nothing").status_code == 404
        assert scene.api.delete("lineage").status_code == 405

    # --- runs by hand (deprecated in Marquez, still there)

    def test_a_run_made_by_hand_goes_through_its_states(self, scene: Scene) -> None:
        """POST runs, start, complete: NEW, RUNNING, COMPLETED."""
        scene.complete("extract")
        run = scene.api.post(f"{scene.job_path('extract')}/runs", json={"args": {"day": "monday"}})
        assert (run.status_code, run.json()["state"], run.json()["args"]) == (201, "NEW", {"day": "monday"})
        path = f"jobs/runs/{run.json()['id']}"
        assert scene.api.post(f"{path}/start").json()["state"] == "RUNNING"
        assert scene.api.post(f"{path}/complete").json()["state"] == "COMPLETED"

    def test_a_run_id_cannot_be_used_twice(self, scene: Scene) -> None:
        """A second POST with the same id is refused."""
        used = scene.complete("extract")
        answer = scene.api.post(f"{scene.job_path('extract')}/runs", json={"id": used})
        assert answer.status_code == 400
        assert "already exists" in answer.json()["message"]
