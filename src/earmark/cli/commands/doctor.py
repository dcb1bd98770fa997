"""``earmark doctor``: what works on this machine, and what to install for the rest.

Libraries are tried in other processes: one that is broken may take its process with it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import queue
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from earmark.cli import arguments, console, settings
from earmark.cli.drawing import follow
from earmark.errors import EarmarkError
from earmark.events import Progress, Steps, use_case

HELP = "tell what works on this machine, and what to install for the rest"

_SECONDS = 120

_SOUNDFILE = (
    "import soundfile, json; print(json.dumps({'version': soundfile.__libsndfile_version__,"
    " 'formats': sorted(soundfile.available_formats()), 'ogg': sorted(soundfile.available_subtypes('OGG'))}))"
)
_PYAV = "import av, json; print(json.dumps({'version': av.__version__, 'codecs': sorted(av.codecs_available)}))"
_ONNX = (
    "import json; from earmark.offline import onnxruntime; from earmark.cli.commands.doctor import gpu;"
    " ort, more = onnxruntime(), gpu();"
    " print(json.dumps({'version': ort.__version__, 'providers': ort.get_available_providers(), **more}))"
)
_TORCH = (
    "import torch, json; print(json.dumps({'version': torch.__version__,"
    " 'cuda': [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]}))"
)
_RAY = "import json; from earmark.offline import ray; print(json.dumps({'version': ray().__version__}))"
_VERSION = "import {0}, json; print(json.dumps({{'version': str(getattr({0}, '__version__', ''))}}))"

_TOGETHER = """
import contextlib, io, json, sys
for name, code in json.load(sys.stdin):
    out = io.StringIO()
    with contextlib.suppress(BaseException):
        with contextlib.redirect_stdout(out):
            exec(code, {})
        print(json.dumps([name, json.loads(out.getvalue().splitlines()[-1])]), flush=True)
"""

_CODES = {
    "numpy": _VERSION.format("numpy"),
    "soundfile": _SOUNDFILE,
    "soxr": _VERSION.format("soxr"),
    "av": _PYAV,
    "onnxruntime": _ONNX,
    "safetensors": _VERSION.format("safetensors"),
}
_EXTRAS = {
    "train": {name: _VERSION.format(name) for name in ("sklearn", "scipy", "onnx", "pescador")} | {"torch": _TORCH},
    "tags": {"mutagen": "import mutagen, json; print(json.dumps({'version': mutagen.version_string}))"},
    "map": {"openTSNE": _VERSION.format("openTSNE")},
    "index": {"faiss": _VERSION.format("faiss")},
    "ray": {"ray": _RAY, "pyarrow": _VERSION.format("pyarrow")},
}
_PURPOSES = {
    "train": "training your own models",
    "tags": "writing results into files",
    "map": "maps of a library",
    "index": "searching beyond a million tracks",
    "ray": "many machines, Parquet, and addresses such as s3://",
}
_FORMATS = (
    ("wav", "WAV", "pcm_s16le"), ("aiff", "AIFF", "pcm_s16be"), ("flac", "FLAC", "flac"), ("mp3", "MP3", "mp3"),
    ("ogg vorbis", "OGG", "vorbis"), ("opus", "OPUS", "opus"), ("aac (m4a)", None, "aac"), ("alac (m4a)", None, "alac"),
    ("wma", None, "wmav2"), ("ape", None, "ape"), ("wavpack", None, "wavpack"), ("musepack", None, "mpc8"),
    ("tta", None, "tta"), ("dsd", None, "dsd_lsbf"), ("ac3", None, "ac3"),
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    arguments.add_format(parser)


def run(args: argparse.Namespace) -> int:
    """Tell; 1 where the plain install is not whole."""
    found = follow(_try_all([_CODES, _EXTRAS.get("train", {}), _other_extras()]))
    facts: dict[str, Any] = {
        "python": f"{platform.python_version()} on {platform.platform(terse=True)}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "libraries": {name: found[name] for name in _CODES},
        "decoders": _decoders(found),
        "extras": {extra: _extra(extra, found) for extra in _EXTRAS},
        "devices": _devices(found),
        "model": _model(),
        "settings": _settings(args.config),
    }
    advice = _advice(facts)
    whole = all(fact["works"] for fact in facts["libraries"].values()) and facts["model"]["works"]
    if console.wants_json(args):
        console.print_json(facts | {"advice": advice, "works": whole})
    else:
        _print(facts, advice)
    return 0 if whole else 1


def _other_extras() -> dict[str, str]:
    return {name: code for extra, parts in _EXTRAS.items() if extra != "train" for name, code in parts.items()}


@use_case
def _try_all(groups: Sequence[Mapping[str, str]]) -> Steps[dict[str, dict[str, Any]]]:
    """Try the libraries of each group in one process; what does not work there is tried again, alone."""
    found: dict[str, dict[str, Any]] = {}
    total, answers = sum(map(len, groups)), queue.Queue[tuple[str, dict[str, Any]]]()
    yield Progress(0, total, "trying", "libraries")
    with ThreadPoolExecutor(len(groups)) as tries:
        for group in groups:
            tries.submit(_try_group, group, answers.put)
        while len(found) < total:
            name, facts = answers.get()
            found[name] = facts
            yield Progress(len(found), total, "trying", "libraries")
    return found


def _try_group(group: Mapping[str, str], put: Callable[[tuple[str, dict[str, Any]]], None]) -> None:
    left = dict(group)
    with suppress(OSError, ValueError, subprocess.SubprocessError):
        asked = json.dumps([pair for pair in group.items() if importlib.util.find_spec(pair[0])])
        argv = [sys.executable, "-c", _TOGETHER]
        done = subprocess.run(argv, input=asked, capture_output=True, text=True, timeout=_SECONDS)
        for line in done.stdout.splitlines():
            name, facts = json.loads(line)
            del left[name]
            put((name, {"works": True, **facts}))
    for name, code in left.items():
        put((name, _tried(name, code)))


def _tried(name: str, code: str) -> dict[str, Any]:
    """What a library says of itself; ``works`` is False where it is missing or breaks."""
    if importlib.util.find_spec(name) is None:
        return {"works": False, "why": "not installed"}
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=_SECONDS)
        if done.returncode == 0:
            answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
            return {"works": True, **answer}
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    except subprocess.TimeoutExpired:
        last = f"no answer for {_SECONDS} s"
    except (OSError, ValueError, IndexError) as error:
        last = str(error)
    return {"works": False, "why": f"broken: {last}"}


def _decoders(found: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    """By kind of file, the libraries that read it, the first choice first."""
    own, codecs = found["soundfile"].get("formats", []), found["av"].get("codecs", [])
    known = {*own, *(["OPUS"] if "OPUS" in found["soundfile"].get("ogg", []) else [])}
    return {
        kind: [*(["soundfile"] if name in known else []), *(["PyAV"] if codec in codecs else [])]
        for kind, name, codec in _FORMATS
    }


def _extra(extra: str, found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    parts = {name: found[name] for name in _EXTRAS[extra]}
    facts: dict[str, Any] = {"works": all(part["works"] for part in parts.values()), "for": _PURPOSES[extra]}
    if not facts["works"]:
        facts["why"] = ", ".join(f"{name} is {part['why']}" for name, part in parts.items() if not part["works"])
        facts["install"] = f"pip install 'earmark[{extra}]'"
    return facts | {"parts": {name: part.get("version", "") for name, part in parts.items() if part["works"]}}


def _devices(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What networks of ONNX Runtime run on, and those that PyTorch trains: the processor, and GPUs that work."""
    cards, gpu = found.get("torch", {}).get("cuda", []), found["onnxruntime"].get("gpu")
    listening = ["cpu", *(["cuda"] if gpu == "works" else [])]
    return {"listening": listening, "training": ["cpu", *(f"cuda: {card}" for card in cards)]}


def gpu() -> dict[str, str]:
    """Whether ONNX Runtime's GPU works, or why not, where it has one: a network runs on it."""
    from earmark.inference.tagger import load_model
    from earmark.models.device import may_use_gpu

    try:
        if not may_use_gpu():
            return {}
        load_model(device="cuda").check_layer(None)
    except EarmarkError as error:
        return {"gpu": str(error)}
    return {"gpu": "works"}


def _model() -> dict[str, Any]:
    from earmark.models.registry import check_files, find_model

    try:
        card = check_files(find_model("default"))
    except EarmarkError as error:
        return {"works": False, "why": str(error)}
    return {"works": True, "model": card.id}


def _settings(asked: str | None) -> dict[str, Any]:
    try:
        file = settings.read(asked)
    except EarmarkError as error:
        return {"works": False, "why": str(error)}
    return {"works": True, "file": str(file.path), "found": file.found}


def _advice(facts: dict[str, Any]) -> list[str]:
    advice = []
    broken = [name for name, fact in facts["libraries"].items() if not fact["works"]]
    if broken:
        advice.append(f"the plain install is not whole ({', '.join(broken)}): pip install --force-reinstall earmark")
    advice += [f"for {extra['for']}: {extra['install']}" for extra in facts["extras"].values() if not extra["works"]]
    advice += [facts[part]["why"] for part in ("model", "settings") if not facts[part]["works"]]
    gpu = facts["libraries"]["onnxruntime"].get("gpu", "works")
    advice += [gpu] if gpu != "works" else []
    return advice


def _print(facts: dict[str, Any], advice: list[str]) -> None:
    rows = [("python", "works", facts["python"]), ("cores", "works", f"{facts['cores']} files are analysed at a time")]
    rows += [
        (name, _word(fact), fact.get("version") or fact.get("why", "")) for name, fact in facts["libraries"].items()
    ]
    rows += [
        (f"reads {kind}", "works" if readers else "no", " or ".join(readers) or "no decoder")
        for kind, readers in facts["decoders"].items()
    ]
    rows += [
        (f"extra {name}", _word(fact), fact.get("why") or _versions(fact["parts"]))
        for name, fact in facts["extras"].items()
    ]
    rows += [(f"device for {use}", "works", ", ".join(names)) for use, names in facts["devices"].items()]
    rows.append(("model default", _word(facts["model"]), facts["model"].get("model") or facts["model"].get("why", "")))
    held = facts["settings"]
    text = held.get("why") or (held["file"] + ("" if held["found"] else " (there is none)"))
    rows.append(("settings", _word(held), text))
    console.print_table(("what", "", "how"), rows)
    for line in advice:
        print(f"\n{console.plain(line)}", end="")
    print("\nEverything works." if not advice else "")


def _word(fact: dict[str, Any]) -> str:
    return "works" if fact["works"] else "no"


def _versions(parts: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}".strip() for name, version in parts.items())
