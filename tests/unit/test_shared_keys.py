import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ErrorCode, Rejected
from shared.keys import Route, is_ours, route


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("incoming/orders/a.csv.gz.age", Route("orders", dry_run=False)),
        ("incoming/orders/a.csv.gz.gpg", Route("orders", dry_run=False)),
        ("incoming/orders/2026/11/a.csv.gz.age", Route("orders", dry_run=False)),
        ("incoming/受注/a b+c.csv.gz.age", Route("受注", dry_run=False)),
        ("incoming/test/orders/a.csv.gz.age", Route("orders", dry_run=True)),
        ("incoming/test/orders/2026/a.csv.gz.age", Route("orders", dry_run=True)),
        ("incoming/testing/a.csv.gz.age", Route("testing", dry_run=False)),
        ("incoming/orders/test/a.csv.gz.age", Route("orders", dry_run=False)),
        ("incoming/test/test/a.csv.gz.age", Route("test", dry_run=True)),
        ("incoming/incoming/a.csv.gz.age", Route("incoming", dry_run=False)),
    ],
)
def test_a_key_names_its_dataset(key: str, expected: Route) -> None:
    assert route(key) == expected


@pytest.mark.parametrize(
    "key",
    [
        "incoming/a.csv.gz.age",
        "incoming//a.csv.gz.age",
        "incoming/test//a.csv.gz.age",
        "incoming/test/x.csv.gz.age",
        "incoming/test/x.csv.gz.gpg",
        "incoming/test/.csv.gz.age",
        "incoming/",
        "incoming/orders/a.csv.gz",
        "incoming/orders/a.csv.gz.AGE",
        "Incoming/orders/a.csv.gz.age",
        "orders/a.csv.gz.age",
        "/incoming/orders/a.csv.gz.age",
        "",
    ],
)
def test_a_key_without_a_dataset_is_rejected(key: str) -> None:
    """`incoming/test/<name>` too: it was meant as a dry run, and must not go to a table called test."""
    with pytest.raises(Rejected) as caught:
        route(key)
    assert caught.value.error_code is ErrorCode.DATASET_INVALID


@given(st.text())
def test_any_key_has_a_route_or_is_rejected(key: str) -> None:
    try:
        found = route(key)
    except Rejected:
        return
    assert is_ours(key)
    assert found.dataset
    assert "/" not in found.dataset
