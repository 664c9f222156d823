"""What an OpenLineage event must hold to be taken; everything wrong with it is said at once.

After the required properties of https://openlineage.io/spec/2-0-2/OpenLineage.json as far as Marquez demands them.
"""

from __future__ import annotations

from typing import Any

from lifecycle.emulators.marquez.names import ApiError, ConstraintError, check_namespace, parse_instant

RUN_EVENT = "RUN_EVENT"
JOB_EVENT = "JOB_EVENT"
DATASET_EVENT = "DATASET_EVENT"

Json = dict[str, Any]


def kind_of(event: Json) -> str:
    """Which kind of event it is, by the end of its schema URL; without one it is a run event."""
    schema = event.get("schemaURL") or ""
    ending = schema.rpartition("/")[2] if isinstance(schema, str) else ""
    return {"DatasetEvent": DATASET_EVENT, "JobEvent": JOB_EVENT}.get(ending, RUN_EVENT)


def check(event: object) -> str:
    """The event's kind.

    Raises:
        ApiError: 400, it is no object, or a value has the wrong type or a namespace forbidden characters.
        ConstraintError: 422, required properties are missing.
    """
    if not isinstance(event, dict):
        raise ApiError(400, "Unable to process JSON")
    kind = kind_of(event)
    errors: list[str] = []
    _required(event, "eventTime", "", errors)
    _required(event, "producer", "", errors)
    if kind == DATASET_EVENT:
        _dataset(event.get("dataset"), "dataset", errors)
    else:
        _named(event.get("job"), "job", errors)
        for side in ("inputs", "outputs"):
            for number, dataset in enumerate(_list(event.get(side), side)):
                _dataset(dataset, f"{side}[{number}]", errors)
    if kind == RUN_EVENT:
        _run(event.get("run"), errors)
    if errors:
        raise ConstraintError(errors)
    _time(event["eventTime"])
    _namespaces(event, kind)
    return kind


def _time(text: object) -> None:
    try:
        parse_instant(str(text))
    except ValueError as error:
        raise ApiError(400, "Unable to process JSON") from error


def _namespaces(event: Json, kind: str) -> None:
    named = [event["dataset"]] if kind == DATASET_EVENT else [event["job"]]
    for each in (*named, *(event.get("inputs") or ()), *(event.get("outputs") or ())):
        check_namespace(each["namespace"])


def _required(owner: Json, name: str, path: str, errors: list[str]) -> None:
    if owner.get(name) is None:
        errors.append(f"{path}{name} must not be null")


def _list(value: object, name: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise ApiError(400, f"Unable to process JSON: {name} is no list")
    return value


def _object(value: object, path: str) -> Json:
    if not isinstance(value, dict):
        raise ApiError(400, f"Unable to process JSON: {path} is no object")
    return value


def _named(value: object, path: str, errors: list[str]) -> None:
    if value is None:
        errors.append(f"{path} must not be null")
        return
    thing = _object(value, path)
    for name in ("namespace", "name"):
        _required(thing, name, f"{path}.", errors)
        if thing.get(name) is not None and not isinstance(thing[name], str):
            raise ApiError(400, f"Unable to process JSON: {path}.{name} is no text")


def _dataset(value: object, path: str, errors: list[str]) -> None:
    _named(value, path, errors)
    if not isinstance(value, dict):
        return
    facets = _object(value.get("facets") or {}, f"{path}.facets")
    schema = facets.get("schema")
    if schema is not None:
        for number, column in enumerate(_list(_object(schema, f"{path}.facets.schema").get("fields"), "fields")):
            _required(
                _object(column, "fields"), "name", f"{path}.facets.schema.fields[{number}].", errors,
            )  # fmt: skip
    lineage = facets.get("columnLineage")
    if lineage is not None:
        for column, told in _object(_object(lineage, path).get("fields") or {}, f"{path}.facets.columnLineage").items():
            where = f"{path}.facets.columnLineage.fields[{column}]."
            _required(_object(told, where), "inputFields", where, errors)


def _run(value: object, errors: list[str]) -> None:
    if value is None:
        errors.append("run must not be null")
        return
    run = _object(value, "run")
    _required(run, "runId", "run.", errors)
    facets = _object(run.get("facets") or {}, "run.facets")
    parent = facets.get("parent") or facets.get("parentRun")
    if parent is not None:
        parent = _object(parent, "run.facets.parent")
        for part, names in (("run", ("runId",)), ("job", ("namespace", "name"))):
            if parent.get(part) is None:
                errors.append(f"run.facets.parent.{part} must not be null")
                continue
            for name in names:
                _required(_object(parent[part], part), name, f"run.facets.parent.{part}.", errors)
    nominal = facets.get("nominalTime")
    if nominal is not None:
        _required(_object(nominal, "run.facets.nominalTime"), "nominalStartTime", "run.facets.nominalTime.", errors)
