"""`python -m shared.datasets_reference [docs]`: write docs/datasets.md's tables of options, and docs/datasets.schema.json for editors.

The model's docstrings are the one source of both.
"""

import ast
import inspect
import json
import sys
import textwrap
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from shared.datasets import GIB, MIB, Entry, Options
from shared.datasets_values import Fits

if TYPE_CHECKING:
    from pydantic_core import core_schema

PAGE, SCHEMA = "datasets.md", "datasets.schema.json"
BEGIN = "<!-- The tables are written by `python -m shared.datasets_reference docs` from the model in shared/src/shared/datasets.py. -->"
END = "<!-- The end of the tables. -->"


def main(arguments: list[str]) -> int:
    """Run as a program, in the checkout."""
    folder = Path(arguments[0] if arguments else "docs")
    page = folder / PAGE
    page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
    (folder / SCHEMA).write_text(schema(), encoding="utf-8")
    return 0


def with_tables(page: str) -> str:
    """The page with the tables as they should be now.

    Raises:
        ValueError: the page has no place for them.
    """
    before, _, rest = page.partition(BEGIN)
    if END not in rest:
        raise ValueError(f"{PAGE} lacks the comments between which the tables stand")
    own = {name: field for name, field in Entry.model_fields.items() if name not in Options.model_fields}
    tables = f"In an entry only:\n\n{_table(own)}\n\nIn an entry, or in `[defaults]` for all:\n\n{_table(Options.model_fields)}"
    return f"{before}{BEGIN}\n\n{tables}\n\n{END}{rest.partition(END)[2]}"


def schema() -> str:
    """JSON Schema of a datasets.toml (draft 7, which TOML editors read)."""
    references, definitions = models_json_schema(
        [(Options, "validation"), (Entry, "validation")], schema_generator=_Generator, ref_template="#/definitions/{model}"
    )
    found = definitions["$defs"]
    enums = {f"#/definitions/{name}": part for name, part in found.items() if "enum" in part}
    document = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "datasets.toml of hikyaku",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "defaults": references[Options, "validation"],
            "datasets": {"type": "object", "additionalProperties": references[Entry, "validation"]},
        },
        "definitions": {model.__name__: _definition(model, _inlined(found[model.__name__], enums)) for model in (Options, Entry)},
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


class _Generator(GenerateJsonSchema):
    """Tells the expressions that texts must match, and leaves out titles, which say nothing more than the names."""

    def function_after_schema(self, schema: "core_schema.AfterValidatorFunctionSchema") -> dict[str, Any]:
        function = schema["function"]["function"]
        inner = super().function_after_schema(schema)
        return {**inner, "pattern": f"^(?:{function.expression})$"} if isinstance(function, Fits) else inner

    def get_title_from_name(self, name: str) -> str:  # noqa: ARG002 - the base class's signature
        return ""


def _definition(model: type[Options], part: dict[str, Any]) -> dict[str, Any]:
    for name, field in model.model_fields.items():
        said = part["properties"][name]
        if field.default is None:
            # "Not given" is a value in Python; TOML has none.
            del said["default"]
            said |= next(kind for kind in said.pop("anyOf") if kind["type"] != "null")
        said["description"] = _meaning(field)
    return part


def _inlined(part: Any, enums: dict[str, Any]) -> Any:
    """Enums where they are used: before draft 2019-09, what stands beside a `$ref` counts for nothing."""
    if isinstance(part, list):
        return [_inlined(item, enums) for item in part]
    if not isinstance(part, dict):
        return part
    kept = {name: _inlined(value, enums) for name, value in part.items() if name != "title" or not isinstance(value, str)}
    enum = enums.get(kept.get("$ref", ""))
    if enum is None:
        return kept
    del kept["$ref"]
    return {"type": "string", "enum": enum["enum"], **kept}


def _table(fields: dict[str, FieldInfo]) -> str:
    rows = [f"| `{name}` | {_default(field.default)} | {_cell(_meaning(field))} |" for name, field in fields.items()]
    return "\n".join(["| option | default | meaning |", "|---|---|---|", *rows])


def _default(value: object) -> str:
    if isinstance(value, tuple) and len(value) == 1:
        return f'`"{value[0]}"`'
    for size, name in ((GIB, "GiB"), (MIB, "MiB")):
        if isinstance(value, int) and value and value % size == 0:
            return f"{value // size} {name}"
    return "–" if value in (None, "", (), {}) else f"`{value}`"


def _meaning(field: FieldInfo) -> str:
    said = " ".join((field.description or "").split())
    values = field.annotation
    if not (isinstance(values, type) and issubclass(values, StrEnum)):
        return said
    parts = (f"`{value}`: {_within_a_sentence(text)}" for value, text in meanings(values).items())
    return f"{said} {' '.join(parts)}"


def _within_a_sentence(text: str) -> str:
    return text if text[:2].isalpha() and text[:2].isupper() else f"{text[:1].lower()}{text[1:]}"


def meanings(enum: type[StrEnum]) -> dict[str, str]:
    """The docstrings below an enum's members, by value."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(enum))).body
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    found = {}
    for member, below in pairwise(body):
        if isinstance(member, ast.Assign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            found[str(ast.literal_eval(member.value))] = " ".join(str(below.value.value).split())
    return found


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
