"""The services' time limits beside one another, as the doctor sees them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from decryptor.settings import DecryptorSettings
from hikyaku.operator import places
from hikyaku.operator.doctor import registry, timeouts
from hikyaku.operator.doctor.finding import Finding, Level
from hikyaku.operator.doctor.scope import Scope
from hikyaku.operator.settings import OperatorSettings
from loader.settings import LoaderSettings
from poller.settings import PollerSettings

SETTINGS = {"poller": PollerSettings, "decryptor": DecryptorSettings, "loader": LoaderSettings}
Look = Callable[..., list[Finding]]


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """Looks at a host whose services have these lines, by service, in their settings.env."""

    def found(**lines: str) -> list[Finding]:
        (tmp_path / "docker-compose.yml").touch()
        for service, text in lines.items():
            (tmp_path / "secrets" / service).mkdir(parents=True)
            (tmp_path / "secrets" / service / "settings.env").write_text(text, encoding="utf-8")
        return list(timeouts.look(Scope(OperatorSettings(), {}, places.look(tmp_path, {}))))

    return found


def test_the_defaults_are_the_services_own_and_fit(look: Look) -> None:
    told = {(service, name) for order in timeouts.ORDERS for service, name in (order.low, order.high)}
    for service, name in told | {(service, name) for service in timeouts.SERVICES for name in timeouts.SAME}:
        field = SETTINGS[service].model_fields[name.removeprefix("HIKYAKU_").lower()]
        assert field.default == timeouts.DEFAULTS[name], f"{service}'s {name}"
    assert look() == [Finding(Level.OK, "the services' time limits fit together")]


@pytest.mark.parametrize(
    ("said", "what", "mend"),
    [
        (
            ("poller", "HIKYAKU_TASK_DEADLINE=900"),
            "HIKYAKU_TASK_DEADLINE is not the same everywhere: poller 900 s, decryptor 600 s, loader 600 s",
            ("one HIKYAKU_TASK_DEADLINE", "poller decryptor loader"),
        ),
        (
            ("loader", "HIKYAKU_BROKER_VISIBILITY_TIMEOUT=20"),
            "HIKYAKU_BROKER_VISIBILITY_TIMEOUT is not the same everywhere: poller 60 s, decryptor 60 s, loader 20 s",
            ("one HIKYAKU_BROKER_VISIBILITY_TIMEOUT", "poller decryptor loader"),
        ),
        (
            ("loader", "HIKYAKU_LOCK_TIMEOUT=600"),
            "the loader's HIKYAKU_LOCK_TIMEOUT is 600 s, not below the poller's HIKYAKU_TASK_DEADLINE, 600 s",
            ("HIKYAKU_LOCK_TIMEOUT below HIKYAKU_TASK_DEADLINE", "loader poller"),
        ),
        (
            ("loader", "HIKYAKU_TASK_TIME_LIMIT=7200"),
            "the loader's HIKYAKU_STATEMENT_TIMEOUT is 10800 s, not below the loader's HIKYAKU_TASK_TIME_LIMIT, 7200 s",
            ("HIKYAKU_STATEMENT_TIMEOUT below HIKYAKU_TASK_TIME_LIMIT", "loader"),
        ),
        (
            ("decryptor", "HIKYAKU_DECRYPT_TIMEOUT=900"),
            "the decryptor's HIKYAKU_DECRYPT_TIMEOUT is 900 s, not below the decryptor's HIKYAKU_TASK_DEADLINE, 600 s",
            ("HIKYAKU_DECRYPT_TIMEOUT below HIKYAKU_TASK_DEADLINE", "decryptor"),
        ),
        (
            ("decryptor", "HIKYAKU_TASK_TIME_LIMIT=300"),
            "the decryptor's HIKYAKU_TASK_DEADLINE is 600 s, not below the decryptor's HIKYAKU_TASK_TIME_LIMIT, 300 s",
            ("HIKYAKU_TASK_DEADLINE below HIKYAKU_TASK_TIME_LIMIT", "decryptor"),
        ),
        (
            ("decryptor", "HIKYAKU_SPOOL_MAX_AGE=300"),
            "the poller's HIKYAKU_TASK_DEADLINE is 600 s, not below the decryptor's HIKYAKU_SPOOL_MAX_AGE, 300 s",
            ("HIKYAKU_TASK_DEADLINE below HIKYAKU_SPOOL_MAX_AGE", "poller decryptor"),
        ),
    ],
)
def test_what_does_not_fit_is_told_with_what_mends_it(look: Look, said: tuple[str, str], what: str, mend: tuple[str, str]) -> None:
    (service, line), (wanted, services) = said, mend
    [finding] = look(**{service: f"{line}\n"})
    paths = ", ".join(f"secrets/{each}/settings.env" for each in services.split())
    assert (finding.level, finding.what) == (Level.WARN, what)
    assert finding.mend == f"set {wanted} in {paths}, then: docker compose restart {services}"
    assert finding.why


def test_limits_that_were_raised_together_fit(look: Look) -> None:
    [finding] = look(
        poller="HIKYAKU_TASK_DEADLINE=1200\n",
        decryptor="HIKYAKU_TASK_DEADLINE=1200\n",
        loader="HIKYAKU_TASK_DEADLINE=1200\nHIKYAKU_LOCK_TIMEOUT=900\n",
    )
    assert finding.level is Level.OK


def test_without_the_services_files_it_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for what the environment says to all of them."""
    monkeypatch.chdir(tmp_path)

    def seen(environment: dict[str, str]) -> list[Finding]:
        scope = Scope(OperatorSettings(), environment, places.look(None, environment))
        return [each for each in registry.run(scope, {"settings"}) if "time limits" in each.what or "HIKYAKU_LOCK_TIMEOUT" in each.what]

    [finding] = seen({})
    assert (finding.level, "--dir" in finding.why) == (Level.UNKNOWN, True)
    assert [each.level for each in seen({"HIKYAKU_LOCK_TIMEOUT": "700"})] == [Level.WARN]
