"""A scikit-learn model behind KServe's model interface."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import orjson
import pandas as pd
from kserve.errors import InvalidInput
from kserve.model import Model
from kserve.protocol.infer_type import InferOutput, InferRequest, InferResponse

from lifecycle.model_server.arguments import Settings
from lifecycle.model_server.inputs import Columns, Row, rows_of_v1, rows_of_v2

FILES = ("model.joblib", "model.pkl", "model.pickle")
REQUEST_ID_HEADER = "x-request-id"
MODEL_VERSION_HEADER = "x-model-version"

Append = Callable[[Sequence[bytes]], None]


class ModelMissing(Exception):
    """The folder holds no model file."""


def load_estimator(folder: Path) -> Any:
    """The pipeline from the folder; raises ModelMissing, or whatever unpickling it raises."""
    found = [folder / name for name in FILES if (folder / name).is_file()]
    if not found:
        raise ModelMissing(f"no {' or '.join(FILES)} in {folder}")
    return joblib.load(found[0])


class TabularModel(Model):  # type: ignore[misc] # the SDK has no types
    """Gives the probability of the positive class (the last of `classes_`; the value itself for a regressor) for rows of named columns."""

    def __init__(self, settings: Settings, append: Append | None) -> None:
        super().__init__(settings.model_name, return_response_headers=True)
        self._settings = settings
        self._append = append
        self._estimator: Any = None
        self._columns = Columns((), named=False)

    def load(self) -> bool:
        self._estimator = load_estimator(self._settings.model_dir)
        names = getattr(self._estimator, "feature_names_in_", None)
        if names is not None:
            self._columns = Columns(tuple(str(name) for name in names), named=True)
        else:
            self._columns = Columns(
                tuple(str(number) for number in range(int(self._estimator.n_features_in_))), named=False
            )
        self.ready = True
        return True

    def get_input_types(self) -> list[dict[str, Any]]:
        """One tensor per column; columns whose fitted encoder knows words are BYTES, all others FP64 (integers are taken too)."""
        if not self._columns.named:
            return [{"name": "input", "datatype": "FP64", "shape": [-1, len(self._columns.names)]}]
        words = _word_columns(self._estimator)
        return [
            {"name": name, "datatype": "BYTES" if name in words else "FP64", "shape": [-1]}
            for name in self._columns.names
        ]

    def get_output_types(self) -> list[dict[str, Any]]:
        return [{"name": "probability", "datatype": "FP64", "shape": [-1]}]

    def predict(
        self, payload: Any, headers: Mapping[str, str] | None = None, response_headers: dict[str, str] | None = None
    ) -> Any:
        """Answer one request; its rows are in the spool before this returns."""
        given = (headers or {}).get(REQUEST_ID_HEADER, "")
        if isinstance(payload, InferRequest):
            request_id = payload.id or given or str(uuid.uuid4())
            rows = rows_of_v2(payload, self._columns)
        else:
            request_id = given or str(uuid.uuid4())
            rows = rows_of_v1(payload, self._columns)
        probabilities = self._probabilities(rows)
        self._log(request_id, rows, probabilities)
        if response_headers is not None:
            response_headers[REQUEST_ID_HEADER] = request_id
            response_headers[MODEL_VERSION_HEADER] = self._settings.model_version
        if isinstance(payload, InferRequest):
            output = InferOutput("probability", [len(rows)], "FP64", data=probabilities)
            return InferResponse(
                response_id=request_id,
                model_name=self.name,
                model_version=self._settings.model_version,
                infer_outputs=[output],
                use_binary_outputs=payload.use_binary_outputs,
                requested_outputs=payload.request_outputs,
            )
        return {"predictions": probabilities}

    def _probabilities(self, rows: Sequence[Row]) -> list[float]:
        names = list(self._columns.names)
        table: Any = pd.DataFrame({name: [row[name] for row in rows] for name in names}, columns=names)
        if not self._columns.named:
            table = table.to_numpy()
        try:
            if hasattr(self._estimator, "predict_proba"):
                values = self._estimator.predict_proba(table)[:, -1]
            else:
                values = self._estimator.predict(table)
            return [float(value) for value in np.asarray(values)]
        except (ValueError, TypeError) as error:
            # the model loaded and its columns are there: what it cannot take is a value of this request
            raise InvalidInput(f"the model cannot take these values: {error}") from error

    def _log(self, request_id: str, rows: Sequence[Row], probabilities: Sequence[float]) -> None:
        if self._append is None:
            return
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        self._append(
            [
                _line(
                    {
                        "request_id": request_id,
                        "index": index,
                        "time": now,
                        "service": self._settings.service,
                        "model_version": self._settings.model_version,
                        "values": row,
                        "probability": probability,
                    }
                )
                for index, (row, probability) in enumerate(zip(rows, probabilities, strict=True))
            ]
        )


def _word_columns(estimator: Any) -> set[str]:
    """The columns that a ColumnTransformer in the pipeline hands to an encoder fitted on strings."""
    parts = [step for _, step in getattr(estimator, "steps", [("", estimator)])]
    return {
        str(column)
        for part in parts
        for _, transformer, columns in getattr(part, "transformers_", ())
        if _knows_words(transformer)
        for column in ([columns] if isinstance(columns, str) else columns)
    }


def _knows_words(transformer: Any) -> bool:
    inner = [step for _, step in getattr(transformer, "steps", [("", transformer)])]
    return any(categories.dtype.kind in "OUS" for part in inner for categories in getattr(part, "categories_", ()))


def _line(record: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(record)
    except TypeError:  # an integer beyond 64 bits, which JSON allows
        return json.dumps(record).encode()
