"""`docker compose --profile local`: a whole world on a laptop, and the demo in it."""

import re

from host import Host, run, timed

STAYING = {"poller", "decryptor", "loader", "flower", "redis", "postgres", "localstack"}


def test_everything_is_healthy(laptop: Host) -> None:
    assert {service: laptop.health(service) for service in STAYING} == dict.fromkeys(STAYING, "healthy")
    running = set(laptop.compose("ps", "--services", "--status", "running").stdout.split())
    assert running == STAYING


def test_the_demo_runs_in_it(laptop: Host) -> None:
    with timed("`docker compose --profile local run --rm cli demo`"):
        shown = laptop.compose("run", "--rm", "-T", "cli", "demo").stdout
    assert re.search(r"jigyosyo-2026-04-03\.csv\.gz\.age.*loaded.*22,201", shown), shown
    assert re.search(r"ken_all-2026-04-03\.csv\.gz\.age.*loaded.*124,822", shown), shown
    assert re.search(r"jigyosyo-2026-04-03\.csv\.gz\.age.*duplicate", shown), shown
    assert re.search(r"rejected.*ciphertext_corrupt", shown), shown
    assert laptop.sql("SELECT count(*) FROM public.postal_codes") == "124822"


def test_a_file_of_ones_own(laptop: Host) -> None:
    laptop.table("arrivals")
    with timed("from PUT to loaded, seen from outside"):
        laptop.arrives(laptop.send("arrivals", "first", "id,word\n1,a\n2,提灯\n"), 2)
    assert laptop.sql("SELECT * FROM public.arrivals ORDER BY id") == "1|a\n2|提灯"


def test_logs_are_for_people(laptop: Host) -> None:
    lines = [line for service in ("poller", "decryptor", "loader", "flower") for line in laptop.logs(service)]
    assert any("submitted" in line for line in lines)
    assert not [line for line in lines if line.startswith("{")]


def test_ports_are_open_on_loopback_only(laptop: Host) -> None:
    ids = laptop.compose("ps", "--quiet").stdout.split()
    template = "{{range .NetworkSettings.Ports}}{{range .}}{{.HostIp}} {{.HostPort}}\n{{end}}{{end}}"
    published = {line for line in run("docker", "inspect", "--format", template, *ids).stdout.splitlines() if line.strip()}
    assert published == {f"127.0.0.1 {laptop.flower_port}", f"127.0.0.1 {laptop.aws_port}"}


def test_the_operator_looks_from_the_container_cli(laptop: Host) -> None:
    said = laptop.compose("run", "--rm", "-T", "cli", "status", check=False).stdout
    assert "arrivals" in said, said
    assert "HIKYAKU_METRICS_URL is not set" in said
    assert "first.csv.gz.age" in laptop.compose("run", "--rm", "-T", "cli", "files", "--dataset", "arrivals").stdout


def test_metrics_are_served_in_their_own_network_once_a_port_is_set(laptop: Host) -> None:
    laptop.compose("up", "-d", "--wait", "--wait-timeout", "120", "poller", HIKYAKU_METRICS_PORT="9464")
    said = laptop.compose("run", "--rm", "-T", "cli", "status", check=False, HIKYAKU_METRICS_PORT="9464").stdout
    assert "holds 0 messages" in said, said
    laptop.compose("up", "-d", "--wait", "--wait-timeout", "120", "poller")


def test_a_table_is_rebuilt_in_a_container(laptop: Host) -> None:
    said = laptop.compose("run", "--rm", "-T", "rebuild", "arrivals", "--into", "arrivals_again", "--yes").stdout
    assert laptop.sql("SELECT count(*) FROM public.arrivals_again") == laptop.sql("SELECT count(*) FROM public.arrivals"), said
