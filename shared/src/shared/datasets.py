"""The model of datasets.toml: which dataset a key belongs to, and how its files are to be read, checked and loaded.

Without an entry a dataset works by convention: files under `incoming/orders/` go to table `public.orders` by the names in
their header, upserting on the table's primary key. `[defaults]` changes what all datasets share, `[datasets.<name>]` one of them.
"""

import codecs
import tomllib
from enum import StrEnum
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from shared import keys
from shared.errors import ErrorCode, Rejected
from shared.toml_place import at

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
    }
)
"""Python's codec names and PostgreSQL's (chapter 23.3). PostgreSQL's SJIS is what Python and Windows call CP932."""

GIB = 1024**3


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
    NONE = "none"


class OnDuplicateKey(StrEnum):
    """What to do with a file that holds the same key twice."""

    REJECT = "reject"
    LAST = "last"
    """The later record wins."""


class OnDuplicateContent(StrEnum):
    """What to do with content that this dataset has loaded before, under another key."""

    SKIP = "skip"
    LOAD = "load"


class SignaturePolicy(StrEnum):
    """Whether a file needs a sender's signature. The decryptor enforces it."""

    REQUIRED = "required"
    IF_PRESENT = "if_present"
    OFF = "off"


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
        raise ValueError(f"must be one of {', '.join(POSTGRESQL_ENCODINGS)}")
    return "cp932" if name == "shift_jis" else name


class Options(BaseModel):
    """What `[defaults]` may say, and every dataset for itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Mode = Mode.UPSERT
    encoding: Annotated[str, BeforeValidator(_encoding)] = "utf-8"
    """A codec's name as Python spells it."""
    header: Annotated[Header, BeforeValidator(_header)] = Header.BY_NAME
    delimiter: str = Field(default=",", pattern=r"^[^\r\n\\.a-z0-9\"']$")
    """One ASCII character that PostgreSQL takes (chapter COPY)."""
    null: str = Field(default="", pattern=r"^[^\r\n]*$")
    """What, unquoted, means NULL."""
    quote: str = Field(default='"', pattern=r"^[\"']$")
    on_duplicate_key: OnDuplicateKey = OnDuplicateKey.REJECT
    on_duplicate_content: OnDuplicateContent = OnDuplicateContent.SKIP
    max_bytes: int = Field(default=64 * GIB, ge=1)
    """Bytes of CSV above which a file is taken for a bomb."""
    max_ratio: int = Field(default=200, ge=2)
    """Bytes of CSV per byte of gzip above which a file is taken for a bomb: real CSV has 3 to 20, a bomb 1,029."""
    signature: SignaturePolicy = SignaturePolicy.REQUIRED

    @model_validator(mode="after")
    def _separable(self) -> Self:
        if not self.delimiter.isascii():
            raise ValueError("delimiter must be one ASCII character")
        if self.null and (self.delimiter in self.null or self.quote in self.null):
            raise ValueError("null must not hold the delimiter or the quote")
        return self


class Entry(Options):
    """A `[datasets.<name>]` table."""

    match: str | None = Field(default=None, min_length=1)
    """Glob on the whole object key (`*` crosses `/`). A dry run's key is compared without its `test/`."""
    table: str | None = Field(default=None, pattern=r"^[^.]+(\.[^.]+)?$")
    """`table` (in schema public) or `schema.table`; the dataset's name unless told."""
    key: tuple[str, ...] = ()
    """Columns that tell a row; the table's primary key unless told."""
    columns: tuple[str, ...] = ()
    """The file's columns in order, when it has no header."""

    @model_validator(mode="after")
    def _columns_fit_header(self) -> Self:
        if self.header is Header.NONE and not self.columns:
            raise ValueError('header = "none" needs columns = [...]')
        if self.header is Header.BY_NAME and self.columns:
            raise ValueError('columns = [...] needs header = "none": with a header, the file names its columns')
        if len(set(self.columns)) < len(self.columns):
            raise ValueError("columns names a column twice")
        return self


class Dataset(Entry):
    """An entry with its name and with the defaults filled in."""

    name: str

    @property
    def target(self) -> tuple[str, str]:
        """Schema and table."""
        schema, _, table = (self.table or "").rpartition(".")
        return schema or "public", table or self.name

    @property
    def postgresql_encoding(self) -> str:
        """The encoding as PostgreSQL names it."""
        return POSTGRESQL_ENCODINGS[self.encoding]


class DatasetsError(Exception):
    """datasets.toml is wrong; the message says where and why."""


class Datasets:
    """A parsed datasets.toml.

    Args:
        defaults: what `[defaults]` says, unparsed.
        entries: the datasets by name, in the order of the file.
    """

    def __init__(self, defaults: dict[str, Any], entries: dict[str, Dataset]) -> None:
        self._defaults = defaults
        self.entries = entries

    def of(self, key: str) -> Dataset:
        """The dataset that an object key belongs to: the first entry whose glob matches, else the one its folder names.

        Raises:
            Rejected: `dataset_invalid`, it belongs to none.
        """
        route = keys.route(key)
        plain = key.replace(f"{keys.INCOMING}{keys.DRY_RUN}/", keys.INCOMING, 1) if route.dry_run else key
        for entry in self.entries.values():
            if entry.match and fnmatchcase(plain, entry.match):
                return entry
        return self._named(route.dataset)

    def _named(self, name: str) -> Dataset:
        entry = self.entries.get(name)
        if entry is not None and entry.match is None:
            return entry
        if entry is not None:
            raise Rejected(ErrorCode.DATASET_INVALID, f"the key does not match the glob of dataset {name} in datasets.toml")
        try:
            return Dataset.model_validate({**self._defaults, "name": name})
        except ValidationError as error:
            raise Rejected(ErrorCode.DATASET_INVALID, f"dataset {name} needs an entry in datasets.toml: {_reason(error)}") from None


def parse(text: str) -> Datasets:
    """Parse datasets.toml.

    Raises:
        DatasetsError: it is no TOML, or says something that we don't understand.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DatasetsError(str(error)) from None
    unknown = sorted(set(document) - {"defaults", "datasets"})
    if unknown:
        raise DatasetsError(at(text, unknown[0], None, "is neither [defaults] nor [datasets.<name>]"))
    defaults, tables = document.get("defaults", {}), document.get("datasets", {})
    _checked(text, "defaults", Options, defaults, {})
    return Datasets(defaults, {name: _entry(text, name, table, defaults) for name, table in _tables(tables).items()})


def _tables(tables: Any) -> dict[str, Any]:
    if not isinstance(tables, dict):
        raise DatasetsError("datasets: must be tables [datasets.<name>]")
    return tables


def _entry(text: str, name: str, table: Any, defaults: dict[str, Any]) -> Dataset:
    section = f"datasets.{name}"
    if isinstance(table, dict) and "name" in table:
        raise DatasetsError(at(text, section, "name", "is not an option: the table's own name is the dataset's"))
    entry: Dataset = _checked(text, section, Dataset, table, {**defaults, "name": name})
    return entry


def _checked(text: str, section: str, model: type[BaseModel], said: Any, base: dict[str, Any]) -> Any:
    if not isinstance(said, dict):
        raise DatasetsError(at(text, section, None, "must be a table"))
    try:
        return model.model_validate({**base, **said})
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0]) if first["loc"] else None
        raise DatasetsError(at(text, section, option, _reason(error))) from None


def _reason(error: ValidationError) -> str:
    first = error.errors()[0]
    return "is not an option" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
