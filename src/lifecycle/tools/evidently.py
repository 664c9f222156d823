"""Evidently: have the served rows drifted away from the rows the model was trained on? (https://docs.evidentlyai.com, API of 0.7)

Method: for every column Evidently's own Jensen-Shannon distance (natural logarithm, 0 to 0.83), numbers in Sturges bins. Its threshold is
sample-size aware: `max(0.1, sqrt(q * (1/n + 1/m) / 8))`, where q is the 99.9 % point of the chi-square distribution with one degree of
freedom less than the column has bins, and n and m are the rows with a value on either side. For two samples of one population 8 * JS
divergence / (1/n + 1/m) is asymptotically chi-square distributed, so a column of an unchanged population passes its threshold about once
in a thousand reports, however small the batch; and because of the 0.1 a huge batch does not make much of a difference nobody could see.
A p-value would do neither: it calls ever smaller differences drift as the batch grows.

A column that the reference has values for and the served rows have none is drifted by itself. Missing values are otherwise left out.

Large frames: at most 20,000 rows of either side, drawn without replacement by the seed, enter the report; the thresholds are those of the
rows that entered. Two samples of that size tell a distance of 0.1 from none with near certainty.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle.domain.errors import ServiceError
from lifecycle.domain.results import DriftColumn

if TYPE_CHECKING:
    import pandas as pd

METHOD = "jensenshannon"
NO_VALUES = "no values"
NOTABLE = 0.1  # the distance below which no difference is called drift; Evidently's own default
CONFIDENCE = 0.999
MAX_ROWS = 20_000


@dataclass(frozen=True)
class DriftOutcome:
    """The report's numbers; `rows` and `reference_rows` are those that entered it, `share` is of the columns in `columns`."""

    rows: int
    reference_rows: int
    rows_given: int
    reference_rows_given: int
    columns: tuple[DriftColumn, ...]
    share: float
    threshold: float
    html: Path

    @property
    def detected(self) -> bool:
        """Drift: more than the threshold's share of the columns drifted."""
        return self.share > self.threshold


def preload() -> None:
    """Import Evidently, which takes seconds: they can pass while services start."""
    os.environ.setdefault("DO_NOT_TRACK", "true")  # read by its telemetry
    import evidently.presets  # noqa: F401


def drift(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    *,
    numerical: Sequence[str],
    categorical: Sequence[str],
    threshold: float,
    html: Path,
    seed: int = 0,
) -> DriftOutcome:
    """Compare the named columns of two frames, write Evidently's page to `html`.

    Args:
        threshold: drift means that more than this share of the columns drifted.

    Raises:
        ServiceError: a frame has no rows, or the reference has none of the columns' values.
    """
    if not len(current) or not len(reference):
        raise ServiceError(
            f"drift needs rows on both sides: {len(reference)} of the reference, {len(current)} served ones",
            fix="send traffic before asking for drift; look at the prediction log",
        )
    sampled = (_sample(reference, seed), _sample(current, seed))
    before, now = (_typed(frame, numerical, categorical) for frame in sampled)
    columns = [*numerical, *categorical]
    comparable = [column for column in columns if before[column].notna().any() and now[column].notna().any()]
    gone = [column for column in columns if before[column].notna().any() and column not in comparable]
    if not comparable and not gone:
        raise ServiceError(f"the reference has no values in the columns {', '.join(columns)}")
    bounds = {column: _bound(before[column].dropna(), now[column].dropna()) for column in comparable}
    scores = _report(before, now, [c for c in numerical if c in comparable], bounds, threshold, html)
    found = {
        **{
            column: DriftColumn(column, METHOD, scores[column], bounds[column], scores[column] >= bounds[column])
            for column in comparable
        },
        **{column: DriftColumn(column, NO_VALUES, 1.0, 0.0, drifted=True) for column in gone},
    }
    judged = tuple(found[column] for column in columns if column in found)
    share = sum(column.drifted for column in judged) / len(judged)
    return DriftOutcome(len(now), len(before), len(current), len(reference), judged, share, threshold, html)


def sampled_parquet(path: Path, columns: Sequence[str], *, seed: int = 0) -> tuple[pd.DataFrame, int]:
    """At most MAX_ROWS rows of a Parquet file, drawn without replacement, and how many it holds; memory stays bounded.

    Raises ServiceError when the file lacks a column.
    """
    import random

    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        missing = [column for column in columns if column not in file.schema_arrow.names]
        if missing:
            raise ServiceError(f"the reference {path.name} has no column {', '.join(missing)}")
        total = file.metadata.num_rows
        chosen = sorted(random.Random(seed).sample(range(total), min(total, MAX_ROWS)))  # noqa: S311 - a sample, not a secret
        parts: list[pa.RecordBatch] = []
        first = 0
        for batch in file.iter_batches(columns=list(columns)):
            here = [row - first for row in chosen if first <= row < first + len(batch)]
            parts.append(batch.take(pa.array(here, pa.int64())))
            first += len(batch)
        schema = pa.schema([file.schema_arrow.field(column) for column in columns])
        return pa.Table.from_batches(parts, schema=schema).to_pandas(), total


def _sample(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    return frame if len(frame) <= MAX_ROWS else frame.sample(MAX_ROWS, random_state=seed)


def _typed(frame: pd.DataFrame, numerical: Sequence[str], categorical: Sequence[str]) -> pd.DataFrame:
    """The columns alone, numbers as floats and words as words, so that a served `1` and a stored `1.0` are the same value."""
    import pandas as pd

    columns: dict[str, Any] = {}
    for name in numerical:
        values = frame[name] if name in frame else pd.Series(index=frame.index, dtype="float64")
        columns[name] = (
            pd.to_numeric(values, errors="coerce").astype("float64").replace([math.inf, -math.inf], math.nan)
        )
    for name in categorical:
        values = frame[name] if name in frame else pd.Series(index=frame.index, dtype="object")
        columns[name] = values.astype("object").where(values.notna(), None).map(str, na_action="ignore")
    return pd.DataFrame(columns)


def _bound(before: pd.Series[Any], now: pd.Series[Any]) -> float:
    """The distance from which on the column counts as drifted; see the module's docstring."""
    import numpy as np
    from scipy.stats import chi2  # type: ignore[import-untyped] # no stubs

    both = np.concatenate([before.to_numpy(), now.to_numpy()])
    if before.dtype.kind == "f" and before.nunique() > 20:  # Evidently's rule for what it puts in bins
        bins = len(np.histogram_bin_edges(both, bins="sturges")) - 1
    else:
        bins = len(set(both.tolist()))
    if bins < 2:
        return NOTABLE
    quantile = float(chi2.ppf(CONFIDENCE, bins - 1))
    return max(NOTABLE, math.sqrt(quantile * (1 / len(before) + 1 / len(now)) / 8))


def _report(
    before: pd.DataFrame,
    now: pd.DataFrame,
    numerical: Sequence[str],
    bounds: dict[str, float],
    threshold: float,
    html: Path,
) -> dict[str, float]:
    """Run Evidently's drift preset, keep its page, and give back its score for every column in `bounds`."""
    import warnings

    html.parent.mkdir(parents=True, exist_ok=True)
    if not bounds:
        html.write_text(
            "<!doctype html><title>Drift</title><p>No column has values on both sides.</p>", encoding="utf-8"
        )
        return {}
    preload()
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    columns = list(bounds)
    definition = DataDefinition(
        numerical_columns=list(numerical), categorical_columns=[name for name in columns if name not in numerical]
    )
    preset = DataDriftPreset(columns=columns, drift_share=threshold, method=METHOD, per_column_threshold=bounds)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numpy and scipy about constant columns
        snapshot = Report([preset]).run(
            current_data=Dataset.from_pandas(now[columns], data_definition=definition),
            reference_data=Dataset.from_pandas(before[columns], data_definition=definition),
        )
        snapshot.save_html(str(html))
    return {
        metric["config"]["column"]: float(metric["value"])
        for metric in snapshot.dict()["metrics"]
        if "column" in metric["config"]
    }
