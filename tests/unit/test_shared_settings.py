import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from decryptor.settings import DecryptorSettings
from poller.settings import PollerSettings
from shared.flower import FlowerSettings
from shared.settings import HINT_FILES, HINT_VALUES, AwsSettings, CommonSettings, WorkerSettings, load

URL = "redis://poller:s3cret-pass@127.0.0.1:6379/0"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the surroundings leaks in; a host's name is no part of these tests."""
    for name in list(os.environ):
        if name.startswith("HIKYAKU_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HIKYAKU_INSTANCE", "p1")


def problems(capsys: pytest.CaptureFixture[str], settings_class: type[CommonSettings]) -> list[str]:
    """Problems that `load` names in the environment as it is."""
    return [line.strip() for line in complaint(capsys, settings_class) if line.startswith(" ")]


def complaint(capsys: pytest.CaptureFixture[str], settings_class: type[CommonSettings]) -> list[str]:
    """All that `load` writes below its first line."""
    with pytest.raises(SystemExit) as caught:
        load(settings_class)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert "python-dotenv" not in err
    return err.splitlines()[1:]


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIKYAKU_REDIS_URL", URL)
    monkeypatch.setenv("HIKYAKU_LOG_FORMAT", "json")
    settings = load(CommonSettings)
    assert settings.redis_url.get_secret_value() == URL
    assert (settings.instance, settings.log_format, settings.log_level) == ("p1", "json", "INFO")


def test_all_problems_are_named_at_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HIKYAKU_QUEUE_URL", "https://sqs.invalid/q")
    monkeypatch.setenv("HIKYAKU_LOG_LEVEL", "LOUD")
    monkeypatch.setenv("HIKYAKU_VISIBILITY_TIMEOUT", "soon")
    monkeypatch.setenv("HIKYAKU_RECEIVE_WAIT", "21")
    named = problems(capsys, PollerSettings)
    assert {line.partition(":")[0] for line in named} == {
        "HIKYAKU_REDIS_URL",
        "HIKYAKU_DLQ_URL",
        "HIKYAKU_BUCKET",
        "HIKYAKU_LOG_LEVEL",
        "HIKYAKU_VISIBILITY_TIMEOUT",
        "HIKYAKU_RECEIVE_WAIT",
    }
    assert "HIKYAKU_REDIS_URL: is not set" in named


@pytest.mark.parametrize("seconds", ["0", "-1", "21"])
def test_sqs_is_asked_by_long_polls_only(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], seconds: str) -> None:
    """A wait of 0 would be a busy loop that is billed by the request."""
    monkeypatch.setenv("HIKYAKU_RECEIVE_WAIT", seconds)
    assert any(line.startswith("HIKYAKU_RECEIVE_WAIT: ") for line in problems(capsys, PollerSettings))


@pytest.mark.parametrize("settings_class", [PollerSettings, DecryptorSettings])
@pytest.mark.parametrize("region", [None, ""])
def test_a_missing_region_is_named_with_all_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], settings_class: type[AwsSettings], region: str | None
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
        if region is not None:
            monkeypatch.setenv(name, region)
    named = problems(capsys, settings_class)
    assert {"AWS_REGION: is not set", "HIKYAKU_REDIS_URL: is not set"} <= set(named)
    assert len(named) > 2


@pytest.mark.parametrize(
    ("variables", "region"),
    [
        ({"AWS_REGION": "eu-north-1"}, "eu-north-1"),
        ({"AWS_DEFAULT_REGION": "eu-south-1"}, "eu-south-1"),
        ({"AWS_REGION": "eu-north-1", "AWS_DEFAULT_REGION": "eu-south-1"}, "eu-north-1"),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": "eu-south-1"}, "eu-south-1"),
    ],
)
def test_either_variable_names_the_region(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], region: str) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("HIKYAKU_REDIS_URL", URL)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert load(AwsSettings).aws_region == region


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HIKYAKU_REDIS_URL", "")
    assert problems(capsys, CommonSettings) == ["HIKYAKU_REDIS_URL: is not set"]


@pytest.mark.parametrize("text", [URL, URL + "\n", URL + "\r\n"])
def test_a_setting_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    path = tmp_path / "redis_url"
    path.write_bytes(text.encode())
    monkeypatch.setenv("HIKYAKU_REDIS_URL_FILE", str(path))
    assert load(CommonSettings).redis_url.get_secret_value() == URL


def test_only_the_line_break_is_taken_from_a_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "auth"
    path.write_text(" user:pass word \n")
    monkeypatch.setenv("HIKYAKU_REDIS_URL", URL)
    monkeypatch.setenv("HIKYAKU_FLOWER_AUTH_FILE", str(path))
    assert load(FlowerSettings).flower_auth.get_secret_value() == " user:pass word "


def test_the_variable_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "bucket"
    path.write_text("redis://other.invalid")
    monkeypatch.setenv("HIKYAKU_REDIS_URL_FILE", str(path))
    monkeypatch.setenv("HIKYAKU_REDIS_URL", URL)
    assert load(CommonSettings).redis_url.get_secret_value() == URL


def test_a_number_from_a_file_is_a_number(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "number"
    path.write_text("33\n")
    monkeypatch.setenv("HIKYAKU_REDIS_URL", URL)
    monkeypatch.setenv("HIKYAKU_BROKER_VISIBILITY_TIMEOUT_FILE", str(path))
    assert load(CommonSettings).broker_visibility_timeout == 33


def test_a_missing_file_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "nowhere"
    monkeypatch.setenv("HIKYAKU_REDIS_URL_FILE", str(path))
    assert problems(capsys, CommonSettings) == [f"HIKYAKU_REDIS_URL_FILE: {path}: No such file or directory"]


def test_a_missing_file_hides_no_other_problem(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    monkeypatch.setenv("HIKYAKU_REDIS_URL_FILE", str(tmp_path / "nowhere"))
    monkeypatch.setenv("HIKYAKU_FLOWER_AUTH_FILE", str(tmp_path))
    monkeypatch.setenv("HIKYAKU_LOG_LEVEL", "LOUD")
    named = problems(capsys, FlowerSettings)
    assert sorted(line.partition(":")[0] for line in named) == ["HIKYAKU_FLOWER_AUTH_FILE", "HIKYAKU_LOG_LEVEL", "HIKYAKU_REDIS_URL_FILE"]


def test_an_unreadable_file_of_an_optional_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("HIKYAKU_REDIS_URL", URL)
    monkeypatch.setenv("HIKYAKU_LOG_LEVEL_FILE", str(tmp_path / "nowhere"))
    assert [line.partition(":")[0] for line in problems(capsys, CommonSettings)] == ["HIKYAKU_LOG_LEVEL_FILE"]


def test_a_file_that_is_no_text_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "binary"
    path.write_bytes(b"\xff\xfe\x00")
    monkeypatch.setenv("HIKYAKU_REDIS_URL_FILE", str(path))
    assert problems(capsys, CommonSettings) == [f"HIKYAKU_REDIS_URL_FILE: {path}: is not UTF-8 text"]


def test_no_secret_is_echoed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HIKYAKU_REDIS_URL", URL)
    monkeypatch.setenv("HIKYAKU_FLOWER_AUTH", "user:hunter2")
    settings = load(FlowerSettings)
    shown = f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}"
    assert "s3cret-pass" not in shown
    assert "hunter2" not in shown
    monkeypatch.setenv("HIKYAKU_LOG_LEVEL", "s3cret-in-the-wrong-place")
    with pytest.raises(SystemExit):
        load(FlowerSettings)
    assert "s3cret" not in capsys.readouterr().err
    with pytest.raises(ValidationError) as caught:
        FlowerSettings()
    assert "s3cret" not in str(caught.value), "not in a traceback either"


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("poller:s3cret-pass@127.0.0.1", id="no scheme"),
        pytest.param("http://poller:s3cret-pass@127.0.0.1", id="another scheme"),
        pytest.param("redis://poller:s3cret-pass@127.0.0.1:99999/0", id="no such port"),
        pytest.param("redis://poller:s3cret/pass@127.0.0.1:6379/0", id="unescaped slash"),
        pytest.param("rediss://poller:s3cret@127.0.0.1/0?ssl_cert_reqs=none", id="verification turned off"),
    ],
)
def test_an_address_that_is_no_redis_is_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    monkeypatch.setenv("HIKYAKU_REDIS_URL", url)
    [line] = problems(capsys, CommonSettings)
    assert line.startswith("HIKYAKU_REDIS_URL: ")
    assert "s3cret" not in line


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "p1\n", "a/b"])
def test_an_instance_is_a_plain_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """It is part of a queue's name, of a key in Redis and of a worker's host name."""
    monkeypatch.setenv("HIKYAKU_REDIS_URL", URL)
    monkeypatch.setenv("HIKYAKU_INSTANCE", name)
    if name:
        assert [line.partition(":")[0] for line in problems(capsys, CommonSettings)] == ["HIKYAKU_INSTANCE"]
    else:
        assert load(CommonSettings).instance, "empty is not set: the host's name"


def test_a_worker_needs_its_paths(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HIKYAKU_REDIS_URL", URL)
    monkeypatch.setenv("HIKYAKU_CONCURRENCY", "0")
    named = {line.partition(":")[0] for line in problems(capsys, WorkerSettings)}
    assert named == {"HIKYAKU_SPOOL_DIR", "HIKYAKU_DATASETS", "HIKYAKU_CONCURRENCY"}


def test_settings_do_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIKYAKU_REDIS_URL", URL)
    with pytest.raises(ValueError, match="frozen"):
        load(CommonSettings).instance = "other"  # type: ignore[misc]  # that is the test


# What to do


def test_a_missing_secret_comes_with_what_makes_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("HIKYAKU_REDIS_URL_FILE", str(tmp_path / "nowhere"))
    assert complaint(capsys, CommonSettings)[1:] == [HINT_FILES]


def test_a_missing_value_comes_with_where_it_goes(capsys: pytest.CaptureFixture[str]) -> None:
    assert complaint(capsys, CommonSettings)[1:] == [HINT_VALUES]


def test_a_wrong_value_needs_no_hint(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HIKYAKU_REDIS_URL", URL)
    monkeypatch.setenv("HIKYAKU_LOG_LEVEL", "LOUD")
    assert len(complaint(capsys, CommonSettings)) == 1


# The file of settings


@pytest.fixture
def settings_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Named, and not there yet."""
    path = tmp_path / "settings.env"
    monkeypatch.setenv("HIKYAKU_SETTINGS", str(path))
    return path


def test_the_file_of_settings_need_not_exist(settings_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIKYAKU_REDIS_URL", URL)
    assert load(CommonSettings).log_level == "INFO"


def test_the_file_of_settings_is_read(settings_file: Path) -> None:
    settings_file.write_text(f"# of the poller\n\nHIKYAKU_REDIS_URL={URL}\nexport HIKYAKU_LOG_LEVEL='DEBUG' # for now\n", encoding="utf-8")
    settings = load(CommonSettings)
    assert (settings.redis_url.get_secret_value(), settings.log_level) == (URL, "DEBUG")


def test_the_environment_wins_over_a_named_file_and_that_one_over_the_file_of_settings(
    settings_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings_file.write_text("HIKYAKU_REDIS_URL=redis://third\nHIKYAKU_LOG_FORMAT=json\nHIKYAKU_LOG_LEVEL=ERROR\n", encoding="utf-8")
    (tmp_path / "url").write_text("redis://second", encoding="utf-8")
    monkeypatch.setenv("HIKYAKU_REDIS_URL_FILE", str(tmp_path / "url"))
    monkeypatch.setenv("HIKYAKU_LOG_LEVEL", "WARNING")
    monkeypatch.setenv("HIKYAKU_LOG_FORMAT", "")
    settings = load(CommonSettings)
    assert (settings.redis_url.get_secret_value(), settings.log_level, settings.log_format) == ("redis://second", "WARNING", "json")
    monkeypatch.setenv("HIKYAKU_REDIS_URL", "redis://first")
    assert load(CommonSettings).redis_url.get_secret_value() == "redis://first"


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_the_region_may_stand_there_too(settings_file: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv("HIKYAKU_REDIS_URL", URL)
    settings_file.write_text("AWS_REGION=eu-north-1\n", encoding="utf-8")
    monkeypatch.setenv("AWS_REGION", "")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "")
    assert load(AwsSettings).aws_region == "eu-north-1"
    monkeypatch.setenv(variable, "eu-south-1")
    assert load(AwsSettings).aws_region == "eu-south-1"


def test_what_the_file_of_settings_gets_wrong_is_named_by_its_line(settings_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings_file.write_text(
        f"HIKYAKU_REDIS_URL={URL}\nHIKYAKU_LOG_LEVLE=s3cret\nAWS_REGION=x\ns3cret\nHIKYAKU_LOG_FORMAT='s3cret\nHIKYAKU_LOG_LEVEL=s3cret\n",
        encoding="utf-8",
    )
    named = problems(capsys, CommonSettings)
    assert named[:4] == [
        f"{settings_file}, line 2: HIKYAKU_LOG_LEVLE is no setting of this service",
        f"{settings_file}, line 3: AWS_REGION is no setting of this service",
        f"{settings_file}, line 4: is not KEY=VALUE",
        f"{settings_file}, line 5: HIKYAKU_LOG_FORMAT has a quote that does not close at the line's end",
    ]
    assert [line.partition(":")[0] for line in named[4:]] == ["HIKYAKU_LOG_LEVEL"]
    assert "s3cret" not in str(named)


@pytest.mark.parametrize("value", ["'it''", r'"a\"', "'a' b"])
def test_a_quote_that_ends_elsewhere_is_named(
    settings_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    monkeypatch.setenv("HIKYAKU_REDIS_URL", URL)
    settings_file.write_text(f"HIKYAKU_LOG_LEVEL={value}\n", encoding="utf-8")
    assert len(problems(capsys, CommonSettings)) == 1


def test_a_file_of_settings_that_cannot_be_read_is_named(
    settings_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HIKYAKU_REDIS_URL", URL)
    settings_file.write_bytes(b"HIKYAKU_LOG_LEVEL=\xff\n")
    assert problems(capsys, CommonSettings) == [f"HIKYAKU_SETTINGS: {settings_file}: is not UTF-8 text"]
    settings_file.unlink()
    settings_file.mkdir()
    assert problems(capsys, CommonSettings) == [f"HIKYAKU_SETTINGS: {settings_file}: Is a directory"]


# TLS to Redis


def test_a_ca_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    monkeypatch.setenv("HIKYAKU_REDIS_URL", "rediss://r.invalid")
    monkeypatch.setenv("HIKYAKU_REDIS_CA", str(tmp_path / "ca.pem"))
    assert problems(capsys, CommonSettings) == [f"HIKYAKU_REDIS_CA: {tmp_path}/ca.pem: No such file or directory"]
    (tmp_path / "ca.pem").write_text("no certificate", encoding="utf-8")
    assert problems(capsys, CommonSettings) == [f"HIKYAKU_REDIS_CA: {tmp_path}/ca.pem: holds no PEM certificate"]


def test_a_ca_without_tls_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HIKYAKU_REDIS_URL", URL)
    monkeypatch.setattr("ssl.create_default_context", lambda **_: None)
    monkeypatch.setenv("HIKYAKU_REDIS_CA", "/etc/hikyaku/redis_ca.pem")
    [line] = problems(capsys, CommonSettings)
    assert line.startswith("HIKYAKU_REDIS_CA: is of no use with redis://")


# Flower


def test_flowers_state_needs_a_folder_to_write_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("HIKYAKU_REDIS_URL", URL)
    monkeypatch.setenv("HIKYAKU_FLOWER_AUTH", "user:hunter2")
    monkeypatch.setenv("HIKYAKU_FLOWER_STATE", str(tmp_path / "flower"))
    assert load(FlowerSettings).flower_state == tmp_path / "flower"
    monkeypatch.setenv("HIKYAKU_FLOWER_STATE", str(tmp_path / "nowhere" / "flower"))
    [line] = problems(capsys, FlowerSettings)
    assert line.startswith(f"HIKYAKU_FLOWER_STATE: {tmp_path}/nowhere is not a folder that this user")


def test_a_time_zone_is_one_that_exists(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HIKYAKU_REDIS_URL", URL)
    monkeypatch.setenv("HIKYAKU_FLOWER_AUTH", "user:hunter2")
    assert load(FlowerSettings).flower_timezone == "UTC"
    monkeypatch.setenv("HIKYAKU_FLOWER_TIMEZONE", "JST-9")
    assert [line.partition(":")[0] for line in problems(capsys, FlowerSettings)] == ["HIKYAKU_FLOWER_TIMEZONE"]
