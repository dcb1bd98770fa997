"""The page as it is sent: whole where its parts are here, plain where they are not, and nothing beside it."""

from __future__ import annotations

import re

import pytest
from fastapi.testclient import TestClient

from server.browser import needs_parts


@pytest.mark.parametrize("address", ["/", "/docs"])
def test_every_script_and_style_carries_the_nonce_of_its_answer(address: str, empty: TestClient) -> None:
    needs_parts()
    answer = empty.get(address)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/html")
    nonce = re.search(r"script-src 'self' 'nonce-([\w-]+)'", answer.headers["content-security-policy"])
    assert nonce and f'nonce="{nonce[1]}"' in answer.text
    assert not re.search(rf'<(script|style)(?![^>]* nonce="{nonce[1]}")', answer.text)
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", answer.text), "nothing comes from another server"
    assert empty.get(address).headers["content-security-policy"] != answer.headers["content-security-policy"]


@pytest.mark.parametrize("address", ["/", "/docs"])
def test_without_its_parts_the_page_says_how_to_get_them(
    address: str, empty: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("earmark.server.routes.page.has_page", lambda: False)
    answer = empty.get(address)
    assert answer.status_code == 200
    assert "make setup" in answer.text and "openapi.json" in answer.text
    assert "main.js" not in answer.text and "swagger" not in answer.text
    assert empty.get("/v1").json()["page"] is False
    monkeypatch.setattr("earmark.server.routes.page.has_page", lambda: True)
    assert empty.get("/v1").json()["page"] is True


@pytest.mark.parametrize("name", ["main.js", "views/library.js", "earmark.css", "mark.svg"])
def test_its_own_parts_are_sent_with_their_type(name: str, empty: TestClient) -> None:
    answer = empty.get(f"/static/{name}")
    types = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(types[name.rpartition(".")[2]])


@pytest.mark.parametrize(
    "address",
    [
        "/static/",
        "/static/../routes/page.py",
        "/static/%2e%2e/npm.py",
        "/static//etc/passwd",
        "/static/views",
        "/vendor/",
        "/vendor/..%2fnpm.json",
        "/index.html",
        "/library",
        "/favicon.ico",
    ],
)
def test_no_other_path_is_read_and_none_is_the_page(address: str, empty: TestClient) -> None:
    answer = empty.get(address)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "detail" in answer.json()
