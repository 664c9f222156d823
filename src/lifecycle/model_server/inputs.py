"""Requests of both protocols as rows for the model; whatever is wrong with them is KServe's InvalidInput, so HTTP 400."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from kserve.errors import InvalidInput
from kserve.protocol.infer_type import InferInput, InferRequest

_INTEGERS = frozenset({"INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"})
_FLOATS = frozenset({"FP16", "FP32", "FP64"})
_SCALARS = (str, int, float, bool, type(None))

Row = dict[str, Any]


@dataclass(frozen=True)
class Columns:
    """The model's input columns in order; `named` is False for a model fitted on a bare array, whose columns are called 0, 1, ..."""

    names: tuple[str, ...]
    named: bool


def rows_of_v1(payload: Any, columns: Columns) -> list[Row]:
    """`{"instances": [{column: value} or [value, ...], ...]}`. Columns the model does not know are kept for the log."""
    if isinstance(payload, (bytes, bytearray)):  # KServe decodes a body only when its content type is JSON's
        payload = _json(payload)
    if not isinstance(payload, Mapping) or "instances" not in payload:
        raise InvalidInput('Expected a JSON object with "instances"')
    instances = payload["instances"]
    if not isinstance(instances, list):
        raise InvalidInput('Expected "instances" to be a list')
    if not instances:
        raise InvalidInput('"instances" is empty')
    return [_row_of_instance(instance, number, columns) for number, instance in enumerate(instances)]


def _json(body: bytes | bytearray) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"Unrecognized request format: {error}") from error


def _row_of_instance(instance: Any, number: int, columns: Columns) -> Row:
    where = f"instances[{number}]"
    if isinstance(instance, Mapping):
        row = dict(instance)
        _require(row, columns, where)
    elif isinstance(instance, list):
        if len(instance) != len(columns.names):
            raise InvalidInput(
                f"{where} has {len(instance)} values, the model takes {len(columns.names)}: {_list(columns.names)}"
            )
        row = dict(zip(columns.names, instance, strict=True))
    else:
        raise InvalidInput(f"{where} is neither an object nor a list")
    for name, value in row.items():
        if not isinstance(value, _SCALARS):
            raise InvalidInput(f"{where}.{name} is no single value")
    return row


def rows_of_v2(request: InferRequest, columns: Columns) -> list[Row]:
    """One tensor per column of shape [n] or [n, 1], or one tensor of shape [n, k] with the columns in the model's order."""
    if not request.inputs:
        raise InvalidInput('"inputs" is empty')
    if len(request.inputs) == 1 and _is_matrix(request.inputs[0]):
        return _rows_of_matrix(request.inputs[0], columns)
    values: dict[str, list[Any]] = {}
    for tensor in request.inputs:
        if tensor.name in values:
            raise InvalidInput(f"input {tensor.name!r} is given twice")
        values[tensor.name] = _values(tensor)
    _require(values, columns, "inputs")
    lengths = {name: len(column) for name, column in values.items()}
    if len(set(lengths.values())) > 1:
        raise InvalidInput(f"the inputs differ in length: {lengths}")
    names = list(values)
    return [dict(zip(names, row, strict=True)) for row in zip(*values.values(), strict=True)]


def _is_matrix(tensor: InferInput) -> bool:
    return len(tensor.shape) == 2 and tensor.shape[1] != 1


def _rows_of_matrix(tensor: InferInput, columns: Columns) -> list[Row]:
    width = len(columns.names)
    if tensor.shape[1] != width:
        raise InvalidInput(
            f"input {tensor.name!r} has {tensor.shape[1]} columns, the model takes {width}: {_list(columns.names)}"
        )
    flat = _values(tensor)
    return [dict(zip(columns.names, flat[start : start + width], strict=True)) for start in range(0, len(flat), width)]


def _values(tensor: InferInput) -> list[Any]:
    """The tensor's values in row-major order, checked against its shape and datatype."""
    shape = list(tensor.shape)
    if len(shape) not in (1, 2) or any(not isinstance(size, int) or size < 0 for size in shape):
        raise InvalidInput(f"input {tensor.name!r} has shape {shape}, expected [n] or [n, k]")
    if math.prod(shape) == 0:
        raise InvalidInput(f"input {tensor.name!r} holds no values")
    flat = _flat(tensor.data)
    if len(flat) != math.prod(shape):
        raise InvalidInput(f"input {tensor.name!r} has {len(flat)} values, its shape {shape} says {math.prod(shape)}")
    return [_typed(value, tensor) for value in flat]


def _flat(data: Any) -> list[Any]:
    flat: list[Any] = []
    for item in data if data is not None else ():
        if isinstance(item, (list, tuple)):
            flat.extend(_flat(item))
        else:
            flat.append(item.item() if hasattr(item, "item") else item)
    return flat


def _typed(value: Any, tensor: InferInput) -> Any:
    kind = tensor.datatype
    if value is None:
        return None
    if kind == "BYTES":
        if isinstance(value, bytes):
            try:
                return value.decode()
            except UnicodeDecodeError as error:
                raise InvalidInput(f"input {tensor.name!r}: {error}") from error
        fits = isinstance(value, str)
    elif kind == "BOOL":
        fits = isinstance(value, bool)
    elif kind in _INTEGERS:
        fits = isinstance(value, int) and not isinstance(value, bool)
    elif kind in _FLOATS:
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
        value = float(value) if fits else value
    else:
        raise InvalidInput(f"input {tensor.name!r} has the unknown datatype {kind!r}")
    if not fits:
        raise InvalidInput(f"input {tensor.name!r}: {value!r} is no {kind}")
    return value


def _require(given: Mapping[str, Any], columns: Columns, where: str) -> None:
    if not columns.named:
        missing = [name for name in columns.names if name not in given]
        if missing:
            raise InvalidInput(
                f"{where}: the model was fitted without column names; give lists or one [n, {len(columns.names)}] tensor"
            )
        return
    missing = [name for name in columns.names if name not in given]
    if missing:
        raise InvalidInput(f"{where} lacks {_list(missing)}; the model takes {_list(columns.names)}")


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)
