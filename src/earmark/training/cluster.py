"""Training a network on several machines of a Ray cluster: one worker a machine, or a GPU, that learn as one.

The process that asks keeps the checkpoint: the first worker sends it after each epoch, so that a run goes on after it,
whichever machine is lost, and whether on a cluster or on one machine.
"""

from __future__ import annotations

import secrets
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from earmark.datasets.cache import ArrayStore, check_space
from earmark.engine.cluster import Member, RayEngine
from earmark.engine.local import Lost
from earmark.errors import EarmarkError, RecipeError
from earmark.events import Event, Notice, Progress, Steps
from earmark.models.device import Device
from earmark.storage import write_file
from earmark.training.draws import Songs
from earmark.training.loop import FitPlan, FitResult, epochs_done, fit
from earmark.training.module import TaggerModule
from earmark.training.team import LinkedTeam, Team, share_batch_norm

__all__ = ["check_members", "fit_on"]

_TRIES = 3  # losses in a row without an epoch in between
_AT_ONCE = 32 * 2**20  # bytes of features on their way to a machine


def fit_on(
    cluster: RayEngine, device: Device, module: TaggerModule, plan: FitPlan, checkpoint: Path
) -> Steps[FitResult]:
    """As :func:`earmark.training.loop.fit`, on the workers of a cluster.

    Raises:
        RecipeError: As ``fit``; or a GPU is asked for, and no machine has any.
        EarmarkError: No machine can train, or they are lost time and again.
        StorageError: A machine has no space for the features.
    """
    lost, (done, ended) = 0, epochs_done(checkpoint, plan.training)
    while not ended:
        before, gone = done, None
        try:
            yield from _fit_together(cluster, device, module, plan, checkpoint)
        except Lost as error:
            gone = error
        done, ended = epochs_done(checkpoint, plan.training)
        if gone is None:
            continue
        lost = 1 if done > before else lost + 1
        if lost >= _TRIES:
            raise EarmarkError(
                f"Workers of the cluster were lost {lost} times without an epoch in between ({gone.message}); "
                f"run again, and the training goes on after epoch {done}"
            ) from gone
        yield Notice(f"The training goes on after epoch {done}: {gone.message}.")
    return (yield from fit(module, plan, checkpoint))


def _fit_together(
    cluster: RayEngine, device: Device, module: TaggerModule, plan: FitPlan, checkpoint: Path
) -> Steps[None]:
    """Train to the end on the machines that are there now; checkpoints are written here.

    Raises:
        Lost: A worker is no more.
    """
    draws = plan.draws
    smallest = draws.clips // draws.steps  # each worker has a clip of every batch
    with cluster.members(smallest, gpus=device != "cpu") as members:
        check_members(members, device)
        yield Notice(_in_words(members))
        yield from _send_features(draws.songs, sorted({*draws.rows.tolist(), *plan.valid.tolist()}), members)
        songs = replace(draws.songs.apart(), failures={})
        begun = checkpoint.read_bytes() if checkpoint.is_file() else b""
        args = cluster.put(_Work(module.cpu(), replace(plan, draws=replace(draws, songs=songs)), begun))
        roles = [_Role(rank, len(members), one.address, one.gpu) for rank, one in enumerate(members)]

        def others(address: tuple[str, int]) -> Mapping[Member, Any]:
            return {one: partial(_follow, role, address) for one, role in zip(members[1:], roles[1:], strict=True)}

        with closing(members[0].lead(partial(_lead, roles[0]), [args], others)) as told:
            for event, saved in told:
                if saved:
                    write_file(checkpoint, saved)
                yield event


def check_members(members: Sequence[Member], device: Device) -> None:
    """Refuse machines that cannot train, or would do so otherwise.

    Raises:
        EarmarkError: One has no PyTorch, or another version.
        RecipeError: A GPU is asked for, and no machine has any.
    """
    ours = torch.__version__.partition("+")[0]  # builds for GPUs are another "+"
    for member in members:
        host, theirs = member.facts["host"], member.facts.get("torch", "").partition("+")[0]
        if not theirs:
            raise EarmarkError(f"{host} has no PyTorch: pip install 'earmark[train]' in the environment of its Ray")
        if theirs != ours:
            raise EarmarkError(
                f"{host} has PyTorch {theirs}, this machine {ours}: install the same version on every machine"
            )
    if device == "cuda" and not members[0].gpu:
        raise RecipeError(
            "--device cuda: no machine of the cluster has a GPU that is free (`ray start --num-gpus`); leave it out to "
            "train on CPUs"
        )


def _in_words(members: Sequence[Member]) -> str:
    named = ", ".join(f"{one.facts['host']} ({'a GPU' if one.gpu else f'{one.cpus} CPUs'})" for one in members)
    if len(members) > 1:
        return f"The network trains on {len(members)} workers: {named}."
    return f"The network trains on one worker, {named}: no other machine of the cluster has a CPU free."


def _send_features(songs: Songs, rows: Sequence[int], members: Sequence[Member]) -> Steps[None]:
    """Copy features to the machines that do not see this one's cache; each keeps them in its own.

    Raises:
        StorageError: There is no room for them.
    """
    digests = [songs.hashes[row] for row in rows]
    machines = {member.facts["node"]: member for member in members}.values()
    for store in (songs.store, *([songs.waves] if songs.waves is not None else [])):
        for member in machines:
            missing = member.call(_missing, store, digests)
            member.call(check_space, sum(store[digest].nbytes for digest in missing))
            some: dict[str, Any] = {}
            for done, digest in enumerate(missing, 1):
                some[digest] = store[digest]
                if done == len(missing) or sum(array.nbytes for array in some.values()) > _AT_ONCE:
                    member.call(_keep, store, some)
                    some = {}
                    yield Progress(done, len(missing), f"copying features to {member.facts['host']}")


def _missing(store: ArrayStore, digests: Sequence[str]) -> list[str]:
    own = store.here()
    return [digest for digest in digests if own.get(digest) is None]


def _keep(store: ArrayStore, arrays: Mapping[str, Any]) -> None:
    own = store.here()
    for digest, array in arrays.items():
        own.put(digest, array)


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """What all workers do: a module to train by a plan, from a checkpoint's bytes, if there are any."""

    module: TaggerModule
    plan: FitPlan
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class _Role:
    """A worker's place: its rank among so many, its machine's address, and whether it has a GPU."""

    rank: int
    size: int
    host: str
    gpu: bool


def _lead(role: _Role, work: _Work) -> Iterator[Any]:
    """The first worker: at which address the others find it; then events, each with the checkpoint to keep, if any."""
    with socket.create_server((role.host, 0)) as door:
        address = door.getsockname()[:2]
        yield address
        yield from _train(role, address, work, door)


def _follow(role: _Role, address: tuple[str, int], work: _Work) -> None:
    """Another worker."""
    for _ in _train(role, address, work):
        pass


def _train(
    role: _Role, address: tuple[str, int], work: _Work, door: socket.socket | None = None
) -> Iterator[tuple[Event, bytes]]:
    device = torch.device("cuda" if role.gpu else "cpu")
    team = LinkedTeam(role.rank, role.size, address, role.host, device, door) if role.size > 1 else Team()
    if role.size > 1:
        share_batch_norm(work.module, team)
    songs = work.plan.draws.songs
    songs = replace(songs, store=songs.store.here(), waves=songs.waves.here() if songs.waves else None)
    plan = replace(work.plan, team=team, device=device, draws=replace(work.plan.draws, songs=songs))
    file = Path(tempfile.gettempdir()) / f"earmark-{secrets.token_hex(8)}.safetensors"
    try:
        if work.checkpoint:
            file.write_bytes(work.checkpoint)
        for event in fit(work.module, plan, file):
            ended = isinstance(event, Progress) and event.stage == "epochs"
            saved = file.read_bytes() if ended and not role.rank else b""
            file.unlink(missing_ok=True)  # so that a worker that is ended at once leaves nothing
            yield event, saved
    finally:
        file.unlink(missing_ok=True)
