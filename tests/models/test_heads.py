"""Heads as a folder describes them: other layers, steps, ensembles, added rows, heads derived of others."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import earmark
from earmark import HearingOptions
from earmark.errors import ModelError, UnknownName
from earmark.inference.scores import probabilities, raw_scores
from earmark.models.card import Evidence, HeadCard, card_facts, read_card
from earmark.models.network import Dense, HeadWeights, dependent, read_heads, widened, write_heads
from earmark.models.registry import find_model, find_models, list_models
from earmark.models.writer import ModelFolderWriter, seal
from earmark.paths import data_folder

RANDOM = np.random.default_rng(0)


def dense(outputs: int, inputs: int, activation: str = "none") -> Dense:
    return Dense(RANDOM.normal(size=(outputs, inputs)) / 10, RANDOM.normal(size=outputs) / 10, activation)


WEIGHTS = {
    "deep": HeadWeights(((dense(15, 96, "relu"), dense(7, 15, "relu"), dense(4, 7)),)),
    "ensemble": HeadWeights(((dense(3, 96),), (dense(5, 96, "relu"), dense(3, 5))), "probabilities"),
    "logits": HeadWeights(((dense(3, 96),), (dense(3, 96),)), "logits"),
    "tags": HeadWeights(((dense(2, 96),), (dense(2, 96),)), "probabilities"),
    "bands": HeadWeights(((dense(2, 96),),)),
    "happy": HeadWeights(matrix=np.array([[1, 1, 0, 0], [0, 0, 1, 1]], np.float32)),
    "mood": HeadWeights(matrix=np.array([[0, 0.5, 0.5, 1]], np.float32)),
    "best": HeadWeights(matrix=np.eye(2, dtype=np.float32)),
    "any": HeadWeights(matrix=np.array([[1, 1, 0, 0], [0, 1, 1, 0]], np.float32)),
    "words": HeadWeights(((dense(2, 96),),), prior=np.array([[0.8, 0.1, 0.1, 0.5], [0.2, 0.2, 0.7, 0.6]])),
    "raw": HeadWeights(((dense(3, 96),),)),
    "voice": HeadWeights(((dense(3, 96),),), matrix=np.array([[0, 1, 1], [1, 0, 0], [0, 1, 0.25]])),
}
QUADRANTS = ("happy", "tense", "sad", "calm")
HEADS = (
    HeadCard("deep", "multiclass", QUADRANTS, temperature=1.7, parents={"tense": "sad"}, meaning="the quadrant",
             evidence={"sad": Evidence(30, 12)}),
    HeadCard("ensemble", "multiclass", ("a", "b", "c")),
    HeadCard("logits", "multiclass", ("a", "b", "c")),
    HeadCard("tags", "multilabel", ("x", "y"), temperature=0.8),
    HeadCard("bands", "multiclass", ("low", "high"), layer="bands"),
    HeadCard("happy", "multiclass", ("energetic", "calm"), derived="deep"),
    HeadCard("mood", "regression", derived="deep"),
    HeadCard("best", "multiclass", ("x", "y"), derived="tags"),
    HeadCard("any", "multilabel", ("p", "q"), derived="deep"),
    HeadCard("words", "multilabel", ("bright", "dark"), 1.3, prior="deep", prior_weight=0.7, unverified=True),
    HeadCard("raw", "multiclass", ("a", "b", "c"), 1.2, pooling="logits", also=("style",)),
    HeadCard("voice", "multilabel", ("vocal", "instrumental", "male"), 0.6, classes=3, implies={"male": "vocal"},
             contradicts={"male": {"deep": ("calm",)}}),
)  # fmt: skip


@pytest.fixture(scope="module")
def model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("heads") / "m"
    with ModelFolderWriter.open(out, {}) as writer:
        shutil.copy(tiny_model / "model.onnx", writer.folder)
        write_heads(WEIGHTS, writer.folder)
        heads = tuple(WEIGHTS[head.name].described(head) for head in HEADS)
        seal(writer.folder, replace(read_card(tiny_model), heads=heads))
        return writer.complete()


def softmax(scores: np.ndarray) -> np.ndarray:
    return np.exp(scores) / np.exp(scores).sum(1, keepdims=True)


def test_scores_by_hand(model: Path, tone: Path) -> None:
    """Every head computed again here, clip by clip."""
    tagger = earmark.load_model(model)
    found = tagger.predict(tone)
    layers = tagger.network.run(tagger.see(tone), ["embedding", "bands"])
    x, bands = layers["embedding"].astype(float), layers["bands"].astype(float)

    def run(member: tuple[Dense, ...], vectors: np.ndarray) -> np.ndarray:
        for step in member:
            vectors = vectors @ step.weight.T + step.bias
            vectors = vectors.clip(0) if step.activation == "relu" else vectors
        return vectors

    deep = softmax(run(WEIGHTS["deep"].members[0], x) / 1.7)
    pair = [run(member, x) for member in WEIGHTS["ensemble"].members]
    two = [run(member, x) for member in WEIGHTS["tags"].members]
    yes = np.mean([1 / (1 + np.exp(-scores)) for scores in two], axis=0)
    tags = 1 / (1 + ((1 - yes) / yes) ** (1 / 0.8))
    expected = {
        "deep": deep,
        "ensemble": (softmax(pair[0]) + softmax(pair[1])) / 2,
        "logits": softmax(sum(run(member, x) for member in WEIGHTS["logits"].members) / 2),
        "tags": tags,
        "bands": softmax(run(WEIGHTS["bands"].members[0], bands)),
        "happy": np.stack([deep[:, :2].sum(1), deep[:, 2:].sum(1)], 1),
        "mood": (deep @ [0, 0.5, 0.5, 1])[:, None],
        "best": tags / tags.sum(1, keepdims=True),
        "any": np.stack([deep[:, :2].sum(1), deep[:, 1:3].sum(1)], 1),
    }
    rates = deep @ WEIGHTS["words"].prior.T
    words = run(WEIGHTS["words"].members[0], x) + 0.7 * np.log(rates / (1 - rates))
    expected["words"] = 1 / (1 + np.exp(-words / 1.3))
    expected["raw"] = softmax(run(WEIGHTS["raw"].members[0], x).mean(0, keepdims=True) / 1.2)
    shares = softmax(run(WEIGHTS["voice"].members[0], x)) @ WEIGHTS["voice"].matrix.T
    expected["voice"] = 1 / (1 + ((1 - shares) / shares) ** (1 / 0.6))
    for name, clips in expected.items():
        head = found.heads[name]
        ours = list(head.scores.values()) or [head.value]
        assert np.allclose(np.array(ours, float), clips.mean(0), atol=6e-5), name
    assert tagger.card.head("deep").evidence == {"sad": Evidence(30, 12)}


def test_layers_by_name(model: Path, tone: Path) -> None:
    """The network's own, and what the last hidden layer of a head holds."""
    tagger = earmark.load_model(model)
    assert tagger.layers == ("bands", "deep")
    vector = tagger.predict(tone, options=HearingOptions(embedding=True, layer="deep")).embedding
    x = tagger.network.run(tagger.see(tone), ["embedding"])["embedding"].astype(float)
    for step in WEIGHTS["deep"].members[0][:2]:
        x = (x @ step.weight.T + step.bias).clip(0)
    assert vector is not None and np.allclose(vector, x.mean(0), atol=1e-5)
    with pytest.raises(UnknownName, match="did you mean 'deep'"):
        tagger.predict(tone, options=HearingOptions(embedding=True, layer="deeep"))


def test_stored_embeddings_are_not_enough_for_a_head_on_another_layer(model: Path, tone: Path) -> None:
    tagger = earmark.load_model(model)
    clips = tagger.predict(tone, options=HearingOptions(clips=True)).clips
    with pytest.raises(ModelError, match=r"the head 'bands' .* reads the layer 'bands'"):
        tagger.predict_embeddings(clips)


def test_a_derived_head_needs_its_matrix_and_stands_below(model: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(model, tmp_path / "m"))
    facts = json.loads((copy / "card.json").read_text())
    facts["heads"].insert(0, facts["heads"].pop(5))
    (copy / "card.json").write_text(json.dumps(facts))
    with pytest.raises(ModelError, match=r"heads\[0\]\.derived = 'deep' must be the name of a head that stands above"):
        earmark.load_model(copy)


def test_a_prior_is_a_table_of_probabilities(model: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(model, tmp_path / "m"))
    write_heads(WEIGHTS | {"words": replace(WEIGHTS["words"], prior=WEIGHTS["words"].prior * 2)}, copy)
    card = replace(read_card(copy), files={})
    with pytest.raises(ModelError, match="words/prior: a number in it is no probability"):
        read_heads(copy, card)
    write_heads(WEIGHTS | {"words": replace(WEIGHTS["words"], prior=np.eye(2))}, copy)
    with pytest.raises(ModelError, match=r"words/prior has the shape \(2, 2\); card.json says \(2, 4\)"):
        read_heads(copy, card)


def test_labels_without_a_class_in_common_never_add_up_to_more_than_one(model: Path) -> None:
    tagger = earmark.load_model(model)
    x = np.random.default_rng(0).normal(0, 30, (500, 96))
    raw = raw_scores(tagger.card.heads, tagger.heads, {"embedding": x, "bands": x})["voice"]
    vocal, instrumental, male = probabilities(raw, tagger.card.head("voice")).T
    assert np.allclose(vocal + instrumental, 1) and (instrumental + male <= 1 + 1e-9).all()
    assert instrumental.max() > 0.99 and male.max() > 0.99


def test_a_head_of_classes_has_a_matrix_of_probabilities_and_gains_labels_behind_it(
    model: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(model, tmp_path / "m"))
    write_heads(WEIGHTS | {"voice": replace(WEIGHTS["voice"], matrix=WEIGHTS["voice"].matrix * 2)}, copy)
    card = replace(read_card(copy), files={})
    with pytest.raises(ModelError, match="voice/matrix: a number in it is no probability"):
        read_heads(copy, card)
    write_heads(WEIGHTS | {"voice": replace(WEIGHTS["voice"], matrix=np.eye(2))}, copy)
    with pytest.raises(ModelError, match=r"voice/matrix has the shape \(2, 2\); card.json says \(3, 3\)"):
        read_heads(copy, card)
    wide = widened(WEIGHTS["voice"], np.ones((1, 96)), np.ones(1))
    gained = replace(HEADS[-1], labels=(*HEADS[-1].labels, "choir"))
    raw = raw_scores([gained], {"voice": wide}, {"embedding": np.zeros((1, 96))})["voice"]
    before = raw_scores([HEADS[-1]], WEIGHTS, {"embedding": np.zeros((1, 96))})["voice"]
    assert raw[0].tolist() == [*before[0], 1.0]
    assert wide.described(gained).added == 1 and wide.described(gained).classes == 3
    assert dependent(WEIGHTS["voice"], 2).matrix.shape == (3, 3)


@pytest.mark.parametrize(
    ("place", "change", "says"),
    [
        (-1, {"implies": {"male": "man"}}, r"implies = 'man' must be one of the head's labels"),
        (-1, {"contradicts": {"man": {}}}, r"contradicts = 'man' must be one of the head's labels"),
        (0, {"classes": 2}, r"classes = 2 must be 0 of a head that is derived, or names one label only"),
        (0, {"implies": {"sad": "calm"}}, r"contradicts = 'multiclass' must be of a head that names several labels"),
    ],
)
def test_what_a_card_says_of_labels_that_go_together(
    model: Path, tmp_path: Path, place: int, change: dict[str, object], says: str
) -> None:
    copy = Path(shutil.copytree(model, tmp_path / "m"))
    facts = json.loads((copy / "card.json").read_text())
    facts["heads"][place].update(change)
    (copy / "card.json").write_text(json.dumps(facts))
    with pytest.raises(ModelError, match=says):
        read_card(copy)


def test_younger_keys_change_no_digest_where_they_say_nothing(tiny_model: Path) -> None:
    """Libraries know a model by its digest: a key that came later must not make an old model another one."""
    card = read_card(tiny_model)
    younger = {
        "also",
        "pooling",
        "includes",
        "prior",
        "prior_weight",
        "classes",
        "implies",
        "contradicts",
        "unverified",
    }
    assert not younger & set(card_facts(card)["heads"][0])
    styled = replace(card, heads=(replace(card.heads[0], pooling="logits"), *card.heads[1:]))
    assert card_facts(styled)["heads"][0]["pooling"] == "logits"
    assert styled.digest != card.digest


def test_what_depends_on_a_head_that_gained_a_label_takes_the_mean_of_the_others() -> None:
    assert dependent(WEIGHTS["happy"], 1).matrix.tolist() == [[1, 1, 0, 0, 0.5], [0, 0, 1, 1, 0.5]]
    wide = dependent(WEIGHTS["words"], 2).prior
    assert wide.shape == (2, 6) and np.allclose(wide[:, 4:].T, WEIGHTS["words"].prior.mean(1))


def test_rows_are_added_to_any_head() -> None:
    assert widened(WEIGHTS["words"], np.ones((1, 96)), np.ones(1)).prior[2].tolist() == [0.5] * 4
    wide = widened(widened(WEIGHTS["deep"], np.ones((1, 96)), np.ones(1)), np.ones((2, 96)), np.ones(2))
    assert wide.added is not None and wide.added.weight.shape == (3, 96)
    assert widened(WEIGHTS["bands"], np.ones((1, 96)), np.ones(1)).members[0][0].weight.shape == (3, 96)


def test_names_with_versions_and_ensembles(model: Path, tmp_path: Path) -> None:
    home = data_folder() / "models"
    shutil.copytree(model, home / "mine")
    assert "mine" in list_models()
    assert find_model("mine@1") == home / "mine"
    with pytest.raises(ModelError, match=r"mine@2: .* has version 1, not 2"):
        find_model("mine@2")
    assert find_models(f"mine,{model}") == (home / "mine", model)
    with pytest.raises(ModelError, match="the name of a model is missing"):
        find_models("mine,")
    folder = Path(shutil.copytree(model, tmp_path / "a,b"))
    assert find_models(str(folder)) == (folder,)
