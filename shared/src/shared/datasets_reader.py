"""Reads the tables of a datasets.toml into models, and collects everything that is wrong on the way."""

from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from shared import keys, toml_place
from shared.datasets_problems import Problem, did_you_mean, sentence
from shared.datasets_rules import Conflict, ConflictsError

D = TypeVar("D", bound=BaseModel)
M = TypeVar("M", bound=BaseModel)
Table = dict[str, Any]


class Reader(Generic[D]):
    """One reading of one file.

    Args:
        options: model of `[defaults]`.
        dataset: model of an entry; it has the field `name` besides the options.
        places: lines of the file by path.

    Attributes:
        problems: what is wrong, each thing once.
    """

    def __init__(self, options: type[BaseModel], dataset: type[D], places: Mapping[toml_place.Path, int]) -> None:
        self.problems: set[Problem] = set()
        self.places = places
        self._options = options
        self._dataset = dataset
        self._told: set[Conflict] = set()

    def read(self, document: Table) -> tuple[Table, dict[str, D]]:
        """What can be understood of `[defaults]`, and the entries that are right, by name."""
        for name in document.keys() - {"defaults", "datasets"}:
            guess = did_you_mean(name, ("defaults", "datasets")) or f" (did you mean [datasets.{name}]?)"
            self._tell((name,), f"is neither [defaults] nor [datasets.<name>]{guess}")
        defaults = self._table(("defaults",), document.get("defaults", {}))
        bad = self._checked(self._options, ("defaults",), defaults, {})[1]
        defaults = {option: value for option, value in defaults.items() if option not in bad}
        tables = self._table(("datasets",), document.get("datasets", {}))
        read = {name: self._entry(name, self._table(("datasets", name), table), defaults) for name, table in tables.items()}
        entries = {name: entry for name, entry in read.items() if entry is not None}
        self._reachable(tables)
        return defaults, entries

    def _tell(self, path: toml_place.Path, what: str) -> None:
        self.problems.add(Problem(toml_place.nearest(self.places, path), toml_place.dotted(path), what))

    def _table(self, path: toml_place.Path, value: object) -> Table:
        if isinstance(value, dict):
            return value
        self._tell(path, "must be a table: [datasets.<name>]" if path[0] == "datasets" else f"must be a table: [{path[0]}]")
        return {}

    def _entry(self, name: str, said: Table, defaults: Table) -> D | None:
        path = ("datasets", name)
        if "name" in said:
            self._tell((*path, "name"), "is not an option: the heading's name is the dataset's")
        if "rescue_column" in said and {**defaults, **said}.get("on_extra_column") != "rescue":
            self._tell((*path, "rescue_column"), 'rescue_column needs on_extra_column = "rescue"')
        said = {option: value for option, value in said.items() if option != "name"}
        return self._checked(self._dataset, path, said, {**defaults, "name": name})[0]

    def _checked(self, model: type[M], path: toml_place.Path, said: Table, base: Table) -> tuple[M | None, set[str]]:
        """The model if all is right, and the options with wrong values. What other options get wrong with them is looked for as well."""
        merged = {**base, **said}
        try:
            return model.model_validate(merged), set()
        except ValidationError as error:
            bad = self._values(error, path, said)
        # Conflicts show only where each value is right.
        try:
            model.model_validate({option: value for option, value in merged.items() if option not in bad})
        except ValidationError as error:
            self._conflicts(error, path, said, bad)
        return None, bad

    def _values(self, error: ValidationError, path: toml_place.Path, said: Table) -> set[str]:
        bad = set()
        for each in error.errors():
            if each["loc"]:
                option = str(each["loc"][0])
                bad.add(option)
                what = sentence(each, self._names(path))
                if each["type"] == "extra_forbidden":
                    what = self._unknown(path, option, said.get(option)) or what
                self._tell((*path, option), what)
        return bad

    def _names(self, path: toml_place.Path) -> Iterable[str]:
        return (self._options if path == ("defaults",) else self._dataset).model_fields.keys() - {"name"}

    def _unknown(self, path: toml_place.Path, option: str, value: object) -> str:
        """What some unknown options need to hear."""
        if path == ("defaults",) and option in self._dataset.model_fields.keys() - {"name"}:
            return "belongs to one dataset: say it in [datasets.<name>]"
        if isinstance(value, dict) and len(path) > 1:
            return f'is not an option (a name with a dot needs quotes: [datasets."{path[1]}.{option}"])'
        return ""

    def _conflicts(self, error: ValidationError, path: toml_place.Path, said: Table, bad: set[str]) -> None:
        causes = (each.get("ctx", {}).get("error") for each in error.errors())
        for conflict in (conflict for cause in causes if isinstance(cause, ConflictsError) for conflict in cause.conflicts):
            own = [option for option in conflict.options if option in said]
            # With a wrong value left out, its default may seem to be in conflict; what [defaults] gets wrong was told there.
            if not bad.intersection(conflict.options) and (own or conflict not in self._told):
                self._told.add(conflict)
                self._tell((*path, *own[:1]), conflict.what)

    def _reachable(self, tables: Table) -> None:
        """Entries that no file ever belongs to."""
        first: dict[str, str] = {}
        for name, table in tables.items():
            match = table.get("match") if isinstance(table, dict) else None
            if isinstance(match, str) and first.setdefault(match, name) != name:
                self._tell(("datasets", name, "match"), f"no file ever comes here: datasets.{first[match]} matches the same keys before")
            if match is None and (name == keys.DRY_RUN or "/" in name or not name):
                self._tell(("datasets", name), f"no file ever comes here: {keys.INCOMING}{name}/ is no dataset's folder; give it match")
