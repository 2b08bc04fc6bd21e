from __future__ import annotations

import pytest

from streams.observability.environment import TelemetryError, read_environment

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
BASE = {ENDPOINT: "http://collector:4318"}
PLANTED = "s3cr3t"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_SERVICE_NAME": "a", "PATH": "/bin"},
        {ENDPOINT: " "},
        {**BASE, "OTEL_SDK_DISABLED": "True"},
        {**BASE, "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_off_without_an_error(environment: dict[str, str]) -> None:
    assert read_environment(environment) is None


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        (BASE, "http://collector:4318/v1/traces"),
        ({ENDPOINT: "https://a/base/"}, "https://a/base/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a:1/x"}, "http://a:1/x"),
        ({**BASE, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a:1/x"}, "http://a:1/x"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "http://localhost:4318/v1/traces"),
        ({**BASE, "OTEL_SDK_DISABLED": "false"}, "http://collector:4318/v1/traces"),
    ],
)
def test_the_url(environment: dict[str, str], url: str) -> None:
    otlp = read_environment(environment)

    assert otlp is not None
    assert str(otlp.url) == url


def test_the_other_settings() -> None:
    otlp = read_environment(
        {
            **BASE,
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{PLANTED}, x-tenant = a,wrong",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "1500",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": "/ca.pem",
        }
    )

    assert otlp is not None
    assert otlp.headers == {"authorization": f"Bearer {PLANTED}", "x-tenant": "a"}
    assert (otlp.timeout_seconds, otlp.gzip, otlp.certificate) == (1.5, True, "/ca.pem")
    assert PLANTED not in repr(otlp)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (
            {ENDPOINT: f"me:{PLANTED}@collector"},
            "OTEL_EXPORTER_OTLP_ENDPOINT: found an invalid address, allowed: http://HOST:PORT, https://HOST",
        ),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "unix:///a"},
            (
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: found an invalid address,"
                " allowed: http://HOST:PORT, https://HOST"
            ),
        ),
        (
            {**BASE, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            (
                "OTEL_EXPORTER_OTLP_PROTOCOL: found grpc,"
                " allowed: http/protobuf (a collector's port for it is 4318)"
            ),
        ),
        (
            {**BASE, "OTEL_EXPORTER_OTLP_TIMEOUT": "10s"},
            "OTEL_EXPORTER_OTLP_TIMEOUT: found 10s, allowed: milliseconds, 1 or more",
        ),
        (
            {**BASE, "OTEL_EXPORTER_OTLP_COMPRESSION": "zstd"},
            "OTEL_EXPORTER_OTLP_COMPRESSION: found zstd, allowed: gzip, none",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "zipkin"},
            "OTEL_TRACES_EXPORTER: found zipkin, allowed: otlp, none",
        ),
    ],
)
def test_an_invalid_value_names_its_variable(environment: dict[str, str], message: str) -> None:
    with pytest.raises(TelemetryError) as raised:
        read_environment(environment)

    assert str(raised.value) == message


def test_credentials_in_an_address_are_in_no_text() -> None:
    otlp = read_environment({ENDPOINT: f"https://me:{PLANTED}@collector:4318"})

    assert otlp is not None
    assert otlp.address == "collector:4318"
    assert PLANTED not in repr(otlp)
