"""schemathesis over a real server, by what its ``/openapi.json`` says: no 5xx, and each answer fits its description."""

from __future__ import annotations

import os
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # of schemathesis' own parts

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
SEED = int(os.environ.get("EARMARK_SCHEMA_SEED", "0"))
SECONDS = 20
"""That an answer may take."""


def sweep(url: str, examples: int) -> list[str]:
    """What is wrong with the answers to so many made requests of every operation."""
    wrong: list[str] = []
    tracks = [str(one["id"]) for one in httpx.get(f"{url}/v1/tracks").json()["tracks"]]
    operations = [one.ok() for one in schemathesis.openapi.from_url(f"{url}/openapi.json").get_all_operations()]
    assert len(operations) > 20
    for operation in operations:

        @seed(SEED)
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        )
        @given(case=operation.as_strategy(), track=st.none() | st.sampled_from(tracks))
        def answers(case: Any, track: str | None) -> None:
            if track is not None and case.path_parameters:  # half of the requests are for what is there
                case.path_parameters = dict.fromkeys(case.path_parameters, track)
            case.call_and_validate(base_url=url, checks=CHECKS, timeout=SECONDS)

        try:
            answers()
        except (Exception, BaseExceptionGroup) as error:
            wrong.append(f"{operation.label}: {error}")
    assert httpx.get(f"{url}/v1").status_code == 200
    return wrong


def test_every_operation_answers_as_it_is_described(server: str) -> None:
    assert sweep(server, 4) == []


@pytest.mark.slow
def test_every_operation_answers_many_requests_as_it_is_described(server: str) -> None:
    assert sweep(server, 100) == []
