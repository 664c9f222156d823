"""The Marquez emulator against the conformance suite that a real server is held to as well."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lifecycle.emulators.marquez.app import MarquezConfig, create
from lifecycle.testing.conformance.marquez import MarquezConformance
from lifecycle.testing.serving import serve


class TestEmulator(MarquezConformance):
    """The emulator, once for all tests, as a real server would be."""

    @pytest.fixture(scope="class")
    def marquez_url(self) -> Iterator[str]:
        with serve(create(MarquezConfig())) as url:
            yield url
