"""The admin listener against its own description, by requests that a program makes up: such as it describes, and others."""

import json
import urllib.request

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from conftest import LOOPBACK, Authority, Proxy

# All but that of the description itself.
OPERATIONS = [
    "GET /healthz", "GET /readyz", "GET /metrics", "GET /config", "GET /routes", "GET /upstreams", "GET /sessions",
    "DELETE /sessions", "DELETE /sessions/{id}", "POST /reload", "GET /log_level", "PUT /log_level",
]


@pytest.fixture(scope="module")
def proxy(directory):
    route = {"from": "https://one.localhost:PORT", "to": "http://127.0.0.1:9", "authenticate": "none", "allow": LOOPBACK}
    # Nobody signs in: the provider is never asked.
    provider = {"id": "nobody", "issuer": "https://127.0.0.1:9", "client_id": "x", "client_secret": "made-up-secret"}
    authenticate = {"url": "https://auth.localhost", "providers": [provider]}
    authority = Authority(directory, "one.localhost", "auth.localhost")
    proxy = Proxy(directory, authority, [route], authenticate=authenticate)
    yield proxy
    proxy.stop()


def address(proxy, path):
    return f"http://127.0.0.1:{proxy.admin}{path}"


@pytest.fixture(scope="module")
def operations(proxy):
    found = [result.ok() for result in schemathesis.openapi.from_url(address(proxy, "/openapi.json")).get_all_operations()]
    return {operation.label: operation for operation in found}


def tried(strategy, **checks):
    @given(case=strategy)
    @settings(max_examples=25, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))
    def answers(case):
        case.call_and_validate(headers={"Content-Type": "application/json"}, **checks)

    answers()


def test_every_operation_is_tried(proxy, operations):
    assert sorted(operations) == sorted(OPERATIONS)
    described = json.load(urllib.request.urlopen(address(proxy, "/openapi.json"), timeout=10))
    assert len(OPERATIONS) + 1 == sum(len(methods) for methods in described["paths"].values())


@pytest.mark.parametrize("name", OPERATIONS)
def test_requests_such_as_are_described_get_an_answer_that_is(operations, name):
    tried(operations[name].as_strategy())


@pytest.mark.parametrize("name", ["GET /sessions", "DELETE /sessions", "PUT /log_level"])
def test_other_requests_get_an_answer_that_is_described_too(operations, name):
    checks = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance,
              negative_data_rejection, unsupported_method]
    tried(operations[name].as_strategy(generation_mode=GenerationMode.NEGATIVE), checks=checks)


@pytest.mark.parametrize(("method", "path", "content", "status"), [
    ("DELETE", "/sessions/%FF", b"", 404),
    ("PUT", "/log_level", b" " * 3_000_000, 400),
])
def test_what_no_description_can_say_is_refused_in_the_same_form(proxy, method, path, content, status):
    answer = httpx.request(method, address(proxy, path), content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, sorted(answer.json())) == (status, ["error", "message", "problems"])
