"""What a card or an array says is checked at loading: what makes no sense is one ModelError before the first song."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file, save_file

import earmark
from earmark.cli import main
from earmark.errors import ModelError
from earmark.inference.records import ClipEmbeddings
from earmark.models.card import read_card
from earmark.models.registry import sha256
from made import make_model
from sounds import melody


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def refusal(folder: Path) -> str:
    """The one line with which the model is refused, before any song."""
    with pytest.raises(ModelError) as caught:
        earmark.load_model(folder).check_layer(None)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 600
    return message


def put(folder: Path, key: str, value: object) -> None:
    """Change one value of the card, by a path such as ``heads.0.labels``; ``DROP`` takes it away."""
    file = folder / "card.json"
    facts: Any = json.loads(file.read_text("utf-8"))
    *way, last = [int(part) if part.isdigit() else part for part in key.split(".")]
    place = facts
    for part in way:
        place = place[part]
    if value is DROP:
        del place[last]
    else:
        place[last] = value
    file.write_text(json.dumps(facts), "utf-8")


DROP = object()
NAN, INFINITE = float("nan"), float("inf")

CARDS: list[tuple[str, object]] = [
    ("format", True),
    ("format", "2"),
    ("format", 0),
    ("name", ""),
    ("name", 7),
    ("name", "two\nlines"),
    ("name", DROP),
    ("version", None),
    ("version", 1),
    ("backbone", []),
    ("embedding", 0),
    ("embedding", -96),
    ("embedding", 96.5),
    ("embedding", 10**12),
    ("embedding", 97),
    ("embedding", "96"),
    ("clip", DROP),
    ("clip", 3),
    ("clip.count", 0),
    ("clip.count", -1),
    ("clip.count", 2.5),
    ("clip.count", True),
    ("clip.count", 10**12),
    ("clip.seconds", 0),
    ("clip.seconds", -2),
    ("clip.seconds", NAN),
    ("clip.seconds", INFINITE),
    ("clip.seconds", 1e-9),
    ("clip.seconds", 10**9),
    ("clip.seconds", "2"),
    ("clip.pad", "loop"),
    ("clip.pooling", "max"),
    ("clip.hours", 1),
    ("frontend.kind", "ears"),
    ("frontend.sample_rate", 0),
    ("frontend.sample_rate", -16000),
    ("frontend.sample_rate", 10**12),
    ("frontend.n_fft", 0),
    ("frontend.n_fft", 10**12),
    ("frontend.win_length", 10**5),
    ("frontend.hop_length", 0),
    ("frontend.hop_length", -320),
    ("frontend.hop_length", None),
    ("frontend.bands", 0),
    ("frontend.bands", 10**12),
    ("frontend.bands", 95),
    ("frontend.f_min", -1),
    ("frontend.f_min", 9000.0),
    ("frontend.f_max", NAN),
    ("frontend.mel_scale", "bark"),
    ("frontend.mel_norm", 1),
    ("frontend.power", 3),
    ("frontend.floor", 0),
    ("frontend.range_db", -80),
    ("frontend.centre", "yes"),
    ("frontend.loudness", 1),
    ("frontend.sample_rate", DROP),
    ("frontend.log", DROP),
    ("clip.pooling", DROP),
    ("heads.0.temperature", DROP),
    ("heads", {}),
    ("heads", "genre"),
    ("heads.0", 3),
    ("heads.0.name", ""),
    ("heads.1.name", "genre"),
    ("heads.0.task", "clustering"),
    ("heads.0.task", "regression"),
    ("heads.0.labels", []),
    ("heads.0.labels", ["Rock", "Rock", "Pop"]),
    ("heads.0.labels", ["Rock", "Jazz"]),
    ("heads.0.labels", ["Rock", "Jazz", ""]),
    ("heads.0.labels", ["Rock", "Jazz", None]),
    ("heads.0.labels", "Rock"),
    ("heads.2.labels", ["fast"]),
    ("heads.0.temperature", "x"),
    ("heads.0.temperature", 0),
    ("heads.0.temperature", -1.0),
    ("heads.0.temperature", NAN),
    ("heads.0.temperature", INFINITE),
    ("heads.0.temperature", 1e-300),
    ("heads.0.temperature", None),
    ("heads.0.threshold", -0.1),
    ("heads.0.threshold", 1.5),
    ("heads.0.threshold", NAN),
    ("heads.0.thresholds", {"Metal": 0.5}),
    ("heads.0.thresholds", {"Rock": 1.5}),
    ("heads.2.thresholds", {"energy": 0.5}),
    ("heads.1.thresholds", {"guitar": -0.4}),
    ("heads.1.thresholds", {"drums": 0.4}),
    ("heads.1.thresholds", {"guitar": "half"}),
    ("heads.1.thresholds", [0.4, 0.5]),
    ("heads.0.aliases", {"Metal": ["heavy"]}),
    ("heads.0.aliases", {"Rock": "rock'n'roll"}),
    ("heads.0.meaning", 3),
    ("heads.0.layer", "strings"),
    ("heads.0.layer", 1),
    ("heads.0.members", []),
    ("heads.0.members", [[]]),
    ("heads.0.members", [[{"kind": "dense"}, {"kind": "dense"}]]),
    ("heads.0.members", [[{"kind": "dense", "activation": "tanh"}]]),
    ("heads.0.mean", "median"),
    ("heads.0.added", 3),
    ("heads.0.added", -1),
    ("heads.0.derived", "tags"),
    ("heads.0.parents", {"Metal": "Loud"}),
    ("heads.0.parents", {"Rock": "Jazz", "Jazz": "Rock"}),
    ("heads.0.parents", {"Rock": "Loud", "Loud": "Rock"}),
    ("heads.0.parents", {"Rock": "Rock"}),
    ("heads.0.parents", {"Loud": "Louder", "Louder": "Loud"}),
    ("heads.0.parents", {"Rock": ""}),
    ("heads.0.parents", {"Rock": "0"} | {str(n): str(n + 1) for n in range(40)}),
    ("heads.2.parents", {"Rock": "Loud"}),
    ("heads.0.also", "style"),
    ("heads.0.also", ["genre"]),
    ("heads.0.also", ["style", "style"]),
    ("heads.0.also", [""]),
    ("heads.0.pooling", "max"),
    ("heads.0.pooling", None),
    ("heads.1.includes", "energy"),
    ("heads.1.includes", "genre"),
    ("heads.1.includes", "genres"),
    ("heads.0.includes", "tags"),
    ("heads.0.prior", "tags"),
    ("heads.0.prior", "genre"),
    ("heads.1.prior", "genre"),
    ("heads.2.prior", "genre"),
    ("heads.1.prior_weight", -1),
    ("heads.1.prior_weight", INFINITE),
    ("heads.1.prior_weight", "much"),
    ("heads.0.unverified", "yes"),
    ("heads.0.evidence", {"Rock": {"tracks": -1}}),
    ("heads.0.evidence", {"Rock": 5}),
    ("heads.0.surprise", 1),
    ("heads", DROP),
    ("data", DROP),
    ("data", "a corpus"),
    ("notes", [3]),
    ("licence", None),
    ("scores", {"genre": {"accuracy": NAN}}),
    ("recipe", []),
    ("files", {"model.onnx": "short"}),
    ("files", {"../model.onnx": "0" * 64}),
    ("group_salt", 5),
    ("unknown", 1),
]


@pytest.mark.parametrize(("key", "value"), CARDS, ids=[f"{key}={str(value)[:20]}" for key, value in CARDS])
def test_an_absurd_card_is_one_error_that_names_the_key(model: Path, key: str, value: object) -> None:
    put(model, key, value)
    message = refusal(model)
    last = next(part for part in reversed(key.split(".")) if not part.isdigit())
    named = {"strings": "layer", "regression": "labels"}.get(str(value), last)
    arrays = ("heads.safetensors", "model.onnx")
    assert named in message or key in message or any(name in message for name in arrays), message


def test_there_are_enough_absurd_cards() -> None:
    assert len(CARDS) >= 47


ABSURD = [0, -1, 1, 0.5, 2, 1000, 10**12, 10**400, 1e-9, 1e300, -1e300, NAN, INFINITE]
ABSURD += ["x", "", "a\nb", None, True, [], {}, ["x"], {"x": 1}]


def _places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every value in a card by its way from the root, the root left out."""
    if way:
        yield way
    inside = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    for key, one in inside:
        yield from _places(one, (*way, key))


@pytest.mark.slow
def test_any_value_of_a_card_replaced_by_anything(model: Path) -> None:
    """Some two thousand cards: each is refused by one line, or gives a record of finite numbers."""
    file = model / "card.json"
    facts = json.loads(file.read_text("utf-8"))
    wave, refused, accepted = melody(5, 16000), 0, 0
    for *way, last in _places(facts):
        for value in ABSURD:
            changed = place = json.loads(json.dumps(facts))
            for key in way:
                place = place[key]
            place[last] = value
            file.write_text(json.dumps(changed))
            try:
                tagger = earmark.load_model(model)
                tagger.check_layer(None)
            except ModelError as error:
                assert "\n" not in str(error)
                refused += 1
                continue
            json.dumps(tagger.predict(wave, sample_rate=16000).to_dict(), allow_nan=False)
            accepted += 1
    assert refused > 1500 and accepted > 50


def test_a_step_of_another_kind_is_newer(model: Path) -> None:
    put(model, "heads.0.members", [[{"kind": "attention"}]])
    assert "heads[0].members[0][0].kind = 'attention' is newer than this Earmark" in refusal(model)


def test_a_card_that_is_no_text_for_machines(model: Path) -> None:
    for text in ("[" * 100_000, '{"format": 2, "embedding": ' + "9" * 5000 + "}", '{"format": NaN}'):
        (model / "card.json").write_text(text)
        assert "damaged" in refusal(model)


def spoil(model: Path, change: Callable[[dict[str, np.ndarray]], object]) -> str:
    """Change the heads' arrays, with a checksum that fits."""
    file = model / "heads.safetensors"
    arrays = load_file(str(file))
    change(arrays)
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, str(file))
    put(model, "files", {"heads.safetensors": sha256(file)})
    return refusal(model)


WEIGHT = "genre/0/0/weight"

ARRAYS: dict[str, tuple[Callable[[dict[str, np.ndarray]], object], str]] = {
    "missing": (lambda a: a.pop(WEIGHT), f"{WEIGHT} is missing"),
    "no bias": (lambda a: a.pop("tags/0/0/bias"), "tags/0/0/bias is missing"),
    "foreign": (lambda a: a.update(odd=np.zeros(3, np.float32)), "odd belongs to no head"),
    "too few labels": (lambda a: a.update({WEIGHT: a[WEIGHT][:2]}), f"{WEIGHT} has the shape (2, 96)"),
    "too narrow": (lambda a: a.update({WEIGHT: a[WEIGHT][:, :90]}), f"{WEIGHT} has the shape (3, 90)"),
    "flat": (lambda a: a.update({WEIGHT: a[WEIGHT].ravel()}), f"{WEIGHT} has the shape (288,)"),
    "a wrong bias": (lambda a: a.update({"genre/0/0/bias": np.zeros(4, np.float32)}), "genre/0/0/bias has the shape"),
    "whole numbers": (lambda a: a.update({WEIGHT: a[WEIGHT].astype(np.int32)}), "must be of one of F16, F32, F64"),
    "NaN": (lambda a: a[WEIGHT].__setitem__((1, 5), NAN), f"{WEIGHT}: a number in it is not finite"),
    "infinity": (lambda a: a[WEIGHT].__setitem__((0, 0), INFINITE), f"{WEIGHT}: a number in it is not finite"),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_damaged_arrays_are_named(model: Path, kind: str) -> None:
    change, why = ARRAYS[kind]
    assert why in spoil(model, change)


def test_a_huge_array_is_refused_by_its_header(model: Path) -> None:
    """Ten to the twelfth numbers: nothing of the kind is allocated, whether the file claims to hold them or not."""
    file = model / "heads.safetensors"
    for end in (4 * 10**12, 0):
        header = {WEIGHT: {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, end]}}
        text = json.dumps(header).encode()
        file.write_bytes(len(text).to_bytes(8, "little") + text)
        put(model, "files", {"heads.safetensors": sha256(file)})
        assert "heads.safetensors" in refusal(model)
    for content in (b"", b"\xff" * 8, b"\x02\0\0\0\0\0\0\0{}", b"\x08\0\0\0\0\0\0\0nonsense"):
        file.write_bytes(content)
        put(model, "files", {"heads.safetensors": sha256(file)})
        assert "heads.safetensors" in refusal(model)


def network(
    model: Path, nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto], entry: str = "spectrogram"
) -> str:
    """Another network under the same card."""
    inputs = [helper.make_tensor_value_info(entry, TensorProto.FLOAT, ["clips", "frames", 96])]
    outputs = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "made", inputs, outputs, weights)
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(built, str(model / "model.onnx"))
    put(model, "files", {})
    return refusal(model)


def mean(source: str = "spectrogram", out: str = "embedding") -> onnx.NodeProto:
    return helper.make_node("ReduceMean", [source], [out], axes=[1], keepdims=0)


def test_networks_that_are_not_what_the_card_says(model: Path) -> None:
    number = numpy_helper.from_array(np.float32([NAN]), "number")
    bad = [mean(out="raw"), helper.make_node("Mul", ["raw", "number"], ["embedding"])]
    assert "not a finite number" in network(model, bad, [number])
    logs = [
        mean(out="raw"),
        helper.make_node("Sub", ["raw", "raw"], ["zero"]),
        helper.make_node("Log", ["zero"], ["embedding"]),
    ]
    assert "not a finite number" in network(model, logs, [])
    rows = numpy_helper.from_array(np.arange(50), "rows")
    narrow = [mean(out="raw"), helper.make_node("Gather", ["raw", "rows"], ["embedding"], axis=1)]
    assert "'embedding' has the shape (1, 50); card.json says 96" in network(model, narrow, [rows])
    assert "has the shape" in network(model, [helper.make_node("Identity", ["spectrogram"], ["embedding"])], [])
    assert "one input, named 'spectrogram'" in network(model, [mean("picture")], [], "picture")
    huge = numpy_helper.from_array(np.array([10**6, 10**6], np.int64), "shape")
    vast = [helper.make_node("ConstantOfShape", ["shape"], ["embedding"])]
    assert "cannot run" in network(model, vast, [huge]) or "cannot load" in refusal(model)


def test_nan_is_never_written(model: Path, tone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers that are finite in the file and overflow in use: an error of the model, no NaN in a record."""
    file = model / "heads.safetensors"
    arrays = {name: array.astype(np.float64) for name, array in load_file(str(file)).items()}
    arrays[WEIGHT][:] = 1e308
    save_file(arrays, str(file))
    put(model, "files", {"heads.safetensors": sha256(file)})
    assert main(["tag", str(tone), "-m", str(model), "-f", "jsonl", "-j", "1"]) == 1
    told = capsys.readouterr()
    assert "NaN" not in told.out and "genre" in told.err


def test_half_precision(model: Path, tone: Path) -> None:
    before = earmark.load_model(model).predict(tone).heads["genre"].scores
    file = model / "heads.safetensors"
    save_file({name: array.astype(np.float16) for name, array in load_file(str(file)).items()}, str(file))
    put(model, "files", {"heads.safetensors": sha256(file)})
    after = earmark.load_model(model).predict(tone).heads["genre"].scores
    assert all(abs(after[label] - score) < 0.02 for label, score in before.items())


def test_identity_stays_when_the_folder_moves(model: Path, tmp_path: Path) -> None:
    """Other heads on the same network: another digest, the same one of the backbone."""
    card = read_card(model)
    moved = read_card(Path(model.rename(tmp_path / "elsewhere")))
    assert (moved.digest, moved.backbone_digest) == (card.digest, card.backbone_digest)
    other = read_card(make_model(tmp_path / "other", seed=1))
    assert other.digest != card.digest and other.backbone_digest == card.backbone_digest
    put(tmp_path / "other", "clip.pooling", "mean-log")
    assert read_card(tmp_path / "other").backbone_digest == card.backbone_digest
    put(tmp_path / "other", "frontend.f_max", 7000.0)
    assert read_card(tmp_path / "other").backbone_digest != card.backbone_digest


def test_stored_embeddings_give_the_scores_of_the_file(model: Path, tone: Path) -> None:
    tagger = earmark.load_model(model)
    options = earmark.HearingOptions(clips=True, embedding=True)
    whole = tagger.predict(tone, options=options)
    assert whole.clips is not None
    assert earmark.load_model(model).predict_embeddings(whole.clips).heads == whole.heads
    half = ClipEmbeddings(whole.clips.times, whole.clips.vectors.astype(np.float16))
    for name, head in tagger.predict_embeddings(half).heads.items():
        for label, score in head.scores.items():
            assert abs(score - whole.heads[name].scores[label]) < 0.01
    with pytest.raises(ModelError, match=r"shape \(clips, 96\), not \(1, 5\)"):
        tagger.predict_embeddings(ClipEmbeddings(np.zeros((1, 2), np.float32), np.zeros((1, 5), np.float32)))
