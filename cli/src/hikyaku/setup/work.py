"""Makes what is missing and mends what is there, or with `check` only says so."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from hikyaku.errors import UserError
from hikyaku.setup import dotenv, environment, files, inventory, laptop
from hikyaku.setup.environment import Env
from hikyaku.setup.files import Place, Rights
from hikyaku.setup.inventory import Found
from hikyaku.setup.layout import LAPTOPS_READERS, READERS, SECRETS, Host, config_rights, env_rights, file_rights, folder_rights
from hikyaku.setup.report import Report, Row, State
from hikyaku.setup.urls import Decision

TEMPLATE = "redis/users.acl.template"
EVERYONE = "all services"


@dataclass(slots=True)
class Work:
    """One run on one host.

    Attributes:
        host: where.
        check: write nothing.
        local: make a laptop's world.
        stack: CloudFormation's stack to ask for `.env`, empty for none.
        report: what is told at the end.
    """

    host: Host
    check: bool
    local: bool
    stack: str
    report: Report = field(default_factory=Report)

    def run(self, wait: Callable[[], object]) -> Report:
        """All of it. Everything is decided before the first file is written.

        Args:
            wait: called before waiting for another run on the same secrets.
        """
        with self._alone(wait):
            found = inventory.look(self.host.secrets)
            self._guard(found)
            env = None if self.local else environment.plan(self.host, self.stack)
            decision = inventory.decide(found, self._shipped(TEMPLATE), local=self.local)
            demo = self._shipped("demo/datasets.toml") if self.local else ""
            self._secrets(found, decision)
            self._config(demo)
            if env:
                self._env(env)
                self._ask(found, decision, env)
            made = {} if self.check else decision.make
            self.report.recipients = inventory.recipients({**found.texts, **made})
            self.report.signers = {**found.texts, **made}.get(inventory.RECEIPT_SIGNERS, "").strip()
        return self.report

    @contextmanager
    def _alone(self, wait: Callable[[], object]) -> Iterator[None]:
        """No other run while this one looks, decides and writes: passwords of two runs must never mix."""
        place = self.host.secrets
        if self.check and files.status(place) is None:
            yield
            return
        self._folder(place, SECRETS, "")
        with files.locked(place, wait):
            yield

    def _guard(self, found: Found) -> None:
        texts = {**dict.fromkeys(found.links, ""), **found.texts}
        if self.local:
            env = (files.read(self.host.env) or b"").decode(errors="replace")
            laptop.refuse_production(texts, dotenv.parse(env))
        else:
            laptop.refuse_laptop(texts)

    def _shipped(self, name: str) -> str:
        path = self.host.folder / name
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}.", hint="It belongs to the project: put it back.", exit_code=2) from error

    def _secrets(self, found: Found, decision: Decision) -> None:
        folders = LAPTOPS_READERS if self.local else READERS
        for folder, reader in folders.items():
            self._folder(self.host.secrets / folder, folder_rights(folder), reader)
        rows = {path: self._new(path, text) for path, text in decision.make.items()}
        rows |= {path: self._existing(path) for path in found.texts if _folder_of(path) in folders}
        rows |= {path: self._row(self.host.secrets / path, State.KEPT, _reader(path)) for path in found.links}
        rows |= {path: self._row(self.host.secrets / path, State.MISSING, _reader(path)) for path in self._missing(found, decision)}
        order = list(folders)
        self.report.rows += [rows[path] for path in sorted(rows, key=lambda path: (order.index(_folder_of(path)), path))]

    def _missing(self, found: Found, decision: Decision) -> list[str]:
        credentials = (
            [] if self.local else [path for role, path in inventory.CREDENTIALS.items() if inventory.needs_credentials(found, role)]
        )
        return [*decision.ask, *credentials]

    def _config(self, demo: str) -> None:
        host = self.host
        self._folder(host.config, config_rights(host), EVERYONE, always=True)
        signers = host.config / "allowed_signers"
        if not self.local and files.status(signers) is None:
            self.report.later.append(
                f"The senders' own public keys go into {host.name(signers)}, before their first files: docs/security.md"
            )
        if self.local:
            place = host.config / "datasets.toml"
            rights = Rights(*host.owner(), mode=0o644, needed=0, allowed=0o7777, anyones=True)
            is_there = files.status(place) is not None
            if not is_there and not self.check:
                files.create(place, laptop.datasets(demo).encode(), rights)
            self.report.rows.append(self._row(place, State.KEPT if is_there else self._done(State.MADE), "decryptor, loader"))

    def _env(self, env: Env) -> None:
        if not self.check and env.is_new:
            files.create(self.host.env, env.content(), env_rights(self.host))
        elif not self.check and env.filled:
            files.replace(self.host.env, env.content())
        state = self._done(State.MADE) if env.is_new else State.FILLED if env.filled and not self.check else State.KEPT
        note = "" if self.check else ", ".join(env.filled)
        self.report.rows.append(self._row(self.host.env, state, "docker compose", note))

    def _ask(self, found: Found, decision: Decision, env: Env) -> None:
        host, asked = self.host, self.report.asked
        for role, path in inventory.CREDENTIALS.items():
            if inventory.needs_credentials(found, role):
                asked[host.name(host.secrets / path)] = f"access key of the AWS user of the {role}: aws/README.md"
        asked |= {host.name(host.secrets / path): how for path, how in decision.ask.items()}
        asked |= {f"{name} in {host.name(host.env)}": how for name, how in env.asked.items()}

    def _folder(self, place: Place, rights: Rights, reader: str, *, always: bool = False) -> None:
        """Make or mend a folder; it has a row of its own when something was wrong with it, or `always`."""
        found = files.folder_status(place)
        problem = rights.problem(found) if found else ""
        state = State.MADE if found is None else State.MENDED if problem else State.KEPT
        if not self.check:
            if found is None:
                files.make_folder(place, rights)
            elif problem:
                files.mend(place, rights)
        if problem or always:
            self.report.rows.append(self._row(place, self._done(state), reader, problem))

    def _new(self, path: str, text: str) -> Row:
        place = self.host.secrets / path
        if not self.check:
            files.create(place, text.encode(), file_rights(_folder_of(path)))
        return self._row(place, self._done(State.MADE), _reader(path))

    def _existing(self, path: str) -> Row:
        place, rights = self.host.secrets / path, file_rights(_folder_of(path))
        found = files.status(place)
        problem = rights.problem(found) if found else ""
        if problem and not self.check:
            files.mend(place, rights)
        return self._row(place, self._done(State.MENDED) if problem else State.KEPT, _reader(path), problem)

    def _done(self, state: State) -> State:
        """The state, or what it would have been without a check."""
        return _UNDONE.get(state, state) if self.check else state

    def _row(self, place: Place, state: State, reader: str, note: str = "") -> Row:
        return Row(self.host.name(place), state, reader, note)


_UNDONE: Mapping[State, State] = {State.MADE: State.MISSING, State.MENDED: State.WRONG}


def _folder_of(path: str) -> str:
    return path.rpartition("/")[0]


def _reader(path: str) -> str:
    return LAPTOPS_READERS[_folder_of(path)]


def root_needed(euid: int) -> None:
    """Stop where files could not be given to their readers.

    Raises:
        UserError: this is not root.
    """
    if euid:
        message = "The secrets belong to uid 10001 and 999, whom only root can give files to."
        raise UserError(message, hint="Run: docker compose run --rm setup   (or, without Docker: sudo hikyaku setup)")
