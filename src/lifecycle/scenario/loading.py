"""Reads scenario and use case files; every mistake is found at once, each with its file, line, property, valid values and nearest match."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from lifecycle.domain.errors import InvalidInput
from lifecycle.domain.use_case import UseCase
from lifecycle.scenario.document import Document, parse
from lifecycle.scenario.model import OUTCOMES, VERBS, Given, Scenario
from lifecycle.scenario.vocabulary import choices

MAX_BYTES = 1_000_000
_ECHOES = {"too_short", "literal_error", "tuple_type", "string_type", "int_type"}


@dataclass(frozen=True)
class Mistake:
    """One mistake in a file; `where` is the property's path such as when[1].traffic.requests, lines count from 1."""

    file: Path
    line: int
    where: str
    message: str
    valid: tuple[str, ...] = ()
    nearest: str = ""

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}: {self.where + ': ' if self.where else ''}{self.message}"
        if self.nearest:
            text += f"; did you mean {self.nearest}?"
        if self.valid:
            text += f"\n    valid: {', '.join(self.valid)}"
        return text


class InvalidFile(InvalidInput):
    """A file with mistakes, all of them."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        count = f"{len(mistakes)} mistakes" if len(mistakes) != 1 else "1 mistake"
        super().__init__("\n".join(str(mistake) for mistake in mistakes) + f"\n{count}")


@dataclass(frozen=True)
class Story:
    """A scenario together with the use case it is about, overrides applied."""

    scenario: Scenario
    use_case: UseCase
    file: Path
    text: str

    @property
    def seed(self) -> int:
        seed = self.scenario.given.seed
        return self.use_case.seed if seed is None else seed


def load(file: Path) -> Story:
    """Read a scenario and its use case.

    Raises:
        InvalidFile: with every mistake in either of them.
    """
    document = _read(file)
    mistakes = list(_model_mistakes(document, Scenario))
    given = document.value.get("given") if isinstance(document.value, Mapping) else None
    name = given.get("use_case") if isinstance(given, Mapping) else None
    use_case: UseCase | None = None
    if isinstance(name, str):
        path = find_use_case(name, file)
        if path is None:
            known = use_case_names(file)
            mistakes.append(_mistake(document, ("given", "use_case"), f"there is no use case {name!r}", known, name))
        else:
            try:
                use_case = load_use_case(path)
            except InvalidFile as error:
                mistakes.extend(error.mistakes)
    if isinstance(document.value, Mapping) and document.value.get("name") not in (file.stem, None):
        mistakes.append(
            _mistake(document, ("name",), f"the file is called {file.stem}, so this must be {file.stem!r} as well")
        )
    if use_case is not None:
        mistakes.extend(_semantic_mistakes(document, use_case))
    if mistakes or use_case is None:
        raise InvalidFile(sorted(set(mistakes), key=lambda m: (str(m.file), m.line, m.where)))
    scenario = Scenario.model_validate(document.value)
    return Story(scenario, _overridden(use_case, scenario.given), file, document.text)


def load_use_case(file: Path) -> UseCase:
    """Read a use case file. Raises InvalidFile with every mistake in it."""
    document = _read(file)
    mistakes = list(_model_mistakes(document, UseCase))
    if not mistakes:
        use_case = UseCase.model_validate(document.value).model_copy(update={"folder": file.parent.resolve()})
        mistakes = list(_use_case_mistakes(document, use_case))
        if not mistakes:
            return use_case
    raise InvalidFile(mistakes)


def dump(scenario: Scenario) -> str:
    """The scenario as YAML; `load` reads it back to an equal record."""
    from io import StringIO

    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.width = 120
    yaml.representer.ignore_aliases = lambda _data: True  # equal parts are written out: `load` refuses anchors
    stream = StringIO()
    # exclude_unset would drop what equals a default only by chance of spelling; unset is what the author left out
    yaml.dump(scenario.model_dump(mode="json", by_alias=True, exclude_unset=True), stream)
    return stream.getvalue()


def find_use_case(name: str, scenario_file: Path) -> Path | None:
    """The use case's file: a path relative to the scenario, or a folder of the nearest `fixtures/` above it or the working folder."""
    if name.endswith((".yaml", ".yml")):
        path = scenario_file.parent / name
        return path if path.is_file() else None
    if "/" in name or "\\" in name or name in {"", ".", ".."}:
        return None
    for root in _fixture_folders(scenario_file):
        if (root / name / "use_case.yaml").is_file():
            return root / name / "use_case.yaml"
    return None


def use_case_names(scenario_file: Path) -> tuple[str, ...]:
    """Names that `given.use_case` may have here."""
    return tuple(
        sorted({file.parent.name for root in _fixture_folders(scenario_file) for file in root.glob("*/use_case.yaml")})
    )


def _fixture_folders(scenario_file: Path) -> Iterator[Path]:
    places = [*scenario_file.resolve().parents, Path.cwd()]
    return (place / "fixtures" for place in places if (place / "fixtures").is_dir())


def _read(file: Path) -> Document:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise InvalidFile([_no_such_file(file)]) from None
    except OSError as error:
        raise InvalidFile([Mistake(file, 1, "", f"cannot be read: {error.strerror}")]) from None
    if len(data) > MAX_BYTES:
        raise InvalidFile([Mistake(file, 1, "", f"has {len(data)} bytes, at most {MAX_BYTES} are read")])
    parsed = parse(file, data)
    if not isinstance(parsed, Document):
        raise InvalidFile([Mistake(file, parsed.line, "", parsed.message)])
    if not isinstance(parsed.value, Mapping):
        raise InvalidFile([Mistake(file, 1, "", "must be a mapping of properties, such as `name: churn_prediction`")])
    return parsed


def _no_such_file(file: Path) -> Mistake:
    parent = file.parent if file.parent.is_dir() else Path("scenarios")
    names = sorted(str(found) for found in parent.glob("*.yaml"))
    nearest = difflib.get_close_matches(str(file), names, n=1, cutoff=0.5)
    return Mistake(file, 1, "", "there is no such file", tuple(names[:20]), nearest[0] if nearest else "")


def _mistake(
    document: Document, path: tuple[str | int, ...], message: str, valid: Sequence[str] = (), got: object = None
) -> Mistake:
    nearest = difflib.get_close_matches(str(got), list(valid), n=1, cutoff=0.5) if got is not None else []
    return Mistake(
        document.file, document.line(path), _dotted(path), message, tuple(valid), nearest[0] if nearest else ""
    )


def _dotted(path: Sequence[str | int]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _model_mistakes(document: Document, model: type[BaseModel]) -> Iterator[Mistake]:
    try:
        model.model_validate(document.value)
    except ValidationError as error:
        found = error.errors(include_url=False)
        paths = [document.real_path(one["loc"]) for one in found]
        for one, path in zip(found, paths, strict=True):
            deeper = any(len(other) > len(path) and other[: len(path)] == path for other in paths)
            if deeper and one["type"] in _ECHOES:
                continue  # the list that is too short without its broken entry, the alternative not meant
            yield _explained(document, model, one)


def _explained(document: Document, model: type[BaseModel], error: Any) -> Mistake:
    """One pydantic error in the user's terms."""
    path = document.real_path(error["loc"])
    kind = error["type"]
    valid = choices(model, path[:-1] if kind == "extra_forbidden" else path, document.value)
    if kind == "extra_forbidden":
        return _mistake(document, path, "there is no such property here", valid, path[-1] if path else None)
    if kind == "missing":
        missing = str(error["loc"][-1])
        return _mistake(document, path, f"needs the property {missing!r}")
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        got = error.get("ctx", {}).get("tag")
        tags = VERBS if path and path[0] == "when" else OUTCOMES
        return _mistake(
            document,
            path,
            f"{got!r} is none of the words known here" if got else "must be one of the words known here",
            tags,
            got,
        )
    message = str(error["msg"]).removeprefix("Value error, ")
    message = message[:1].lower() + message[1:].replace(" after validation", "")
    message = message.replace("tuple", "list", 1)
    shown = repr(error["input"])
    if kind == "value_error" or len(shown) > 60:
        return _mistake(document, path, message, valid)
    return _mistake(document, path, f"{message}, not {shown}", valid, error["input"])


def _overridden(use_case: UseCase, given: Given) -> UseCase:
    """The use case with the scenario's changes."""
    changes: dict[str, Any] = {}
    if given.gate is not None:
        changes["gate"] = given.gate
    if given.drift is not None:
        changes["drift"] = given.drift
    if given.training is not None:
        changes["training"] = use_case.training.model_copy(
            update={"parameters": {**use_case.training.parameters, **given.training.parameters}}
        )
    if given.serving is not None:
        changes["serving"] = use_case.serving.model_copy(update=given.serving.model_dump(exclude_none=True))
    return use_case.model_copy(update=changes)


def _semantic_mistakes(document: Document, use_case: UseCase) -> Iterator[Mistake]:
    """What the types cannot know: columns and files the scenario names must be there. Works on the raw tree, so it never hides behind others."""
    columns = tuple(column.name for column in use_case.data.columns)
    for path, name in _named_columns(document.value):
        if name not in columns:
            yield _mistake(document, path, f"the use case {use_case.name} has no column {name!r}", columns, name)


def _named_columns(value: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    given = value.get("given")
    corrupt = given.get("corrupt") if isinstance(given, Mapping) else None
    for index, entry in enumerate(corrupt if isinstance(corrupt, list) else ()):
        if isinstance(entry, Mapping) and isinstance(entry.get("column"), str):
            yield ("given", "corrupt", index, "column"), entry["column"]
    drift = given.get("drift") if isinstance(given, Mapping) else None
    watched = drift.get("columns") if isinstance(drift, Mapping) else None
    for index, name in enumerate(watched if isinstance(watched, list) else ()):
        if isinstance(name, str):
            yield ("given", "drift", "columns", index), name
    then = value.get("then")
    for index, entry in enumerate(then if isinstance(then, list) else ()):
        quality = entry.get("data_quality") if isinstance(entry, Mapping) else None
        if isinstance(quality, Mapping) and isinstance(quality.get("column"), str):
            yield ("then", index, "data_quality", "column"), quality["column"]


def _use_case_mistakes(document: Document, use_case: UseCase) -> Iterator[Mistake]:
    """References inside a use case: columns, files and folders it names must exist."""
    columns = tuple(column.name for column in use_case.data.columns)

    def unknown(path: tuple[str | int, ...], name: str) -> Iterator[Mistake]:
        if name not in columns:
            yield _mistake(document, path, f"no column {name!r} is declared in data.columns", columns, name)

    yield from unknown(("data", "key"), use_case.data.key)
    yield from unknown(("data", "event_time"), use_case.data.event_time)
    yield from unknown(("label", "column"), use_case.label.column)
    for index, view in enumerate(use_case.features.views):
        for place, column in enumerate(view.columns):
            yield from unknown(("features", "views", index, "columns", place), column)
    for index, column in enumerate(use_case.drift.columns):
        yield from unknown(("drift", "columns", index), column)
    for index, column in enumerate(use_case.sensitive_attributes):
        yield from unknown(("sensitive_attributes", index), column)
    for index, expectation in enumerate(use_case.expectations):
        if len(expectation) != 1:
            yield _mistake(
                document, ("expectations", index), "each entry is one expectation: one name with its arguments"
            )
        for rule, arguments in expectation.items():
            if isinstance(arguments.get("column"), str):
                yield from unknown(("expectations", index, rule, "column"), arguments["column"])
    if not (use_case.folder / use_case.data.file).is_file():
        yield _mistake(
            document, ("data", "file"), f"there is no file {use_case.data.file!r} beside {document.file.name}"
        )
    if not (use_case.folder / use_case.training.repository).is_dir():
        yield _mistake(
            document,
            ("training", "repository"),
            f"there is no folder {use_case.training.repository!r} beside {document.file.name}",
        )
