"""docs/datasets.md and the JSON Schema say what the model says, and the page's examples hold."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from shared import datasets_reference
from shared.datasets import Dataset, Entry, Mode, Options, parse

ROOT = Path(__file__).parents[2]
PAGE, SCHEMA = ROOT / "docs/datasets.md", ROOT / "docs/datasets.schema.json"
STALE = "run `python -m shared.datasets_reference docs`"
FIRST_LINE = "#:schema ../docs/datasets.schema.json"


def test_the_page_and_the_schema_are_not_stale() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert datasets_reference.with_tables(page) == page, STALE
    assert datasets_reference.schema() == SCHEMA.read_text(encoding="utf-8"), STALE


def test_writing_them_again_changes_what_is_stale_and_no_more(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    (tmp_path / "datasets.md").write_text(page.replace("| `mode` |", "| `mood` |"), encoding="utf-8")
    assert datasets_reference.main([str(tmp_path)]) == 0
    assert (tmp_path / "datasets.md").read_text(encoding="utf-8") == page
    assert (tmp_path / "datasets.schema.json").read_bytes() == SCHEMA.read_bytes()
    (tmp_path / "datasets.md").write_text("no place for tables\n", encoding="utf-8")
    with pytest.raises(ValueError, match="lacks the comments"):
        datasets_reference.main([str(tmp_path)])


def test_every_option_and_every_value_says_what_it_means() -> None:
    for name, field in Entry.model_fields.items():
        assert len(field.description or "") > 5, name
    page = PAGE.read_text(encoding="utf-8")
    for values in (type(field.default) for field in Options.model_fields.values() if isinstance(field.default, str)):
        if values is not str:
            assert datasets_reference.meanings(values).keys() == {str(value) for value in values}
    for name in Entry.model_fields:
        assert page.count(f"| `{name}` |") == 1


def test_meanings_are_the_docstrings_below_the_members() -> None:
    assert list(datasets_reference.meanings(Mode)) == ["upsert", "append", "replace"]
    assert datasets_reference.meanings(Mode)["append"] == "All rows stay."


EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_the_page_are_right(example: str) -> None:
    parse(example)


@pytest.mark.parametrize("path", ["demo/datasets.toml", "cli/src/hikyaku/setup/datasets.py"])
def test_what_we_ship_tells_editors_of_the_schema(path: str) -> None:
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    assert FIRST_LINE in lines[:4]


# The schema is held against the model with the few words of JSON Schema that it uses.


KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "array": (list,),
    "object": (dict,),
}


def accepts(schema: dict[str, Any], value: Any, document: dict[str, Any]) -> bool:
    if "$ref" in schema:
        return accepts(document["definitions"][schema["$ref"].removeprefix("#/definitions/")], value, document)
    if isinstance(value, int | float) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        return False
    if "anyOf" in schema:
        return any(accepts(choice, value, document) for choice in schema["anyOf"])
    if not isinstance(value, KINDS[schema["type"]]) or (isinstance(value, bool) and schema["type"] != "boolean"):
        return False
    if isinstance(value, str):
        return value in schema.get("enum", [value]) and re.search(schema.get("pattern", ""), value) is not None
    items = [accepts(schema["items"], item, document) for item in value] if isinstance(value, list) else []
    members = [_accepts_item(schema, *pair, document) for pair in value.items()] if isinstance(value, dict) else []
    return all([*items, *members])


def _accepts_item(schema: dict[str, Any], name: str, item: Any, document: dict[str, Any]) -> bool:
    if name in schema.get("properties", {}):
        return accepts(schema["properties"][name], item, document)
    for pattern, inner in schema.get("patternProperties", {}).items():
        if re.search(pattern, name):
            return accepts(inner, item, document)
    further = schema.get("additionalProperties", False)
    return accepts(further, item, document) if isinstance(further, dict) else bool(further)


@pytest.mark.parametrize("text", [*EXAMPLES, (ROOT / "demo/datasets.toml").read_text(encoding="utf-8")])
def test_the_schema_takes_what_is_right(text: str) -> None:
    document = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert accepts(document, tomllib.loads(text), document)


@pytest.mark.parametrize(
    "line",
    [
        "mode = 'merge'",
        "tabel = 'a'",
        "table = 'a.b.c'",
        "header = 'maybe'",
        "header = 1",
        "delimiter = ';;'",
        "delimiter = 'n'",
        "quote = '|'",
        "null = 1",
        'null = "a\\nb"',
        "key = ['']",
        "columns = [1]",
        "rename = {a = 1}",
        "datestyle = 'DMY'",
        "timezone = 'a b'",
        "max_bytes = '1'",
        "max_bytes = 0",
        "max_record_bytes = 67108865",
        "max_rejected_rows = -1",
        "signature = true",
        "senders = 'a,b'",
    ],
)
def test_the_schema_refuses_what_the_model_refuses(line: str) -> None:
    document = json.loads(SCHEMA.read_text(encoding="utf-8"))
    table = tomllib.loads(line)
    assert not accepts(document, {"datasets": {"a": table}}, document)
    with pytest.raises(ValueError, match="validation error"):
        Dataset.model_validate({"name": "a", **table})


def test_the_defaults_take_no_options_of_one_dataset() -> None:
    document = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert accepts(document, {"defaults": {"mode": "append"}}, document)
    assert not accepts(document, {"defaults": {"table": "a"}}, document)
    assert not accepts(document, {"default": {}}, document)
