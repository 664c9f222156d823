"""The scenario language: round trips, every mistake at once and located, never a traceback."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from lifecycle.domain.use_case import UseCase
from lifecycle.scenario import InvalidFile, Scenario, dump, load, load_use_case, schema_of
from lifecycle.scenario.model import OUTCOMES, VERBS

ROOT = Path(__file__).parents[2]
SCENARIOS = sorted((ROOT / "scenarios").glob("*.yaml"))
COLUMNS = ("monthly_charges", "tenure", "contract")

words = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)
# YAML has no way to write most control characters plainly, and a title is one line
texts = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=40)
scalars = st.one_of(st.none(), st.booleans(), st.integers(-1000, 1000), st.floats(-1e6, 1e6), texts)
bounds = st.builds(lambda low, width: {"at_least": low, "at_most": low + width}, st.floats(-10, 10), st.floats(0, 10))
verbs = st.one_of(
    st.just({"run": "churn_prediction_pipeline"}),
    st.builds(
        lambda p: {"run": "churn_prediction_pipeline", "with": {"parameters": p}},
        st.dictionaries(words, scalars, max_size=3),
    ),
    st.builds(
        lambda n, u, p: {"traffic": {"requests": n, "users": u, "protocol": p}},
        st.integers(1, 10**6),
        st.integers(1, 256),
        st.sampled_from(["v1", "v2"]),
    ),
    st.builds(
        lambda m, c: {"push": {"repository": "training", "message": m, "files": {"a/b.py": c}}},
        texts,
        st.none() | texts,
    ),
)
outcomes = st.one_of(
    st.builds(lambda v, m: {"model": {"versions": v, "metrics": {"roc_auc": m}}}, st.integers(0, 9), bounds),
    st.builds(lambda v: {"serving": {"model_version": v, "failed_requests": 0}}, st.integers(1, 9)),
    st.just({"serving": "none"}),
    st.just({"lineage": "complete"}),
    st.just({"data_quality": "passed"}),
    st.builds(
        lambda c, n: {"data_quality": {"failed": True, "column": c, "unexpected": n}},
        st.sampled_from(COLUMNS),
        st.integers(1, 99),
    ),
    st.builds(lambda n: {"predictions": {"logged": n, "equal_model": True}}, st.integers(0, 999)),
    st.builds(lambda t: {"ci": {"failed": True, "test": t}}, texts),
    st.builds(lambda d: {"drift": {"detected": d}}, st.booleans()),
)
givens = st.fixed_dictionaries(
    {"use_case": st.just("telco_churn")},
    optional={
        "seed": st.integers(0, 2**31 - 1),
        "rows": st.integers(200, 7043),
        "corrupt": st.lists(
            st.builds(
                lambda c, v, n: {"column": c, "set": v, "rows": n},
                st.sampled_from(COLUMNS),
                scalars,
                st.integers(1, 99),
            ),
            max_size=3,
        ),
        "drift": st.builds(lambda s: {"share": s}, st.floats(0, 1)),
        "serving": st.builds(lambda p: {"p95_ms": p}, st.floats(1, 1000)),
    },
)
stories = st.builds(
    lambda t, g, w, o: {"name": "story", "title": t, "given": g, "when": w, "then": o},
    texts, givens, st.lists(verbs, min_size=1, max_size=4), st.lists(outcomes, min_size=1, max_size=4),
)  # fmt: skip


def write(folder: Path, value: Any, name: str = "story") -> Path:
    """The value as a scenario file in a folder from which the use case is found."""
    file = folder / f"{name}.yaml"
    yaml = YAML(typ="safe", pure=True)
    yaml.allow_unicode = True
    yaml.representer.ignore_aliases = lambda _data: True
    with file.open("w") as stream:
        yaml.dump(value, stream)
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder beside fixtures/, as scenarios/ is."""
    root = tmp_path_factory.mktemp("project")
    (root / "fixtures").symlink_to(ROOT / "fixtures")
    (root / "scenarios").mkdir()
    return root / "scenarios"


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(value=stories)
def test_a_valid_story_survives_load_dump_load(folder: Path, value: dict[str, Any]) -> None:
    """Any valid scenario is the same record after it was written and read again."""
    first = load(write(folder, value)).scenario
    (folder / "story.yaml").write_text(dump(first))
    assert load(folder / "story.yaml").scenario == first


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in below for found in _paths(item, (*path, key)))]


def _mutated(value: Any, dice: random.Random) -> Any:
    """One change at one random place: removed, replaced, renamed, doubled or nested."""
    value = json.loads(json.dumps(value))
    path = dice.choice([found for found in _paths(value) if found])
    parent = value
    for part in path[:-1]:
        parent = parent[part]
    kind = dice.choice(["remove", "replace", "rename", "double", "nest"])
    if kind == "remove":
        del parent[path[-1]]
    elif kind == "rename" and isinstance(parent, dict):
        parent[str(path[-1]) + dice.choice(["s", "_", "x y", "-", "é"])] = parent.pop(path[-1])
    elif kind == "double" and isinstance(parent, list):
        parent.append(parent[path[-1]])
    elif kind == "nest":
        parent[path[-1]] = {"a": [parent[path[-1]]]}
    else:
        parent[path[-1]] = dice.choice(
            [None, True, -1, 0, 10**12, 3.5, float("inf"), "", "No", "x" * 300, [], {}, [1], {"run": 1}]
        )
    return value


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(value=stories, seed=st.integers(0, 2**32))
def test_any_single_mutation_is_valid_or_a_located_error(folder: Path, value: dict[str, Any], seed: int) -> None:
    """A changed scenario is valid, or refused with file and line; it never ends in another exception."""
    file = write(folder, _mutated(value, random.Random(seed)))
    lines = len(file.read_text().splitlines())
    try:
        load(file)
    except InvalidFile as error:
        assert error.mistakes
        for mistake in error.mistakes:
            assert mistake.file == file
            assert 1 <= mistake.line <= lines
            assert mistake.message


@settings(max_examples=80, deadline=None)
@given(position=st.integers(0, 10**6), new=st.binary(max_size=3))
def test_any_damaged_bytes_are_valid_or_a_located_error(folder: Path, position: int, new: bytes) -> None:
    """Bytes overwritten anywhere in a scenario file give a valid scenario or a located error."""
    data = SCENARIOS[0].read_bytes()
    at = position % len(data)
    file = folder / SCENARIOS[0].name
    file.write_bytes(data[:at] + new + data[at + len(new) :])
    try:
        load(file)
    except InvalidFile as error:
        assert all(mistake.line >= 1 for mistake in error.mistakes)


def mistakes_of(folder: Path, text: str) -> list[str]:
    file = folder / "story.yaml"
    file.write_text(text)
    with pytest.raises(InvalidFile) as caught:
        load(file)
    return [str(mistake).replace(str(file), "FILE") for mistake in caught.value.mistakes]


def test_every_mistake_is_reported_at_once_with_line_and_nearest_match(folder: Path) -> None:
    """Six mistakes of different kinds are all named, each at its line, with what would be valid."""
    found = mistakes_of(
        folder,
        """name: story
title: x
given:
  use_case: telco_chrn
  sed: 4
when:
  - run: churn_predicton_pipeline
  - trafic: {requests: 5}
  - traffic: {requests: 0}
then:
  - model: {versons: 1}
""",
    )
    assert len(found) == 6
    assert found[0].startswith("FILE:4: given.use_case: there is no use case 'telco_chrn'; did you mean telco_churn?")
    assert found[1].startswith("FILE:5: given.sed: there is no such property here; did you mean seed?")
    assert found[2].startswith("FILE:7: when[0].run:")
    assert "did you mean churn_prediction_pipeline?" in found[2]
    assert found[3].startswith("FILE:8: when[1]: 'trafic' is none of the words known here; did you mean traffic?")
    assert found[3].endswith(f"valid: {', '.join(VERBS)}")
    assert found[4].startswith("FILE:9: when[2].traffic.requests: input should be greater than or equal to 1, not 0")
    assert found[5].startswith("FILE:11: then[0].model.versons: there is no such property here; did you mean versions?")


def test_a_column_the_use_case_lacks_is_named(folder: Path) -> None:
    """What only the use case knows is checked as well: an unknown column is a mistake with its nearest match."""
    (found,) = mistakes_of(
        folder,
        """name: story
title: x
given: {use_case: telco_churn, corrupt: [{column: monthly_charge, set: -1, rows: 3}]}
when: [{run: churn_prediction_pipeline}]
then: [{lineage: complete}]
""",
    )
    assert found.startswith(
        "FILE:3: given.corrupt[0].column: the use case telco_churn has no column 'monthly_charge'; did you mean monthly_charges?"
    )


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("name: a\n  title: b: c\n", 2, "is not YAML"),
        ("name: a\nname: b\n", 2, "there twice"),
        ("name: &x a\ntitle: *x\n", 1, "anchor"),
        ("name: !!python/object:os.system a\n", 1, "tag"),
        ("- a\n- b\n", 1, "must be a mapping"),
        ("", 1, "must be a mapping"),
    ],
)
def test_what_is_no_scenario_at_all_is_refused_with_its_line(folder: Path, text: str, line: int, words: str) -> None:
    """Broken YAML, doubled keys, aliases, tags and other documents are each one located mistake."""
    (found,) = mistakes_of(folder, text)
    assert found.startswith(f"FILE:{line}: ")
    assert words in found


def test_a_missing_file_names_its_neighbours(folder: Path) -> None:
    """A mistyped file name is answered with the file that was probably meant."""
    with pytest.raises(InvalidFile, match=r"did you mean .*churn_prediction\.yaml"):
        load(ROOT / "scenarios" / "churn_predictin.yaml")


@pytest.mark.parametrize("file", SCENARIOS, ids=lambda file: file.stem)
def test_the_projects_own_scenarios_are_valid(file: Path) -> None:
    """Every file in scenarios/ loads, and its use case with it."""
    assert load(file).scenario.name == file.stem


def test_records_are_frozen() -> None:
    """A loaded scenario cannot be changed."""
    with pytest.raises(ValueError, match="frozen"):
        load(SCENARIOS[0]).scenario.given.seed = 3  # type: ignore[misc]


def test_the_schema_accepts_what_the_loader_accepts() -> None:
    """The printed JSON Schema is a valid schema, takes the project's scenarios and refuses an unknown key."""
    import jsonschema

    schema = schema_of(Scenario)
    jsonschema.Draft202012Validator.check_schema(schema)
    for file in SCENARIOS:
        jsonschema.validate(YAML(typ="safe", pure=True).load(file), schema)
    broken = YAML(typ="safe", pure=True).load(SCENARIOS[0]) | {"surprise": 1}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema)


@pytest.mark.parametrize(("model", "name"), [(Scenario, "scenario"), (UseCase, "use_case")])
def test_the_schema_files_for_editors_are_current(model: type[Scenario], name: str) -> None:
    """docs/*.schema.json, which editors complete with, are what `lifecycle schema` prints."""
    assert json.loads((ROOT / "docs" / f"{name}.schema.json").read_text()) == schema_of(model)


def test_a_use_case_with_a_wrong_reference_is_refused(tmp_path: Path) -> None:
    """A use case that names columns, files or folders that are not there is told all of it, located."""
    text = (ROOT / "fixtures/telco_churn/use_case.yaml").read_text()
    file = tmp_path / "use_case.yaml"
    file.write_text(text.replace("key: customer_id", "key: customer"))
    with pytest.raises(InvalidFile) as caught:
        load_use_case(file)
    messages = [str(mistake) for mistake in caught.value.mistakes]
    assert any(
        "data.key: no column 'customer' is declared" in message and "did you mean customer_id?" in message
        for message in messages
    )
    assert any("data.file: there is no file" in message for message in messages)
    assert any("training.repository: there is no folder" in message for message in messages)


def test_the_seed_of_the_story_is_the_scenarios_or_the_use_cases(folder: Path) -> None:
    """given.seed wins, 0 included; without one the use case's seed counts."""
    base = {
        "name": "story",
        "title": "x",
        "when": [{"run": "churn_prediction_pipeline"}],
        "then": [{"lineage": "complete"}],
    }
    assert load(write(folder, base | {"given": {"use_case": "telco_churn", "seed": 0}})).seed == 0
    plain = load(write(folder, base | {"given": {"use_case": "telco_churn"}}))
    assert plain.seed == plain.use_case.seed


def test_overrides_reach_the_use_case(folder: Path) -> None:
    """What given overrides is in the story's use case; the rest stays."""
    given_ = {
        "use_case": "telco_churn",
        "training": {"parameters": {"C": 0.5}},
        "serving": {"p95_ms": 7},
        "gate": [{"metric": "roc_auc", "at_least": 0.9}],
    }
    base = {
        "name": "story",
        "title": "x",
        "given": given_,
        "when": [{"run": "churn_prediction_pipeline"}],
        "then": [{"lineage": "complete"}],
    }
    use_case = load(write(folder, base)).use_case
    assert use_case.training.parameters["C"] == 0.5
    assert use_case.training.parameters["max_iter"] == 1000
    assert use_case.serving.p95_ms == 7
    assert use_case.serving.error_rate == 0.01
    assert [rule.metric for rule in use_case.gate] == ["roc_auc"]


def test_every_outcome_of_the_language_has_a_judge() -> None:
    """The words of `then` and the registered outcome classes are the same set."""
    from lifecycle.outcomes import registered

    assert set(registered()) == set(OUTCOMES)
