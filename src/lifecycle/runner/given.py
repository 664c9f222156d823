"""`given`: the use case's data, with what the story changes about it, stands in the source table before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifecycle.domain.errors import InvalidInput

if TYPE_CHECKING:
    import pyarrow as pa

    from lifecycle.domain.use_case import UseCase
    from lifecycle.scenario import Story
    from lifecycle.scenario.model import Corruption

_ARROW_TYPES = {"integer": "int64", "number": "float64", "string": "string", "boolean": "bool_"}


def source_rows(story: Story) -> pa.Table:
    """The rows the source table begins with: the use case's file, cut to `given.rows` and damaged as `given.corrupt` says.

    Raises:
        InvalidInput: the file lacks a declared column, or a value cannot be one of its column.
    """
    table = read_rows(story.use_case)
    given = story.scenario.given
    if given.rows is not None:
        table = table.slice(0, given.rows)
    for number, corruption in enumerate(given.corrupt):
        table = _damaged(table, corruption, story.seed + number)
    return table


def read_rows(use_case: UseCase) -> pa.Table:
    """The use case's CSV with the declared types; an empty cell is null."""
    import pyarrow as pa
    import pyarrow.csv as csv

    types = {
        column.name: pa.timestamp("us", tz="UTC")
        if column.type == "timestamp"
        else getattr(pa, _ARROW_TYPES[column.type])()
        for column in use_case.data.columns
    }
    path = use_case.folder / use_case.data.file
    options = csv.ConvertOptions(
        column_types=types, include_columns=list(types), strings_can_be_null=True, null_values=[""]
    )
    try:
        return csv.read_csv(path, convert_options=options)
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise InvalidInput(f"{path}: {error}", fix="make the file and data.columns of the use case agree") from error


def _damaged(table: pa.Table, corruption: Corruption, seed: int) -> pa.Table:
    """The table with `corruption.rows` cells of one column overwritten; which ones is the seed's choice."""
    import random

    import pyarrow as pa

    count = min(corruption.rows, table.num_rows)
    chosen = random.Random(seed).sample(range(table.num_rows), count)  # noqa: S311 - a story's dice, not a secret
    index = table.schema.get_field_index(corruption.column)
    field = table.schema.field(index)
    values = table.column(index).to_pylist()
    for row in chosen:
        values[row] = corruption.set
    try:
        column = pa.array(values, type=field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InvalidInput(
            f"given.corrupt: the column {corruption.column} holds {field.type}, so {corruption.set!r} cannot be put there",
            fix="give a value of the column's type, or null",
        ) from error
    return table.set_column(index, field, column)
