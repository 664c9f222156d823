"""The events of a run: every one survives its line of JSON."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.domain import endpoints
from lifecycle.domain.events import Event

texts = st.text(max_size=20)
BY_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "str": texts,
    "int": st.integers(0, 2**40),
    "float": st.floats(0, 1e10),
    "bool": st.booleans(),
    "dict[str, str]": st.dictionaries(texts, texts, max_size=3),
}


@pytest.mark.parametrize("kind", Event.registry.values(), ids=lambda kind: kind.__name__)
def test_an_event_survives_its_line_of_json(kind: type[Event]) -> None:
    """Any event of every class is the same record after it was written to the journal and read back."""
    fields = {field.name: BY_TYPE[str(field.type)] for field in dataclasses.fields(kind)}

    @given(values=st.fixed_dictionaries(fields))
    def survives(values: dict[str, Any]) -> None:
        event = kind(**values)
        line = event.to_json()
        assert "\n" not in line
        assert Event.from_json(line) == event

    survives()


def test_a_line_of_another_version_is_refused() -> None:
    """An unknown event is an error, not silence."""
    with pytest.raises(ValueError, match="unknown event 'Surprise'"):
        Event.from_json('{"event": "Surprise", "at": 1}')


def test_a_secret_never_shows() -> None:
    """No text of an endpoint carries its credentials, however it is printed."""
    secret = endpoints.Secret("hunter2")
    postgres = endpoints.PostgresEndpoint("127.0.0.1", 5432, "user", secret, "db")
    store = endpoints.ObjectStoreEndpoint("http://127.0.0.1:9000", secret, secret)
    for thing in (secret, postgres, store, dataclasses.asdict(postgres), [store]):
        assert "hunter2" not in f"{thing} {thing!r}"
    assert "hunter2" in postgres.dsn()
