"""A YAML file as plain values that still know their lines.

YAML 1.2 (ruamel.yaml): a churn label called `No` stays a string.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class SyntaxMistake:
    """Why a file is no YAML; the line counts from 1."""

    line: int
    message: str


@dataclass(frozen=True)
class Document:
    """A parsed file: `value` is plain Python, `lines` maps the path of each property to its line."""

    file: Path
    text: str
    value: Any
    lines: Mapping[Path_, int]

    def line(self, path: Path_) -> int:
        """The line of a property, or of the nearest one around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def real_path(self, location: Sequence[str | int]) -> Path_:
        """A pydantic error's location without the parts that are not in the file (the tags of its unions, missing keys)."""
        path: Path_ = ()
        for part in location:
            if (*path, part) in self.lines:
                path = (*path, part)
        return path


def parse(file: Path, data: bytes) -> Document | SyntaxMistake:
    """Parse one YAML document; aliases, tags and duplicate keys are refused, since a scenario needs none and each hides a mistake."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return SyntaxMistake(data[: error.start].count(b"\n") + 1, "is not UTF-8 text")
    try:
        yaml = YAML(typ="safe", pure=True)
        lines: dict[Path_, int] = {}
        value = _Reader(yaml.constructor, lines).plain(yaml.compose(text), ())
    except _Refused as refused:
        return SyntaxMistake(refused.line, str(refused))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return SyntaxMistake(
            mark.line + 1 if mark else 1, f"is not YAML: {error.problem or error.context or 'cannot be parsed'}"
        )
    except (YAMLError, ValueError) as error:
        return SyntaxMistake(1, f"is not YAML: {str(error).splitlines()[0]}")
    except RecursionError:
        return SyntaxMistake(1, "is nested too deeply")
    return Document(file, text, value, lines)


class _Refused(Exception):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class _Reader:
    """Turns YAML nodes into plain values and fills `lines` on the way; `constructor` is the parser's own, for scalars."""

    constructor: Any
    lines: dict[Path_, int]

    def plain(self, node: Any, path: Path_) -> Any:
        if node is None:
            return None
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        if node.anchor:
            raise _Refused(line, "an anchor (&) is not allowed here: write the value out")
        kind = type(node).__name__
        if kind == "ScalarNode":
            return self._scalar(node, line)
        if kind == "SequenceNode":
            return [self.plain(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._mapping(node, path)

    def _mapping(self, node: Any, path: Path_) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if type(key_node).__name__ != "ScalarNode":
                raise _Refused(line, "a property's name must be plain text")
            key = str(key_node.value)
            if key in result:
                raise _Refused(line, f"the property {key!r} is there twice")
            self.lines[*path, key] = line
            result[key] = self.plain(value_node, (*path, key))
        return result

    def _scalar(self, node: Any, line: int) -> Any:
        tag = str(node.tag)
        if tag == "tag:yaml.org,2002:timestamp":
            return node.value  # dates stay text: the model decides what is a time
        if not tag.startswith("tag:yaml.org,2002:") or tag.rsplit(":", 1)[-1] not in {
            "str",
            "int",
            "float",
            "bool",
            "null",
        }:
            raise _Refused(line, f"the tag {tag} is not allowed here")
        try:
            return self.constructor.construct_object(node)
        except ValueError:
            raise _Refused(line, f"{node.value!r} is no {tag.rsplit(':', 1)[-1]}") from None
