"""Which column of the file goes where."""

import unicodedata
from dataclasses import dataclass

from loader.relation import Column, Relation
from shared.datasets import Dataset, Header, OnExtraColumn, OnMissingColumn
from shared.errors import ErrorCode, Rejected

SHOWN = 10
"""Names that an error shows at most."""
EXTRA = "hikyaku_extra_"
"""Names of staged columns that the table lacks: the file's own may be too long for PostgreSQL."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column of the file."""

    said: str
    """Its name in the file or in `columns`."""
    staged: str
    """Its name in the staging table."""
    column: Column | None
    """None: the table lacks it."""


@dataclass(frozen=True, slots=True)
class Layout:
    """All columns of a file, in its order."""

    fields: tuple[Field, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        """Those that the table has."""
        return tuple(field.column for field in self.fields if field.column is not None)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of those that the table has."""
        return tuple(column.name for column in self.columns)

    @property
    def extras(self) -> tuple[Field, ...]:
        """Those that the table lacks."""
        return tuple(field for field in self.fields if field.column is None)

    def staged(self, name: str) -> str | None:
        """The staging table's name for a column that datasets.toml names; None when the file has none of this name."""
        return next((field.staged for field in self.fields if name in (field.said, field.staged)), None)


def lay_out(relation: Relation, dataset: Dataset, names: tuple[str, ...], *, from_file: bool) -> Layout:
    """Find each of the file's columns in the table.

    A name that the table has not is looked for without regard to case and width (`ＩＤ` for `id`), if just one column fits.

    Args:
        relation: the table.
        dataset: what to do with columns that one of the two lacks.
        names: the file's columns.
        from_file: they were read from its first line, not from datasets.toml.

    Raises:
        Rejected: `columns_mismatch`: unknown, repeated, missing or computed columns, or ones in another order than they must match;
            `dataset_invalid`: datasets.toml names a column that the table lacks.
    """
    if dataset.header is Header.MATCH:
        _match(relation, dataset, names)
    by_name = _resolve(relation, dataset, names)
    fields = tuple(
        Field(name, column.name if column else f"{EXTRA}{position}", column)
        for position, (name, column) in enumerate(zip(names, by_name, strict=True), 1)
    )
    layout = Layout(fields)
    _check_extras(relation, dataset, layout, from_file=from_file)
    made = tuple(_made(relation, dataset))
    _check_repeated([*(column.name for column in layout.columns), *made], layout)
    _check_missing(relation, dataset, {*layout.names, *made})
    if computed := [column.name for column in layout.columns if column.computed]:
        raise mismatch(f"{relation} makes the values of {listed(computed)} itself: leave them out of the file")
    _check_named(relation, dataset, layout)
    return layout


def _match(relation: Relation, dataset: Dataset, names: tuple[str, ...]) -> None:
    expected = dataset.columns or tuple(column.name for column in relation.columns if not column.computed)
    for position, (name, wanted) in enumerate(zip(names, expected, strict=False), 1):
        if name != wanted:
            # Not what stands there: without a header, that is data.
            raise mismatch(f"column {position} of the header is not {listed([wanted])}: it must name {listed([*expected])}, in this order")
    if len(names) != len(expected):
        raise mismatch(f"the header names {len(names)} columns, not {len(expected)}: it must name {listed([*expected])}, in this order")


def _resolve(relation: Relation, dataset: Dataset, names: tuple[str, ...]) -> list[Column | None]:
    known = {column.name: column for column in relation.columns}
    folded: dict[str, list[Column]] = {}
    for column in relation.columns:
        folded.setdefault(fold(column.name), []).append(column)
    renamed = [dataset.rename.get(name, name) for name in names]
    taken = {known[name].name for name in renamed if name in known}

    def find(name: str) -> Column | None:
        alike = [column for column in folded.get(fold(name), []) if column.name not in taken]
        return known.get(name) or (alike[0] if len(alike) == 1 else None)

    return [find(name) for name in renamed]


def fold(name: str) -> str:
    """A name without its case and width."""
    return unicodedata.normalize("NFKC", name).casefold()


def _check_extras(relation: Relation, dataset: Dataset, layout: Layout, *, from_file: bool) -> None:
    extras = [field.said for field in layout.extras if field.said not in dataset.delete_when]
    rejected = extras if dataset.on_extra_column is OnExtraColumn.REJECT else []
    foreign = 2 * len(rejected) >= len(layout.fields) or len(extras) == len(layout.fields)
    if from_file and foreign:
        # Not named: where a file has no header, its first line is data, even if a cell or two look like a column's name.
        what = f"{len(extras)} of the {len(layout.fields)} names in the first line are no columns of {relation}"
        raise mismatch(f"{what}: has the file a header?")
    if "" in rejected:
        what = f"column {[field.said for field in layout.fields].index('') + 1} has no name in the header"
        raise mismatch(f"{what}: has it a delimiter too many?")
    if rejected:
        rejected = [dataset.rename.get(name, name) for name in rejected]
        raise mismatch(f"{relation} has no column {listed(rejected)}; it has {listed([c.name for c in relation.columns])}")


def _made(relation: Relation, dataset: Dataset) -> list[str]:
    """Columns whose values the loader makes."""
    wanted = {"file_column": dataset.file_column, "line_column": dataset.line_column}
    if dataset.on_extra_column is OnExtraColumn.RESCUE:
        wanted["rescue_column"] = dataset.rescue_column
    known = {column.name for column in relation.columns}
    for option, name in wanted.items():
        if name and name not in known:
            raise Rejected(ErrorCode.DATASET_INVALID, f"{relation} has no column {name}, which {option} in datasets.toml names")
    return [name for name in wanted.values() if name]


def _check_repeated(columns: list[str], layout: Layout) -> None:
    if repeated := sorted({name for name in columns if columns.count(name) > 1}):
        raise mismatch(f"the file names {listed(repeated)} more than once, or what the loader writes there itself")
    extras = [field.said for field in layout.extras if field.said]
    # By their places: they may be data, where a file has no header.
    if places := [str(place) for place, field in enumerate(layout.fields, 1) if extras.count(field.said) > 1]:
        raise mismatch(f"columns {listed(places)} of the header have one name")


def _check_missing(relation: Relation, dataset: Dataset, given: set[str]) -> None:
    lenient = dataset.on_missing_column is OnMissingColumn.DEFAULT
    required = [column for column in relation.columns if not column.optional and (column.not_null or not lenient)]
    if missing := [column.name for column in required if column.name not in given]:
        raise mismatch(f"the file lacks {listed(missing)} of {relation}: send them, or give them a default")


def _check_named(relation: Relation, dataset: Dataset, layout: Layout) -> None:
    """Columns that options name must be there."""
    for option, name in {"newer_by": dataset.newer_by, "watermark": dataset.watermark}.items():
        if name and name not in {column.name for column in relation.columns}:
            raise Rejected(ErrorCode.DATASET_INVALID, f"{relation} has no column {name}, which {option} in datasets.toml names")
        if name and name not in layout.names:
            raise mismatch(f"the file lacks {name}, which {option} in datasets.toml names")
    for name in dataset.delete_when:
        if layout.staged(name) is None:
            raise mismatch(f"the file lacks {name}, which marks deleted rows (delete_when in datasets.toml)")


def mismatch(message: str) -> Rejected:
    """The file's columns don't fit."""
    return Rejected(ErrorCode.COLUMNS_MISMATCH, message)


def listed(names: list[str]) -> str:
    """Names for an error, not too many, none too long."""
    shown = ", ".join(name[:63] for name in names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"
