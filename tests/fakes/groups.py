"""The groups' tables in memory, and what the loader's statements on them (loader/sql/group_*.sql) do. Nothing expires: there is no time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from fakes import ledger
from fakes.ledger import Pk, Row
from loader import chunks, statements

KINDS: Mapping[bytes | str, str] = {
    statements.GROUP_TAKE: "group_take",
    statements.GROUP_PARTS: "group_parts",
    statements.GROUP_JOIN: "group_join",
    statements.GROUP_ADD: "group_add",
    statements.GROUP_END: "group_end",
    statements.GROUP_FINISH: "group_finish",
    statements.GROUP_GIVE_UP: "group_give_up",
    statements.GROUP_FORGET: "group_forget",
    statements.GROUP_SIBLINGS: "group_siblings",
    chunks.PIECE: "piece",
}
"""What a statement is."""
NAME = ("dataset", "sender", "signed", "name")
Waiting = dict[tuple[int, int], bytes]


@dataclass(slots=True)
class Tables:
    """Groups, their parts and what waits: all that is committed, or what one transaction has changed."""

    groups: dict[int, Row] = field(default_factory=dict)
    parts: dict[tuple[int, int], Pk] = field(default_factory=dict)
    contents: dict[tuple[int, int], Row] = field(default_factory=dict)
    waiting: Waiting = field(default_factory=dict)
    """By group and part; nothing: forgotten."""

    def over(self, others: Self) -> Self:
        """These, where the others do not know better."""
        return type(self)(
            self.groups | others.groups, self.parts | others.parts, self.contents | others.contents, self.waiting | others.waiting
        )


class GroupStatements:
    """A session's part that knows the groups' statements; `fakes.postgres.FakeConnection` is the rest."""

    server: Any
    _files: dict[Pk, Row]
    _groups: Tables

    def lock(self, name: Any) -> None:
        """Take a lock until the end of the transaction."""
        raise NotImplementedError

    def _visible(self) -> dict[Pk, Row]:
        raise NotImplementedError

    def _tables(self) -> Tables:
        committed: Tables = self.server.groups
        return committed.over(self._groups)

    def wait_in_part(self, group_id: int, part: int, data: bytes) -> None:
        """A part waits."""
        self._groups.waiting[group_id, part] = data

    def _piece(self, _statement: str, p: tuple[int, int, int]) -> tuple[bytes] | None:
        group_id, part, number = p
        data = self._tables().waiting.get((group_id, part), b"")
        return (data,) if data and number == 0 else None

    def _group_take(self, _statement: bytes, p: dict[str, Any]) -> list[tuple[Any, ...]]:
        name = (p["dataset"], p["sender"], p["signed"], p["group"])
        self.lock(("group", *name))
        found = next((row for row in self._tables().groups.values() if tuple(row[each] for each in NAME) == name), None)
        if found is None:
            found = dict(zip(NAME, name, strict=True)) | {
                "group_id": next(self.server.clock),
                "status": "open",
                "parts": p["parts"],
                "error": None,
                "last_part": None,
            }
            self._groups.groups[found["group_id"]] = found
        return [(found["group_id"], found["status"], found["parts"], found["error"], False)]

    def _group_parts(self, _statement: bytes, p: dict[str, Any]) -> list[tuple[Any, ...]]:
        tables, files = self._tables(), self._visible()
        found = []
        for (group_id, part), pk in sorted(tables.parts.items()):
            if group_id == p["group_id"]:
                content, row = tables.contents[group_id, part], files[pk]
                sizes = (content["content_sha256"], content["csv_bytes"], content["gzip_bytes"])
                moment = datetime.fromisoformat(row["event_time"])
                order = (row["order_by"], row["order_value"], row["seq"], row["declared_rows"])
                found.append((part, *pk, *sizes, row["sequencer"], moment, *order))
        return found

    def _group_join(self, _statement: bytes, p: dict[str, Any]) -> None:
        pk = ledger.pk_of(p)
        self._files[pk] = {**self._visible()[pk], "group_id": p["group_id"], "part": p["part"]}

    def _group_add(self, _statement: bytes, p: dict[str, Any]) -> None:
        self._groups.parts[p["group_id"], p["part"]] = ledger.pk_of(p)
        self._groups.contents[p["group_id"], p["part"]] = {name: p[name] for name in ("content_sha256", "csv_bytes", "gzip_bytes")}

    def _group_end(self, _statement: bytes, p: dict[str, Any]) -> None:
        said = {name: p[name] for name in ("status", "error", "last_part")}
        self._groups.groups[p["group_id"]] = {**self._tables().groups[p["group_id"]], **said}

    def _group_finish(self, _statement: bytes, p: dict[str, Any]) -> None:
        parts = self._tables().parts
        counts = {number: counted for number, *counted in zip(p["numbers"], p["records"], p["wrong"], strict=False)}
        for pk, row in self._staged(p["group_id"]):
            is_part = parts.get((p["group_id"], row["part"])) == pk
            status = "duplicate" if p["status"] == "loaded" and not is_part else p["status"]
            now = next(self.server.clock)
            said = {name: p[name] for name in ("target", "mode", "content_sha256")}
            records, wrong = counts.get(row["part"], [None, 0]) if is_part else (None, 0)
            said |= {"rows_in_file": records, "rows_rejected": wrong}
            self._files[pk] = {**row, **said, "status": status, "loaded_at": now if status == "loaded" else None, "updated_at": now}

    def _group_give_up(self, _statement: bytes, p: dict[str, Any]) -> None:
        for group_id in p["groups"]:
            error = self._tables().groups[group_id]["error"]
            for pk, row in self._staged(group_id):
                said = {"status": "rejected", "error_code": "group_rejected", "error": error, "updated_at": next(self.server.clock)}
                self._files[pk] = {**row, **said}

    def _group_forget(self, _statement: bytes, p: dict[str, Any]) -> None:
        for group_id, part in self._tables().waiting:
            if group_id in p["groups"]:
                self._groups.waiting[group_id, part] = b""

    def _group_siblings(self, _statement: bytes, p: dict[str, Any]) -> list[tuple[Any, ...]]:
        tables, files, pk = self._tables(), self._visible(), ledger.pk_of(p)
        group_id, part = files[pk]["group_id"], files[pk]["part"]
        if group_id is None or tables.groups[group_id]["last_part"] != part or tables.parts.get((group_id, part)) != pk:
            return []
        others = [(key, row) for key, row in files.items() if row["group_id"] == group_id and key != pk and row["status"] in p["tidied"]]
        others.sort(key=lambda other: (other[1]["part"], other[0]))
        return [(key, version, row["etag"], len(others)) for (_, key, version), row in others[: p["most"]]]

    def _staged(self, group_id: int) -> list[tuple[Pk, Row]]:
        found = [(pk, row) for pk, row in self._visible().items() if row["group_id"] == group_id and row["status"] == "staged"]
        for pk, _ in found:
            self.lock(pk)
        return found
