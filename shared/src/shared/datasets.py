"""The model of datasets.toml: which dataset a key belongs to, and how its files are to be read, checked and loaded.

Without an entry a dataset works by convention: files under `incoming/orders/` go to table `public.orders` by the names in
their header, upserting on the table's primary key. `[defaults]` changes what all datasets share, `[datasets.<name>]` one of them.
"""

import codecs
import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from shared import datasets_match, datasets_rules, keys, toml_place
from shared.contract import AfterLoad
from shared.datasets_problems import Problem, did_you_mean, sentence
from shared.datasets_reader import Reader
from shared.datasets_rules import Conflict, ConflictsError
from shared.datasets_values import (
    CountOrShare,
    DateStyle,
    Delimiter,
    Escape,
    Glob,
    Lifetime,
    MaybeName,
    Name,
    Names,
    Null,
    Nulls,
    Order,
    Quote,
    Recipient,
    Senders,
    TableName,
    TimeZone,
)
from shared.errors import ErrorCode, Rejected
from shared.followed_file import BrokenFileError

POSTGRESQL_ENCODINGS = MappingProxyType(
    {
        "utf-8": "UTF8",
        "ascii": "UTF8",
        "cp932": "SJIS",
        "shift_jis": "SJIS",
        "euc_jp": "EUC_JP",
        "euc_kr": "EUC_KR",
        "gb18030": "GB18030",
        "gbk": "GBK",
        "big5": "BIG5",
        "iso8859-1": "LATIN1",
        "iso8859-15": "LATIN9",
        "cp1252": "WIN1252",
        "utf-16": "UTF8",
        "utf-16-le": "UTF8",
        "utf-16-be": "UTF8",
    }
)
"""Python's codec names and PostgreSQL's (chapter 23.3). PostgreSQL's SJIS is what Python and Windows call CP932. It has no UTF-16: such
files reach it as UTF-8."""

GIB = 1024**3
MIB = 1024**2
MAX_RECORD = 64 * MIB
"""Bytes of one record at the most: so much is held in memory where records are looked at one by one."""


class Mode(StrEnum):
    """What becomes of the rows that the table already has."""

    UPSERT = "upsert"
    """Rows with the same key are overwritten, others stay."""
    APPEND = "append"
    """All rows stay."""
    REPLACE = "replace"
    """The file is the whole table: all rows go, in the same transaction."""


class Header(StrEnum):
    """Whether the first record names the columns."""

    BY_NAME = "by_name"
    """It does, in any order."""
    MATCH = "match"
    """It does, and must name exactly the expected columns in the expected order: those of `columns`, else the table's."""
    NONE = "none"
    """It is data: `columns` names them."""


class OnExtraColumn(StrEnum):
    """What to do with a column of the file that the table lacks."""

    REJECT = "reject"
    """The file is rejected."""
    IGNORE = "ignore"
    """Pass over it."""
    RESCUE = "rescue"
    """Put what the table lacks into its column `rescue_column`, as one JSON object of texts per row."""


class OnMissingColumn(StrEnum):
    """What to do when the file lacks a column of the table. One with a default, or whose values the table makes, may always be missing."""

    REJECT = "reject"
    """The file is rejected."""
    DEFAULT = "default"
    """NULL, where the column allows it."""


class OnDuplicateKey(StrEnum):
    """What to do with a file that holds the same key twice."""

    REJECT = "reject"
    """The file is rejected."""
    LAST = "last"
    """The later record wins."""
    FIRST = "first"
    """The earlier record wins."""


class OnDuplicateContent(StrEnum):
    """What to do with content that this dataset has loaded before, under another key."""

    SKIP = "skip"
    """Leave the table alone; the file's status is `duplicate`."""
    LOAD = "load"
    """Load it again."""


class Rejects(StrEnum):
    """What becomes of wrong records that were put aside."""

    KEEP = "keep"
    """They stay in `hikyaku.rejected_rows`."""
    RETURN = "return"
    """They come back to the sender besides, encrypted."""


class SeqPolicy(StrEnum):
    """What the senders' numbers (`seq` of the manifest) are good for besides being shown in `hikyaku.sender_sequence`."""

    ANY = "any"
    """Nothing: a file may have none, and a gap or a repeat is only shown."""
    UNIQUE = "unique"
    """A file without one is rejected, and so is other content under a number that its sender has used for a loaded file. A gap rejects
    nothing: what is missing may be on its way."""


class SignaturePolicy(StrEnum):
    """Whether a file needs a sender's signature. The decryptor enforces it; what a manifest states must be right in any case."""

    REQUIRED = "required"
    """A file without one is rejected."""
    IF_PRESENT = "if_present"
    """A file may have none; a wrong one is rejected."""
    OFF = "off"
    """It is not looked at, and nobody is named as the signer."""


def _header(value: object) -> object:
    return {True: Header.BY_NAME, False: Header.NONE}[value] if isinstance(value, bool) else value


def _encoding(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        name = codecs.lookup(value).name
    except LookupError:
        name = ""
    if name not in POSTGRESQL_ENCODINGS:
        raise ValueError(f"must be one of {', '.join(POSTGRESQL_ENCODINGS)}{did_you_mean(value, POSTGRESQL_ENCODINGS)}")
    return "cp932" if name == "shift_jis" else name


class Options(BaseModel):
    """What `[defaults]` may say, and every dataset for itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    mode: Mode = Mode.UPSERT
    """What becomes of the rows that the table already has."""
    encoding: Annotated[str, BeforeValidator(_encoding)] = "utf-8"
    """A codec as Python names it: `utf-8`, `cp932`, `euc_jp`, `gb18030`, `gbk`, `big5`, `euc_kr`, `iso8859-1`, `iso8859-15`, `cp1252`,
    `utf-16`, `utf-16-le`, `utf-16-be`. A byte-order mark is taken away. Any delimiter goes with any of them."""
    header: Annotated[Header, BeforeValidator(_header, json_schema_input_type=Header | bool)] = Header.BY_NAME
    """Whether the first record names the columns."""
    delimiter: Delimiter = ","
    """One ASCII character between two fields; no small letter, digit, dot, backslash, quote or line end."""
    quote: Quote = '"'
    """`"` or `'`."""
    escape: Escape = ""
    """What, before a quote within quotes, means the quote itself: a backslash or a quote; the quote unless told."""
    null: Nulls = ("",)
    """What, where it is not quoted, means NULL: a text, or a list of texts."""
    datestyle: DateStyle = ""
    """How dates are read (PostgreSQL manual, DateStyle), as `ISO, DMY`; as the database says unless told."""
    timezone: TimeZone = ""
    """Of timestamps that name none, for columns `with time zone`; as the database says unless told."""
    on_extra_column: OnExtraColumn = OnExtraColumn.REJECT
    """What to do with a column of the file that the table lacks."""
    rescue_column: Name = "rescued"
    """A json or jsonb column of the table, for `on_extra_column = "rescue"`."""
    on_missing_column: OnMissingColumn = OnMissingColumn.REJECT
    """What to do when the file lacks a column of the table. One with a default, or whose values the table makes, may always be missing."""
    on_duplicate_key: OnDuplicateKey = OnDuplicateKey.REJECT
    """What to do with a file that holds the same key twice."""
    on_duplicate_content: OnDuplicateContent = OnDuplicateContent.SKIP
    """What to do with content that the dataset has loaded before, under another key."""
    max_rejected_rows: CountOrShare = 0
    """Wrong records that may be put aside while the others load: a count, or a share of the file's records below 1 (`0.001`)."""
    rejects: Rejects = Rejects.KEEP
    """What becomes of wrong records that were put aside."""
    rejects_recipient: Recipient = ""
    """To whom they come back ([how](#wrong-rows-come-back)): the sender's public key of age, `age1…`."""
    order_by: Order = "event_time"
    """What tells the newer of two files: `event_time`, when S3 stored it; `seq`, its sender's number; or a capture of `match`, as `{day}`
    ([order](#order-and-deletion))."""
    seq: SeqPolicy = SeqPolicy.ANY
    """What the senders' numbers (`seq` of the manifest) are good for besides being shown in `hikyaku.sender_sequence`."""
    newer_by: MaybeName = ""
    """A version column: an older row never overwrites a newer one; only with `upsert`."""
    delete_when: dict[Name, Null] = Field(default={}, max_length=1)
    """A column and the text in it that marks a row as deleted: `{status = "D"}`; only with `upsert`. The table need not have the column."""
    watermark: MaybeName = ""
    """A column whose greatest value is the dataset's watermark; the event's time unless told."""
    file_column: MaybeName = ""
    """A column of the table that shall hold the object's key."""
    line_column: MaybeName = ""
    """A column of the table that shall hold the line of the file where the record begins."""
    max_bytes: int = Field(default=64 * GIB, ge=1, strict=True)
    """Bytes of CSV above which a file is refused as `too_large`; of a group, the bytes of all its parts together."""
    max_ratio: int = Field(default=200, ge=2, strict=True)
    """Bytes of CSV per byte of gzip above which a file is taken for a bomb: real CSV has 3 to 20, a bomb 1,029."""
    max_record_bytes: int = Field(default=MAX_RECORD, ge=1, le=MAX_RECORD, strict=True)
    """Bytes above which a record, without its line end, makes a file `too_large`; it can only be lowered."""
    after_load: AfterLoad = AfterLoad.KEEP
    """What happens to the object in S3 once its rows are committed, or were before under another key (`duplicate`). Any other file's
    object stays. Of a [group](#groups), the objects of all its parts, once it is loaded. The decryptor must be allowed to: parameter
    `AfterLoad` of `aws/stack.yaml`."""
    receipt: bool = Field(default=True, strict=True)
    """Whether the sender is told what became of each file, in [`receipts/<key>.json`](#receipts) of the same bucket."""
    group_expires: Lifetime = "7d"
    """How long a [group](#groups) waits for all of its parts, counted from its first: days, hours or minutes, as `7d`, `12h`, `30m`."""
    signature: SignaturePolicy = SignaturePolicy.REQUIRED
    """Whether a file needs its sender's signature; the decryptor looks."""
    senders: Senders = ("*",)
    """Names of allowed_signers, or of openpgp_senders, who may sign files of the dataset, with `*` and `?` as wildcards."""

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if conflicts := list(self.conflicts()):
            raise ConflictsError(conflicts)
        return self

    def conflicts(self) -> Iterable[Conflict]:
        """Options that don't go together; none where the model was validated."""
        return datasets_rules.of_defaults(self)

    def tolerated(self, records: int) -> int:
        """How many wrong records of a file with so many may be put aside."""
        # In decimals: as floats, 0.29 of 100 is 28.
        return int(Decimal(str(self.max_rejected_rows)) * records) if self.max_rejected_rows < 1 else int(self.max_rejected_rows)


class Entry(Options):
    """A `[datasets.<name>]` table."""

    match: Glob | None = None
    """Glob on the whole object key (`*` crosses `/`) instead of the folder's name; the first entry that matches wins. `{name}` captures a
    piece without `/`, for `order_by`. A dry run's key is compared without its `test/`."""
    table: TableName | None = None
    """`table` (in schema public) or `schema.table`; the dataset's name unless told."""
    key: Names = ()
    """Columns that tell a row; the table's primary key unless told. For `upsert`, a unique index must be on just these."""
    columns: Names = ()
    """The file's columns in order, when it has no header, or must match."""
    rename: dict[Name, Name] = Field(default={})
    """The table's columns by the file's names, where they differ: `{"顧客番号" = "customer"}`."""

    def conflicts(self) -> Iterable[Conflict]:
        """Options that don't go together; none where the model was validated."""
        return datasets_rules.of_entry(self)


class Dataset(Entry):
    """An entry with its name and with the defaults filled in."""

    name: str

    @property
    def target(self) -> tuple[str, str]:
        """Schema and table."""
        schema, _, table = (self.table or "").rpartition(".")
        return schema or "public", table or self.name

    def captured(self, key: str) -> str:
        """What the capture that `order_by` names holds in the key of one of the dataset's files."""
        found = datasets_match.captured(self.match or "", keys.plain(key)) or {}
        return found[self.order_by.strip("{}")]

    @property
    def group_lifetime(self) -> timedelta:
        """How long a group waits for its parts."""
        unit = {"d": "days", "h": "hours", "m": "minutes"}[self.group_expires[-1]]
        return timedelta(**{unit: int(self.group_expires[:-1])})

    @property
    def postgresql_encoding(self) -> str:
        """The encoding as PostgreSQL names it."""
        return POSTGRESQL_ENCODINGS[self.encoding]


class DatasetsError(BrokenFileError):
    """datasets.toml is wrong.

    Attributes:
        problems: all that is wrong, in the order of the file.
        path: of the file, where it came from one.
    """

    problems: tuple[Problem, ...]

    def __init__(self, problems: Iterable[Problem], path: str = "") -> None:
        self.problems = tuple(problems)
        self.path = path
        super().__init__(str(self))

    def __str__(self) -> str:
        """One line where there is one problem; else a line for each."""
        prefix = f"{self.path}: " if self.path else ""
        if len(self.problems) == 1:
            return f"{prefix}{self.problems[0]}"
        return "\n    ".join([f"{prefix}{len(self.problems)} problems:", *map(str, self.problems)])


class Datasets:
    """A parsed datasets.toml.

    Args:
        defaults: what `[defaults]` says, unparsed.
        entries: the datasets by name, in the order of the file.
        places: lines of the file by path.
    """

    def __init__(self, defaults: Mapping[str, Any], entries: dict[str, Dataset], places: Mapping[toml_place.Path, int]) -> None:
        self._defaults = defaults
        self.entries = entries
        self._places = places

    def options(self) -> Iterable[Options]:
        """What holds without an entry, and in each of them."""
        return [Options.model_validate(self._defaults), *self.entries.values()]

    def has_table(self, name: str) -> bool:
        """Whether the file has a table of this dataset, be it right or wrong."""
        return ("datasets", name) in self._places

    def problem(self, name: str, option: str, what: str) -> Problem:
        """Something about an entry that shows only elsewhere (in the database), with its line. `option` may be empty."""
        path: toml_place.Path = ("datasets", name, option) if option else ("datasets", name)
        if option and path not in self._places and ("defaults", option) in self._places:
            path = ("defaults", option)
        line = toml_place.nearest(self._places, path) if path[:2] in self._places else 0
        return Problem(line, toml_place.dotted(path), what)

    def of(self, key: str) -> Dataset:
        """The dataset that an object key belongs to: the first entry whose glob matches, else the one its folder names.

        Raises:
            Rejected: `dataset_invalid`, it belongs to none.
        """
        route = keys.route(key)
        plain = keys.plain(key)
        for entry in self.entries.values():
            if entry.match and datasets_match.captured(entry.match, plain) is not None:
                return entry
        return self._named(route.dataset)

    def named(self, name: str) -> Dataset:
        """The dataset of this name: its entry, or else by convention.

        Raises:
            Rejected: `dataset_invalid`, without an entry it can't be.
        """
        return self.entries.get(name) or self._named(name)

    def _named(self, name: str) -> Dataset:
        entry = self.entries.get(name)
        if entry is not None and entry.match is None:
            return entry
        if entry is not None:
            raise Rejected(ErrorCode.DATASET_INVALID, f"the key does not match the glob of dataset {name} in datasets.toml")
        try:
            return Dataset.model_validate({**self._defaults, "name": name})
        except ValidationError as error:
            raise Rejected(
                ErrorCode.DATASET_INVALID, f"dataset {name} needs an entry in datasets.toml: {sentence(error.errors()[0], ())}"
            ) from None


def parse(text: str) -> Datasets:
    """Parse datasets.toml.

    Raises:
        DatasetsError: it is no TOML, or says something that we don't understand.
    """
    datasets, problems = read(text)
    if problems:
        raise DatasetsError(problems)
    return datasets


def read(text: str) -> tuple[Datasets, list[Problem]]:
    """Parse as much of datasets.toml as can be understood.

    Returns:
        The datasets that are right, and what is wrong with the others.

    Raises:
        DatasetsError: it is no TOML.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)", str(error))
        line = int(at[1] or len(text.splitlines())) if at else 0
        what = str(error)[: at.start()] if at else str(error)
        raise DatasetsError([Problem(line, "", f"this is no TOML: {what[:1].lower()}{what[1:]}")]) from None
    reader = Reader(Options, Dataset, toml_place.places(text))
    defaults, entries = reader.read(document)
    return Datasets(defaults, entries, reader.places), sorted(reader.problems)
