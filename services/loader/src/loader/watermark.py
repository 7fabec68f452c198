"""How far a dataset has come, by one of its own columns."""

from typing import Any

import psycopg
from psycopg import sql

from loader import sqlstate
from loader.relation import Relation
from loader.staging import Staged
from shared.datasets import Dataset

NEWER = """
SELECT m.value::text
FROM (SELECT max({column}) AS value FROM {staging}) AS m
WHERE NOT EXISTS (
    SELECT FROM hikyaku.watermarks AS w
    -- A mark that is none of this type is left over from before datasets.toml changed.
    WHERE w.dataset = {dataset} AND CASE WHEN pg_input_is_valid(w.value, {name}) THEN w.value::{type} >= m.value END
)
"""


def newer(connection: psycopg.Connection[Any], relation: Relation, dataset: Dataset, staged: Staged) -> str | None:
    """The greatest value of the watermark's column in the file, if it is greater than the dataset's watermark, compared as its type.

    Raises:
        Rejected: the type has no order.
        Retryable: the database fails.
    """
    [kind] = [column.type for column in relation.columns if column.name == dataset.watermark]
    query = sql.SQL(NEWER).format(
        column=sql.Identifier(dataset.watermark), staging=staged.table, dataset=dataset.name, name=kind, type=sql.SQL(kind)
    )
    try:
        row = connection.execute(query, prepare=False).fetchone()
    except psycopg.Error as error:
        raise sqlstate.translate(error) from None
    return row[0] if row else None
