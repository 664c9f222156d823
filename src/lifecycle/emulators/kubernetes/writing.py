"""The writing requests: what their bodies and queries say, and the verb they stand for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request

from lifecycle.emulators.kubernetes import reading
from lifecycle.emulators.kubernetes.admission import Options, Warnings
from lifecycle.emulators.kubernetes.api import Api, Preconditions
from lifecycle.emulators.kubernetes.patches import PatchError, json_patch, merge_patch, strategic_merge
from lifecycle.emulators.kubernetes.paths import Target
from lifecycle.emulators.kubernetes.resources import Resource
from lifecycle.emulators.kubernetes.status import (
    ApiError,
    Cause,
    Subject,
    bad_request,
    invalid,
    method_not_allowed,
    patch_refused,
    required,
    unsupported,
    unsupported_media_type,
)
from lifecycle.emulators.kubernetes.views import METADATA, View

Node = dict[str, Any]

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

_BODIES = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
_RETURNS_OBJECT = ("Namespace", "Pod", "Service", "ServiceAccount", "CustomResourceDefinition")
_POLICIES = ("Foreground", "Background", "Orphan")


class Writer:
    """Turns writing requests into calls of the Api; gives the body and the status code of the answer."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def write(self, request: Request, resource: Resource, target: Target, warnings: Warnings) -> tuple[Node, int]:
        text = await request.body()
        media = request.headers.get("content-type", "application/json").partition(";")[0].strip()
        query = request.query_params
        match request.method:
            case "POST" if not target.name:
                options = _options(query, "CreateOptions", request)
                body = _body(text, media, resource)
                return self._api.create(resource, target.namespace, body, options, warnings), 201
            case "PUT" if target.name:
                options = _options(query, "UpdateOptions", request)
                return self._replace(resource, target, _body(text, media, resource), options, warnings), 200
            case "PATCH" if target.name:
                options = _options(query, "PatchOptions", request)
                return self._patch(resource, target, text, media, options, warnings, query)
            case "DELETE" if not target.subresource:
                return self._delete(resource, target, text, query), 200
            case _:
                raise method_not_allowed()

    # -------------------------------------------------------------- replace and patch

    def _replace(self, resource: Resource, target: Target, body: Any, options: Options, warnings: Warnings) -> Node:
        if target.subresource == "scale":
            return self._scale(resource, target, lambda _: body, options, warnings)
        return self._api.replace(
            resource, target.namespace, target.name, body, options, warnings, subresource=target.subresource
        )

    def _patch(
        self,
        resource: Resource,
        target: Target,
        text: bytes,
        media: str,
        options: Options,
        warnings: Warnings,
        query: Mapping[str, str],
    ) -> tuple[Node, int]:
        if media == APPLY_PATCH:
            if not query.get("fieldManager"):
                about = Subject("PatchOptions", "", "meta.k8s.io")
                wanted = required("fieldManager", "is required for apply patch")
                raise _options_error(about, wanted)
            body = _parse(text, media, resource)
            found, new = self._api.apply(
                resource, target.namespace, target.name, body, options, warnings, subresource=target.subresource
            )
            return found, 201 if new else 200
        change = _change(resource, text, media)
        if target.subresource == "scale":
            return self._scale(resource, target, change, options, warnings), 200
        found = self._api.patch(
            resource, target.namespace, target.name, change, options, warnings, subresource=target.subresource
        )
        return found, 200

    def scale_of(self, found: Node) -> Node:
        """The Scale of a Deployment."""
        metadata = {
            key: value
            for key, value in found["metadata"].items()
            if key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        }
        labels = found["spec"].get("selector", {}).get("matchLabels") or {}
        replicas = found["spec"].get("replicas", 0)
        return {
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": metadata,
            "spec": {"replicas": replicas} if replicas else {},
            "status": {
                "replicas": found.get("status", {}).get("replicas", 0),
                "selector": ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
            },
        }

    def _scale(
        self,
        resource: Resource,
        target: Target,
        change: Callable[[Node], Any],
        options: Options,
        warnings: Warnings,
    ) -> Node:
        def scaled(found: Node) -> Node:
            wanted = change(self.scale_of(found))
            replicas = (wanted.get("spec") or {}).get("replicas", 0)
            if version := (wanted.get("metadata") or {}).get("resourceVersion"):
                found["metadata"]["resourceVersion"] = version
            return {**found, "spec": {**found["spec"], "replicas": replicas}}

        return self.scale_of(self._api.patch(resource, target.namespace, target.name, scaled, options, warnings))

    # -------------------------------------------------------------- delete

    def _delete(self, resource: Resource, target: Target, text: bytes, query: Mapping[str, str]) -> Node:
        body = _parse(text, "application/json", resource) if text.strip() else {}
        policy = body.get("propagationPolicy") or query.get("propagationPolicy") or "Background"
        if policy not in _POLICIES:
            supported = [*_POLICIES, "nil"]
            about = Subject("DeleteOptions", "", "meta.k8s.io")
            raise _options_error(about, unsupported("propagationPolicy", json.dumps(policy), supported))
        if body.get("orphanDependents") or query.get("orphanDependents") == "true":
            policy = "Orphan"
        asked = body.get("preconditions") or {}
        preconditions = Preconditions(asked.get("uid") or "", asked.get("resourceVersion") or "")
        dry_run = _dry_run(body.get("dryRun") or query.get("dryRun"), "DeleteOptions")
        if not target.name:
            return self._delete_collection(resource, target, query, policy, dry_run=dry_run)
        last, gone = self._api.delete(
            resource, target.namespace, target.name, policy=policy, preconditions=preconditions, dry_run=dry_run
        )
        if not gone or resource.kind in _RETURNS_OBJECT:
            return last
        details = {**resource.subject(target.name).details(), "uid": last["metadata"]["uid"]}
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}

    def _delete_collection(
        self, resource: Resource, target: Target, query: Mapping[str, str], policy: str, *, dry_run: bool
    ) -> Node:
        if resource.kind == "Namespace" or (resource.namespaced and not target.namespaced):
            raise method_not_allowed()
        selection = reading.Selection.parse(resource, target.namespace, query)
        listed = reading.list_objects(self._api, selection, {}, View(METADATA))
        deleted = []
        for found in listed["items"]:
            name = found["metadata"]["name"]
            deleted.append(self._api.delete(resource, target.namespace, name, policy=policy, dry_run=dry_run)[0])
        metadata = {"resourceVersion": str(self._api.store.version)}
        return {
            "kind": resource.list_kind,
            "apiVersion": resource.api_version,
            "metadata": metadata,
            "items": deleted,
        }


def _options_error(about: Subject, cause: Cause) -> ApiError:
    return invalid(about, [cause])


def _options(query: Mapping[str, str], kind: str, request: Request) -> Options:
    validation = query.get("fieldValidation") or "Warn"
    if validation not in ("Ignore", "Warn", "Strict"):
        about = Subject(kind, "", "meta.k8s.io")
        raise _options_error(
            about, unsupported("fieldValidation", json.dumps(validation), ("", "Ignore", "Strict", "Warn"))
        )
    agent = request.headers.get("user-agent", "unknown").partition("/")[0]
    return Options(
        dry_run=_dry_run(query.get("dryRun"), kind),
        field_validation=validation,
        manager=query.get("fieldManager") or agent,
        force=query.get("force") == "true",
    )


def _dry_run(asked: Any, kind: str) -> bool:
    values = [asked] if isinstance(asked, str) else list(asked or ())
    if values and values != ["All"]:
        about = Subject(kind, "", "meta.k8s.io")
        raise _options_error(about, unsupported("dryRun", json.dumps(values, separators=(",", ":")), ("All",)))
    return bool(values)


def _body(text: bytes, media: str, resource: Resource) -> Any:
    if media not in ("application/json", "application/yaml"):
        raise unsupported_media_type(_BODIES)
    return _parse(text, media, resource)


def _parse(text: bytes, media: str, resource: Resource) -> Any:
    """JSON, or YAML where the media type says so (JSON is tried first: it is YAML too, and faster to read)."""
    try:
        return json.loads(text)
    except ValueError as mistake:
        if media.endswith("yaml"):
            return _yaml(text)
        shown = text.decode(errors="replace")
        words = f"couldn't get version/kind; json parse error: {mistake} ({shown[:200]})"
        unrecognized = f"the object provided is unrecognized (must be of type {resource.kind}): {words}"
        raise bad_request(unrecognized) from mistake


def _yaml(text: bytes) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text.decode())
    except (YAMLError, UnicodeDecodeError) as mistake:
        raise bad_request(f"error converting YAML to JSON: {mistake}") from mistake


def _change(resource: Resource, text: bytes, media: str) -> Callable[[Node], Any]:
    """The patch as a function of an object."""
    accepted = (JSON_PATCH, MERGE_PATCH, APPLY_PATCH) if resource.custom else None
    if media == STRATEGIC_PATCH and accepted:
        raise unsupported_media_type(accepted)
    if media not in (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH):
        raise ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
    try:
        patch = json.loads(text)
    except ValueError as mistake:
        raise bad_request(f"error decoding patch: {mistake}") from mistake
    if media == JSON_PATCH and not (isinstance(patch, list) and all(isinstance(step, dict) for step in patch)):
        found = "object" if isinstance(patch, dict) else "value"
        words = f"json: cannot unmarshal {found} into Go value of type []handlers.jsonPatchOp"
        raise bad_request(f"error decoding patch: {words}")
    if media != JSON_PATCH and not isinstance(patch, dict):
        raise bad_request(
            "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"
        )

    def change(found: Node) -> Any:
        try:
            if media == JSON_PATCH:
                return json_patch(found, patch)
            if media == MERGE_PATCH:
                return merge_patch(found, patch)
            return strategic_merge(resource.schema, found, patch)
        except PatchError as problem:
            if media == STRATEGIC_PATCH:
                raise bad_request(str(problem)) from problem
            raise patch_refused() from problem

    return change
