"""What names, labels and other metadata may be, in the API server's words.

https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ and .../labels/#syntax-and-character-set
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from lifecycle.emulators.kubernetes.status import Cause, required

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_DNS_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"
_EDGES = "and must start and end with an alphanumeric character"

SUBDOMAIN = "subdomain"
LABEL = "label"
SERVICE = "service"

_RULES: dict[str, tuple[str, int, str, tuple[str, ...]]] = {
    SUBDOMAIN: (
        _SUBDOMAIN,
        253,
        f"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', {_EDGES}",
        ("example.com",),
    ),
    LABEL: (
        _LABEL,
        63,
        f"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', {_EDGES}",
        ("my-name", "123-abc"),
    ),
    SERVICE: (
        _DNS_1035,
        63,
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
        "and end with an alphanumeric character",
        ("my-name", "abc-123"),
    ),
}


def _explained(words: str, examples: tuple[str, ...], pattern: str) -> str:
    shown = ",  or ".join(f"'{example}'" for example in examples)
    return f"{words} (e.g. {shown}, regex used for validation is '{pattern}')"


def name_causes(rule: str, name: str, field: str) -> Iterator[Cause]:
    """Why this is no name under the rule (SUBDOMAIN, LABEL or SERVICE)."""
    pattern, limit, words, examples = _RULES[rule]
    if len(name) > limit:
        yield Cause(field, f"Invalid value: {json.dumps(name)}: must be no more than {limit} bytes")
    if not re.fullmatch(pattern, name):
        yield Cause(field, f"Invalid value: {json.dumps(name)}: {_explained(words, examples, pattern)}")


def metadata_causes(metadata: dict[str, Any], rule: str) -> Iterator[Cause]:
    """Everything wrong with an object's metadata."""
    if not metadata.get("name"):
        yield required("metadata.name", "name or generateName is required")
    else:
        yield from name_causes(rule, metadata["name"], "metadata.name")
    for key, value in (metadata.get("labels") or {}).items():
        yield from _key_causes(key, "metadata.labels")
        yield from label_value_causes(value, "metadata.labels")
    for key in metadata.get("annotations") or {}:
        yield from _key_causes(key.lower(), "metadata.annotations", shown=key)
    for index, owner in enumerate(metadata.get("ownerReferences") or ()):
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                yield Cause(f"metadata.ownerReferences[{index}].{field}", 'Invalid value: "": must not be empty')
    for finalizer in metadata.get("finalizers") or ():
        yield from _key_causes(finalizer, "metadata.finalizers")


def label_value_causes(value: str, field: str) -> Iterator[Cause]:
    if len(value) > 63:
        yield Cause(field, f"Invalid value: {json.dumps(value)}: must be no more than 63 bytes")
    if not re.fullmatch(_VALUE, value):
        words = (
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', " + _EDGES
        )
        explained = _explained(words, ("MyValue", "my_value", "12345"), _VALUE)
        yield Cause(field, f"Invalid value: {json.dumps(value)}: {explained}")


def _key_causes(key: str, field: str, shown: str = "") -> Iterator[Cause]:
    prefix, _, name = key.rpartition("/")
    if not re.fullmatch(_QUALIFIED, name) or len(name) > 63:
        words = f"name part must consist of alphanumeric characters, '-', '_' or '.', {_EDGES}"
        explained = _explained(words, ("MyName", "my.name", "123-abc"), _QUALIFIED)
        yield Cause(field, f"Invalid value: {json.dumps(shown or key)}: {explained}")
    if prefix and not re.fullmatch(_SUBDOMAIN, prefix):
        words = _explained(_RULES[SUBDOMAIN][2], ("example.com",), _SUBDOMAIN)
        yield Cause(field, f"Invalid value: {json.dumps(shown or key)}: prefix part {words}")
