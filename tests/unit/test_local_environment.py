"""What of the caller's environment reaches the services, and what must not."""

from hikyaku.local import environment

CALLER = {
    "PATH": "/bin",
    "LC_ALL": "C.UTF-8",
    "HTTPS_PROXY": "http://proxy.invalid",
    "NO_PROXY": "intern.invalid,localhost",
    "AWS_ACCESS_KEY_ID": "theirs",
    "AWS_PROFILE": "production",
    "DATABASE_PASSWORD": "theirs",
    "HIKYAKU_VISIBILITY_TIMEOUT": "10",
    "HIKYAKU_SPOOL_DIR": "/spool",
    "HIKYAKU_DATABASE_URL": "postgresql://other",
    "HIKYAKU_REDIS_URL_FILE": "/other",
    "HIKYAKU_PID_REDIS": "1",
    "HIKYAKU_LOCAL_DIR": "/other",
}


def test_the_callers_cloud_account_stays_out_of_reach() -> None:
    kept = environment.base(CALLER)
    assert not [name for name in kept if name.startswith("AWS_")]
    assert "DATABASE_PASSWORD" not in kept
    assert (kept["PATH"], kept["LC_ALL"], kept["HTTPS_PROXY"]) == ("/bin", "C.UTF-8", "http://proxy.invalid")


def test_no_proxy_stands_before_loopback() -> None:
    assert environment.base(CALLER)["NO_PROXY"] == "intern.invalid,localhost,127.0.0.1"
    assert environment.base({})["no_proxy"] == "127.0.0.1,localhost"


def test_settings_pass_but_endpoints_of_another_stack_do_not() -> None:
    assert environment.settings(CALLER) == {"HIKYAKU_VISIBILITY_TIMEOUT": "10", "HIKYAKU_SPOOL_DIR": "/spool"}
