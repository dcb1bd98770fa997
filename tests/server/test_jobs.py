"""Jobs: they go on by themselves, tell how far they are, wait for each other, and end when they are told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar, Literal

import pytest
from fastapi.testclient import TestClient

from earmark.errors import EarmarkError
from earmark.events import Notice, Progress, Record, Run, Steps, use_case
from earmark.server.jobs import Job, JobRequest
from earmark.server.service import Service
from serving import Collection, begin, client_of, wait
from sounds import melody, write


def stream(client: TestClient, job: int, last: int = 0) -> list[tuple[int, str, str]]:
    """The events of a job that has ended: number, name, data."""
    text = client.get(f"/v1/jobs/{job}/events", headers={"Last-Event-ID": str(last)}).text
    found = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "id" in fields:
            found.append((int(fields["id"]), fields["event"], fields["data"]))
    return found


def test_a_scan_adds_new_songs(client: TestClient, collection: Collection) -> None:
    write(collection.music / "new.flac", melody(5, 22050, 99), 22050)
    folder = next(one for one in client.get("/v1/folders").json()["folders"] if one["scanned"])
    assert folder["songs"] == 6 and folder["available"]
    job = begin(client, kind="scan", folders=[folder["id"]])
    done = wait(client, job["id"])
    assert done["state"] == "done" and done["problem"] is None
    assert done["result"]["analysed"] == 1 and done["result"]["tracks"] == 7
    assert done["result"]["file"] == "library.db"
    assert client.get("/v1").json()["library"]["tracks"] == 7
    assert client.get("/v1/jobs").json()["jobs"][0]["id"] == job["id"]


def test_a_scan_adds_features(client: TestClient) -> None:
    assert wait(client, begin(client, kind="scan")["id"])["result"]["measured"] == 0
    done = wait(client, begin(client, kind="scan", features=True)["id"])
    assert (done["state"], done["result"]["analysed"], done["result"]["measured"]) == ("done", 0, 5)


def test_events_are_numbered_and_resumed(client: TestClient, collection: Collection) -> None:
    job = begin(client, kind="scan")["id"]
    wait(client, job)
    told = stream(client, job)
    assert [number for number, _, _ in told] == list(range(1, len(told) + 1))
    assert told[-1][1] == "end" and {name for _, name, _ in told} <= {"progress", "record", "notice", "end"}
    assert stream(client, job, last=told[-2][0]) == told[-1:]
    assert stream(client, job, last=10**9) == []


def test_tags_are_tried_written_and_taken_back(client: TestClient, collection: Collection) -> None:
    before = {file: file.read_bytes() for file in collection.music.rglob("*.flac")}
    asked = {
        "kind": "write-tags",
        "tracks": [1, 2, 3],
        "heads": ["genre"],
        "min_confidence": 0.0,
        "policy": "overwrite",
    }
    tried = begin(client, **asked)["id"]
    assert wait(client, tried)["result"]["run"] is None
    assert client.get("/v1/jobs").json()["jobs"][0]["request"]["tracks"] == 3, "a count: there may be 100,000"
    records = [data for _, name, data in stream(client, tried) if name == "record"]
    assert len(records) == 3 and '"field": "genre"' in records[0]
    assert all(file.read_bytes() == content for file, content in before.items())
    written = wait(client, begin(client, **asked, dry_run=False)["id"])
    assert written["result"]["changed"] == 3 and written["result"]["run"]
    assert sum(file.read_bytes() != content for file, content in before.items()) == 3
    undone = wait(client, begin(client, kind="undo", run=written["result"]["run"])["id"])
    assert undone["result"] == {"runs": [written["result"]["run"]], "restored": 3, "untouched": 0, "skipped": 0}
    assert all(file.read_bytes() == content for file, content in before.items())


def test_what_another_library_wrote_is_not_taken_back(client: TestClient, collection: Collection) -> None:
    """The page lists the runs of its library; it takes no other back, be it named or just the last one."""
    asked = {"tracks": [1, 2], "heads": ["genre"], "min_confidence": 0.0, "policy": "overwrite", "dry_run": False}
    written = wait(client, begin(client, kind="write-tags", **asked)["id"])["result"]
    assert written["changed"] == 2
    after = {file: file.read_bytes() for file in collection.music.rglob("*.flac")}
    file = collection.file.with_name("other.db")
    file.write_bytes(collection.file.read_bytes())
    with client_of(replace(collection.options, library=str(file))) as other:
        assert other.get("/v1/write-tags/runs").json() == {"runs": []}
        assert wait(other, begin(other, kind="undo")["id"])["result"]["runs"] == []
        named = wait(other, begin(other, kind="undo", run=written["run"])["id"])
        assert named["state"] == "failed" and named["problem"]["status"] == 404
        assert all(file.read_bytes() == content for file, content in after.items())
        more = wait(other, begin(other, kind="write-tags", **asked, comment=True)["id"])["result"]
        assert more["changed"] == 2
        undo = begin(client, kind="undo", run=written["run"])["id"]
        assert wait(client, undo)["result"]["skipped"] == 2
        told = [data for _, name, data in stream(client, undo) if name == "record"]
        assert all(f"by the later run {more['run']}" in data for data in told), "what stands in the way is named"
        assert wait(other, begin(other, kind="undo")["id"])["result"]["runs"] == [more["run"]]
    assert wait(client, begin(client, kind="undo", run=written["run"])["id"])["result"]["restored"] == 2


@pytest.mark.parametrize("kind", ["clusters", "map"])
def test_clusters_and_map(client: TestClient, kind: str) -> None:
    done = wait(client, begin(client, kind=kind)["id"])
    assert done["state"] == "done", done["problem"]


@pytest.mark.parametrize(
    ("job", "status"),
    [
        ({"kind": "scan", "folders": ["/etc"]}, 404),
        ({"kind": "scan", "folders": ["../../etc"]}, 404),
        ({"kind": "scan", "folders": "f1"}, 422),
        ({"kind": "scan", "library": "/etc/passwd"}, 422),
        ({"kind": "format-disk"}, 422),
        ({"kind": "undo", "run": "x" * 201}, 422),
        ({"kind": "write-tags", "tracks": [123456]}, 400),
        ({}, 422),
    ],
)
def test_a_job_that_makes_no_sense_is_refused(client: TestClient, job: dict[str, Any], status: int) -> None:
    """Folders go by ids alone; no path, no other library, no unknown field."""
    answer = client.post("/v1/jobs", json=job)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert client.get("/v1/jobs").json() == {"jobs": []}


def test_a_job_that_fails_says_why(client: TestClient) -> None:
    done = wait(client, begin(client, kind="undo", run="no such run")["id"])
    assert done["state"] == "failed" and done["problem"]["status"] == 404
    assert "no such run" in done["problem"]["detail"]


class Made(JobRequest):
    """Work of 20 seconds."""

    kind: Literal["made"] = "made"

    def start(self, service: Service) -> Run[Any]:
        return work()

    def record(self, value: Any) -> Any:
        return value


@use_case
def work() -> Steps[None]:
    for done in range(1000):
        yield Progress(done, 1000, facts={"loss": float("nan")})
        yield Record({"done": done})
        yield Notice(f"Step {done} is done.")
        time.sleep(0.02)
    raise EarmarkError("nobody stopped it")


class Many(Made):
    """Work of 100,000 records."""

    kept: ClassVar[int] = 200_000

    def start(self, service: Service) -> Run[Any]:
        return records()


@use_case
def records() -> Steps[None]:
    yield from map(Record, range(100_000))


@pytest.fixture
def service(collection: Collection) -> Iterator[Service]:
    with client_of(collection.options) as client:
        yield client.app.state.service  # type: ignore[attr-defined]


def until(job: Job, state: str) -> None:
    end = time.monotonic() + 20
    while job.state != state:
        assert time.monotonic() < end, job.state
        time.sleep(0.01)


def test_jobs_of_one_resource_wait_and_can_be_cancelled(service: Service) -> None:
    first, second = service.jobs.add(Made()), service.jobs.add(Made())
    until(first, "running")
    assert second.state == "queued"
    second.cancel()
    assert second.state == "cancelled" and first.state == "running", "who waits need not wait to be cancelled"
    first.cancel()
    until(first, "cancelled")
    assert [event.name for event in second.events] == ["end"]
    told = [event for event in first.events if event.name == "progress"]
    assert told[0].data["facts"] == {"loss": None}


def test_no_more_jobs_wait_than_anybody_needs(service: Service) -> None:
    """A program gone wrong that asks again and again fills neither memory nor the list."""
    first = [service.jobs.add(Made()) for _ in range(100)]
    with pytest.raises(EarmarkError, match="100 jobs wait"):
        service.jobs.add(Made())
    first[50].cancel()
    first[50] = service.jobs.add(Made())
    for job in first:
        job.cancel()


class Tried(Many):
    """The same, with something that the work alone needs."""

    kind: Literal["tried"] = "tried"  # type: ignore[assignment]
    needed: list[int] = [1]  # noqa: RUF012 - a field

    def release(self) -> None:
        self.needed = []


def test_an_ended_job_holds_little(service: Service) -> None:
    """A hundred are kept: what the work alone needed goes at its end, its records at the next end of its kind."""
    first = service.jobs.add(Tried())
    until(first, "done")
    assert first.run is None and first.request.needed == []  # type: ignore[attr-defined]
    other = service.jobs.add(Many())
    until(other, "done")
    assert len(first.after(0)) == 100_001, "another kind is no reason"
    second = service.jobs.add(Tried())
    until(second, "done")
    end = time.monotonic() + 20
    while len(first.events) > 1 and time.monotonic() < end:
        time.sleep(0.01)
    assert [event.name for event in first.after(0)] == ["end"] and first.after(100_001) == []
    assert len(second.after(0)) == 100_001 == len(other.after(0))


def test_who_follows_a_long_job_costs_it_nothing(service: Service) -> None:
    """What is new is found at the end of what was kept: a stream looks ten times a second."""
    job = Job(1, Many(), Many().start(service))
    job.work(service.session)
    began = time.perf_counter()
    assert len(job.after(0)) == 100_001
    all_of_them = time.perf_counter() - began
    began = time.perf_counter()
    assert [event.name for event in job.after(99_999)] == ["record", "end"] and job.after(100_001) == []
    assert time.perf_counter() - began < all_of_them / 10


def test_no_other_server_has_the_same_jobs(collection: Collection) -> None:
    """A page that was left open asks on for its job, and is told that there is none."""
    with client_of(collection.options) as client:
        old = begin(client, kind="clusters")["id"]
        wait(client, old)
    with client_of(collection.options) as client:
        new = begin(client, kind="clusters")["id"]
        answer = client.get(f"/v1/jobs/{old}/events", headers={"Last-Event-ID": "1"})
        assert new != old and answer.status_code == 404
        wait(client, new)


def test_the_server_ends_while_jobs_are_at_work(collection: Collection) -> None:
    with client_of(collection.options) as client:
        running: Service = client.app.state.service  # type: ignore[attr-defined]
        job = running.jobs.add(Made())
        until(job, "running")
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert job.state == "cancelled"
