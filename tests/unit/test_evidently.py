"""Drift by Evidently: a batch of the same population is never drift, whatever its size; a shifted one is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lifecycle.domain.errors import ServiceError
from lifecycle.tools import evidently
from lifecycle.tools.evidently import DriftOutcome

ROOT = Path(__file__).parents[2]
NUMBERS = ("partner", "dependents", "phone_service", "tenure", "paperless_billing", "monthly_charges", "total_charges")
WORDS = ("multiple_lines", "internet_service", "online_security", "tech_support", "contract", "payment_method")


@pytest.fixture(scope="module")
def customers() -> pd.DataFrame:
    """The fixture's rows in an order that means nothing."""
    frame = pd.read_csv(ROOT / "fixtures/telco_churn/customers.csv")
    return frame[[*NUMBERS, *WORDS]].sample(frac=1, random_state=1, ignore_index=True)


def drift(reference: pd.DataFrame, current: pd.DataFrame, html: Path, **changes: Any) -> DriftOutcome:
    given: dict[str, Any] = {"numerical": NUMBERS, "categorical": WORDS, "threshold": 0.3, "html": html, **changes}
    return evidently.drift(reference, current, **given)


def drifted(outcome: DriftOutcome) -> set[str]:
    return {column.column for column in outcome.columns if column.drifted}


@pytest.mark.parametrize("rows", [60, 200, 1000, 5000])
def test_the_same_population_is_no_drift_whatever_the_size(customers: pd.DataFrame, tmp_path: Path, rows: int) -> None:
    """Batches drawn from the reference's own population: no alarm, and a smaller batch has higher thresholds."""
    for seed in range(2):
        current = customers.sample(rows, replace=True, random_state=seed)
        outcome = drift(customers[:5600], current, tmp_path / "drift.html")
        assert not outcome.detected
        assert len(drifted(outcome)) <= 1
        assert (outcome.rows, outcome.reference_rows) == (rows, 5600)
        assert all(column.threshold >= 0.1 for column in outcome.columns)


def test_thresholds_grow_as_batches_shrink_and_end_at_what_is_notable(customers: pd.DataFrame) -> None:
    """Sixty rows must differ more than a thousand; beyond that no threshold falls below a tenth."""
    bounds = [
        evidently._bound(customers["tenure"].astype(float), customers["tenure"][:rows].astype(float))
        for rows in (60, 200, 1000, 7000)
    ]
    assert bounds[0] > bounds[1] > bounds[2]
    assert bounds[3] == 0.1


@pytest.mark.parametrize("rows", [200, 1000])
def test_a_shifted_population_is_drift(customers: pd.DataFrame, tmp_path: Path, rows: int) -> None:
    """Each shifted column is found, others are not, and the page is Evidently's."""
    current = customers.sample(rows, random_state=3).assign(
        monthly_charges=lambda frame: frame["monthly_charges"] * 1.8,
        tenure=lambda frame: frame["tenure"] * 0.3,
        total_charges=lambda frame: frame["total_charges"] * 0.3,
        contract="Month-to-month",
        internet_service="Fiber optic",
    )
    outcome = drift(customers[:5600], current, tmp_path / "page/drift.html")
    assert outcome.detected
    assert drifted(outcome) == {"monthly_charges", "tenure", "total_charges", "contract", "internet_service"}
    assert outcome.share == 5 / 13
    assert {column.method for column in outcome.columns} == {"jensenshannon"}
    assert [column.column for column in outcome.columns] == [*NUMBERS, *WORDS]
    page = outcome.html.read_text()
    assert "Drift" in page
    assert "monthly_charges" in page


def test_drift_is_a_share_above_the_threshold(customers: pd.DataFrame, tmp_path: Path) -> None:
    """Exactly the threshold is not yet drift: more than it is."""
    current = customers[:1000].assign(contract="Two year")
    half = drift(
        customers, current, tmp_path / "a.html", numerical=("tenure",), categorical=("contract",), threshold=0.5
    )
    assert half.share == 0.5
    assert not half.detected
    less = drift(
        customers, current, tmp_path / "a.html", numerical=("tenure",), categorical=("contract",), threshold=0.49
    )
    assert less.detected


def test_a_column_that_lost_its_values_is_drift(customers: pd.DataFrame, tmp_path: Path) -> None:
    """A feed that breaks shows, whether the column is empty or not there at all."""
    current = customers[:500].assign(contract=None).drop(columns=["tenure"])
    outcome = drift(customers, current, tmp_path / "a.html")
    assert drifted(outcome) == {"contract", "tenure"}
    assert {column.method for column in outcome.columns if column.drifted} == {"no values"}


def test_a_value_means_the_same_served_and_stored(customers: pd.DataFrame, tmp_path: Path) -> None:
    """What JSON makes of a value (text for a number, an integer for a float) is no drift."""
    current = customers[:1000].astype({"tenure": str, "partner": bool}).astype({"partner": object})
    outcome = drift(customers, current, tmp_path / "a.html")
    assert drifted(outcome) == set()


def test_a_new_category_is_seen(customers: pd.DataFrame, tmp_path: Path) -> None:
    """A word that the reference does not know counts as a difference."""
    current = customers[:1000].assign(contract=np.where(np.arange(1000) % 2, "Weekly", customers["contract"][:1000]))
    assert drifted(drift(customers, current, tmp_path / "a.html")) == {"contract"}


def test_no_rows_are_an_error_that_says_so(customers: pd.DataFrame, tmp_path: Path) -> None:
    """Nothing served is not the same as nothing drifted."""
    with pytest.raises(ServiceError, match="7043 of the reference, 0 served ones"):
        drift(customers, customers[:0], tmp_path / "a.html")


def test_large_frames_are_sampled_and_say_so(
    customers: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more rows than the limit enter, drawn from all of them; how many there were is kept."""
    monkeypatch.setattr(evidently, "MAX_ROWS", 1000)
    outcome = drift(customers, customers, tmp_path / "a.html")
    assert (outcome.rows, outcome.rows_given) == (1000, 7043)
    assert (outcome.reference_rows, outcome.reference_rows_given) == (1000, 7043)
    assert not outcome.detected


def test_a_parquet_file_is_sampled_without_being_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of every row group, none twice, only the asked columns, the same for the same seed."""
    monkeypatch.setattr(evidently, "MAX_ROWS", 100)
    path = tmp_path / "reference.parquet"
    pq.write_table(pa.table({"number": range(1000), "other": ["x"] * 1000}), path, row_group_size=100)
    frame, total = evidently.sampled_parquet(path, ["number"], seed=4)
    assert total == 1000
    assert list(frame) == ["number"]
    assert len(set(frame["number"])) == 100
    assert {number // 100 for number in frame["number"]} == set(range(10))
    assert frame.equals(evidently.sampled_parquet(path, ["number"], seed=4)[0])
    with pytest.raises(ServiceError, match="has no column contract"):
        evidently.sampled_parquet(path, ["number", "contract"])


def test_importing_the_module_imports_no_evidently() -> None:
    """The command line must start at once."""
    code = "import sys, lifecycle.tools.evidently; print([name for name in ('evidently', 'pandas', 'numpy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout.strip() == "[]"
