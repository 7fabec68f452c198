"""Keys that try to be more than names: of objects that are there, of objects that are not, and of datasets."""

from collections.abc import Callable

from hostile.case import IGNORED, LOADED, Case, told

NAMES = {
    "parent": "../a",
    "parents": "../../../../etc/passwd",
    "parent within": "a/../b",
    "encoded parent": "%2e%2e%2fa",
    "encoded NUL": "a%00b",
    "encoded line end": "a%0d%0ab",
    "half an encoding": "100%",
    "no encoding": "%zz",
    "plus": "1+1=2",
    "line end": "a\nINFO forged",
    "CR": "a\rb",
    "ANSI": "\x1b[31mred\x1b[0m",
    "ANSI title": "\x1b]0;owned\x07",
    "one byte ANSI": "\x9b31m",
    "bell": "\x07",
    "delete": "a\x7fb",
    "C1": "a\x85b",
    "markup": "[red]x[/red]",
    "markup that closes nothing": "[/x]",
    "markup link": "[link=https://x.invalid]y[/link]",
    "single quote": "it's",
    "double quote": 'a"b',
    "SQL": "'; DROP TABLE hikyaku.files; --",
    "SQL comment": "a/*b*/",
    "dollar quoting": "$$;SELECT 1;$$",
    "percent format": "%s%s%n%(x)s",
    "brace format": "{0.__class__}{}",
    "lookup": "${jndi:ldap://x.invalid/a}",
    "shell": "$(touch x)`id`;|&",
    "option": "-rf",
    "home": "~root",
    "wildcards": "*?[a]",
    "fragment": "a#b",
    "query": "a?versionId=b",
    "entities": "&lt;&<>",
    "backslash": "a\\..\\b",
    "right to left": "a\u202egpj",
    "zero width": "a\u200bb",
    "byte order mark": "\ufeffa",
    "no character": "a\ufffeb",
    "wide space": "2026年　夏",
    "combining": "か\u3099",
    "emoji": "🚚\u200d🔥",
    "private": "\ue000",
    "tag": "a\U000e0041",
    "empty folder": "/a",
    "folders": "/".join("a" * 200),
    "JSON": '{"a":"b"}',
    "device": "con",
    "spaces": "  a  ",
    "1,024 bytes": "",
    "1,024 bytes of kanji": "",
}
LOOK_ALIKE = {
    "no prefix": "hostile/a.csv.gz.age",
    "capital": "Incoming/hostile/a.csv.gz.age",
    "Cyrillic": "іncoming/hostile/a.csv.gz.age",
    "full-width slash": "incoming／hostile/a.csv.gz.age",
    "slash first": "/incoming/hostile/a.csv.gz.age",
    "longer": "incoming2/hostile/a.csv.gz.age",
    "line end behind": "incoming/hostile/a.csv.gz.age\n",
    "space behind": "incoming/hostile/a.csv.gz.age ",
    "capital suffix": "incoming/hostile/a.csv.gz.AGE",
    "one more suffix": "incoming/hostile/a.csv.gz.age.exe",
    "right to left": "incoming/hostile/\u202eega.zg.vsc.a",
    "receipt": "receipts/incoming/hostile/a.csv.gz.age.json",
    "out of it": "incoming/../outgoing/a.csv",
}
DATASETS = {
    "no dataset": ("incoming/a.csv.gz.age", "dataset_invalid"),
    "no dataset, dry run": ("incoming/test/a.csv.gz.age", "dataset_invalid"),
    "empty dataset": ("incoming//a.csv.gz.age", "dataset_invalid"),
    "parent as dataset": ("incoming/../{dataset}/a.csv.gz.age", "table_unknown"),
    "full-width prefix within": ("incoming/{dataset}／a/a.csv.gz.age", "table_unknown"),
    "SQL as dataset": ("incoming/x; DROP TABLE {dataset}; --/a.csv.gz.age", "table_unknown"),
    "quotes as dataset": ('incoming/"{dataset}"/a.csv.gz.age', "table_unknown"),
    "capital dataset": ("incoming/HOSTILE/a.csv.gz.age", "table_unknown"),
    "our own schema": ("incoming/hikyaku.files/a.csv.gz.age", "table_unknown"),
    "the catalogue": ("incoming/pg_catalog.pg_class/a.csv.gz.age", "table_unknown"),
    "markup as dataset": ("incoming/[red]x[/a.csv.gz.age", "table_unknown"),
    "ANSI as dataset": ("incoming/\x1b[31m/a.csv.gz.age", "table_unknown"),
    "Japanese dataset": ("incoming/受注/a.csv.gz.age", "table_unknown"),
    "dataset of 900 bytes": ("incoming/" + "x" * 900 + "/a.csv.gz.age", "table_unknown"),
    "test as dataset, twice": ("incoming/test/test/a.csv.gz.age", "table_unknown"),
}
LONGEST = 1024


def key(dataset: str, name: str, number: int) -> str:
    """The whole key: as many as there may be bytes where the name is empty."""
    start, end = f"incoming/{dataset}/{number}-", ".csv.gz.age"
    if name:
        return f"{start}{name}{end}"
    room = LONGEST - len(start) - len(end)
    return f"{start}{('座' * (room // 3) if number % 2 else '').ljust(room // 3 if number % 2 else room, 'x')}{end}"


def put(dataset: str, sealed: Callable[[], bytes]) -> list[Case]:
    """Objects of such names: every other one is a good file, and loads all the same."""
    return [
        Case(name=f"{what}: {'good' if good else 'bad'} file", expected=LOADED if good else "age_header_invalid", key=made, content=data)
        for number, (what, name) in enumerate(NAMES.items())
        for good in (number % 2 == 0,)
        for made in (key(dataset, name, number),)
        for data in (sealed() if good else b"no age file",)
    ]


def absent(dataset: str) -> list[Case]:
    """Events of objects that are not there."""
    return [
        Case(
            name=f"{what}: absent",
            expected="object_missing",
            key=key(dataset, name.replace("%00", "%01"), number),
            version=f"absent-{number}{odd}",
            message=told,
        )
        for number, (what, name) in enumerate(NAMES.items())
        for odd in ("\x01" if number % 8 == 1 else "",)
    ]


def look_alike() -> list[Case]:
    """Events of keys that look as if they were ours."""
    return [
        Case(name=what, expected=IGNORED, key=name, version=f"alike-{number}", message=told)
        for number, (what, name) in enumerate(LOOK_ALIKE.items())
    ]


def datasets(dataset: str, sealed: Callable[[], bytes]) -> list[Case]:
    """Good files in folders that are no dataset."""
    return [Case(name=what, expected=code, key=name.format(dataset=dataset), content=sealed()) for what, (name, code) in DATASETS.items()]
