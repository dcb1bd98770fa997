"""What a model says of itself: ``card.json``, and the rules that its values keep. Facts only; needs no NumPy.

A rule takes a key and a value, and names the key where it is broken. Rules are put together like the value that they
describe (``listing(text())``), so that one table says all that holds.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from earmark.errors import ModelError, nearest
from earmark.features.frontend import Frontend
from earmark.recipe import ClipPlan, Task
from earmark.storage import write_file

__all__ = ["FORMAT", "Card", "Evidence", "HeadCard", "Step", "card_facts", "read_card", "write_card"]

Rule = Callable[[str, Any], Any]
"""From a key and its value to the value as it is used; raises :class:`Broken`."""

_DEEPEST = 20


class Broken(ValueError):
    """A value that breaks its rule; the message begins with the key."""

    def __init__(self, key: str, value: object, must: str) -> None:
        brief = repr(value)
        super().__init__(f"{key} = {brief if len(brief) <= 60 else brief[:57] + '...'} must be {must}")


def number(least: float = -1e12, most: float = 1e12, *, above: bool = False, whole: bool = False) -> Rule:
    """A finite number from ``least`` (or ``above`` it) to ``most``; ``whole`` numbers only."""
    kind = "a whole number" if whole else "a finite number"
    must = f"{kind} {'above' if above else 'from'} {least:g}{' and up' if above else ''} to {most:g}"

    def rule(key: str, value: Any) -> Any:
        fits = type(value) is int or (type(value) is float and not whole and math.isfinite(value))
        if not fits or not least <= value <= most or (above and value == least):
            raise Broken(key, value, must)
        return value if whole else float(value)

    return rule


def text(most: int = 1000, empty: bool = False) -> Rule:
    """A text in one line."""

    def rule(key: str, value: Any) -> Any:
        if type(value) is not str or (not empty and not value.strip()) or len(value) > most:
            raise Broken(key, value, f"a text of {0 if empty else 1} to {most} characters")
        if any(mark < " " or "\x7f" <= mark < "\xa0" for mark in value):
            raise Broken(key, value, "a text without control characters")
        return value

    return rule


def prose(key: str, value: Any) -> Any:
    """A text of any form."""
    if type(value) is not str:
        raise Broken(key, value, "a text")
    return value


def flag(key: str, value: Any) -> Any:
    """True or false."""
    if type(value) is not bool:
        raise Broken(key, value, "true or false")
    return value


def one_of(*values: str | int) -> Rule:
    """One of some values."""
    must = "one of " + ", ".join(map(repr, values))

    def rule(key: str, value: Any) -> Any:
        if not any(type(value) is type(one) and value == one for one in values):
            raise Broken(key, value, must)
        return value

    return rule


def listing(item: Rule, least: int = 0, most: int = 1_000_000, unique: bool = False) -> Rule:
    """A list whose items keep a rule; becomes a tuple."""

    def rule(key: str, value: Any) -> Any:
        if not isinstance(value, (list, tuple)) or not least <= len(value) <= most:
            raise Broken(key, value, f"a list of {least} to {most} items")
        items = tuple(item(f"{key}[{place}]", one) for place, one in enumerate(value))
        for place, one in enumerate(items):
            if unique and one in items[:place]:
                raise Broken(f"{key}[{place}]", one, "there once only")
        return items

    return rule


def table(item: Rule) -> Rule:
    """A table with values that keep a rule."""

    def rule(key: str, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise Broken(key, value, "a table")
        return {name: item(f"{key}[{name!r}]", one) for name, one in value.items()}

    return rule


def optional(inner: Rule) -> Rule:
    """A value that may be null."""
    return lambda key, value: None if value is None else inner(key, value)


def anything(key: str, value: Any, depth: int = 0) -> Any:
    """Free content, but no number in it that is not finite."""
    if depth > _DEEPEST:
        raise Broken(key, "...", "less deep")
    if isinstance(value, float) and not math.isfinite(value):
        raise Broken(key, value, "a finite number")
    if isinstance(value, Mapping):
        return {name: anything(f"{key}.{name}", one, depth + 1) for name, one in value.items()}
    if isinstance(value, list):
        return [anything(f"{key}[{place}]", one, depth + 1) for place, one in enumerate(value)]
    return value


def record(kind: type, rules: Mapping[str, Rule], required: Collection[str] = ()) -> Rule:
    """A table as a dataclass; a key without a rule is unknown, one without a default must be there."""
    fields = dataclasses.fields(kind)
    needed = [f.name for f in fields if f.default is f.default_factory is dataclasses.MISSING or f.name in required]

    def rule(key: str, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise Broken(key or "the card", value, "a table")
        prefix = f"{key}." if key else ""
        for name in value:
            if name not in rules:
                near = nearest(str(name), rules)
                raise ValueError(f"{prefix}{name} is not a known key" + (f"; did you mean {near}?" if near else ""))
        for name in needed:
            if name not in value:
                raise ValueError(f"{prefix}{name} is missing")
        return kind(**{name: rules[name](f"{prefix}{name}", one) for name, one in value.items()})

    return rule


FORMAT = 2
"""The version of the folder's format. A reader refuses a greater one, and a smaller one with the way to upgrade it."""

NETWORK, HEADS = "model.onnx", "heads.safetensors"
"""The files that a model's scores are computed from."""

_BIGGEST_CARD = 50_000_000  # bytes
_BIGGEST_CLIP = 20_000_000  # numbers of a clip's spectrogram, of a filterbank; a hundred million samples
_LONGEST_CLIP = 100_000_000


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a head: ``dense`` is a matrix, a bias, and an activation (``none`` or ``relu``)."""

    kind: Literal["dense"] = "dense"
    activation: Literal["none", "relu"] = "none"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a label rests on: training tracks and groups (artists) that have it."""

    tracks: int
    groups: int = 0


@dataclass(frozen=True, slots=True)
class HeadCard:
    """One vocabulary of a model, and how its raw scores are computed (:mod:`earmark.models.network` has the arrays).

    Attributes:
        name: By which predictions and data sets know it.
        task: ``multiclass`` (softmax), ``multilabel`` (sigmoids) or ``regression``.
        labels: Display names in the order of the scores; empty for a regression.
        temperature: Divides the raw scores before softmax or sigmoid (Guo et al. 2017).
        threshold: Below this confidence a multiclass head is not sure and its label is null.
        thresholds: By label, from which probability the head names it; of a multiclass head by node too. Where not
            stated, ``threshold``, and 0.5 of a multi-label head.
        aliases: By label, the names that corpora use for it, so that ``evaluate`` can match them.
        meaning: What the head's labels are about, in words; heads of one name are matched where it agrees.
        layer: What the head reads: ``embedding``, or a named layer of the network.
        members: Classifiers of steps each, applied in turn; several are an ensemble.
        mean: Of an ensemble: of the members' ``logits`` or of their ``probabilities``.
        added: The last labels, that many, which were added later: a row each, straight from the layer.
        derived: Name of a head above, whose probabilities this head's matrix is applied to; no members then.
        parents: By name, the one above it in a tree: above labels stand labels, or names that are only above (nodes).
        evidence: By label, what it rests on.
        also: Further names by which data sets and options know the head; a head of that name may be there too, and
            then the labels decide which is meant.
        pooling: Of clips: ``mean``, ``mean-log``, or ``logits`` (of the mean raw scores); "" as the clip plan has it.
        includes: A multiclass head above, whose label this multi-label head always names too.
        prior: A multiclass head above, whose probabilities move the raw scores of this one.
        prior_weight: How much they do.
        classes: How many exclusive classes the members score, whose probabilities the matrix makes into those of the
            labels: labels without a class in common then never add up to more than one. 0: they score the labels.
        implies: By label, another of the head that is named with it, for it is a kind or a part of that.
        contradicts: By label, heads above and labels of theirs that it contradicts: it is not named where these
            together are more likely than not.
        unverified: Whether the labels were never checked by listeners, and rest on the agreement of teachers alone.
    """

    name: str
    task: Task
    labels: tuple[str, ...] = ()
    temperature: float = 1.0
    threshold: float = 0.0
    thresholds: Mapping[str, float] = field(default_factory=dict)
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    meaning: str = ""
    layer: str = "embedding"
    members: tuple[tuple[Step, ...], ...] = ((Step(),),)
    mean: Literal["logits", "probabilities"] = "logits"
    added: int = 0
    derived: str = ""
    parents: Mapping[str, str] = field(default_factory=dict)
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    pooling: Literal["", "mean", "mean-log", "logits"] = ""
    includes: str = ""
    prior: str = ""
    prior_weight: float = 1.0
    classes: int = 0
    implies: Mapping[str, str] = field(default_factory=dict)
    contradicts: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    unverified: bool = False

    @property
    def width(self) -> int:
        """Number of raw scores: one a label, one for a number."""
        return len(self.labels) or 1

    @property
    def names(self) -> tuple[str, ...]:
        """All that the head can name: its labels, then what stands only above labels."""
        return tuple(dict.fromkeys((*self.labels, *self.parents, *self.parents.values())))

    def above(self, name: str) -> tuple[str, ...]:
        """The name, the one above it, and so on up to a root."""
        found = [name]
        while found[-1] in self.parents:
            found.append(self.parents[found[-1]])
        return tuple(found)

    def below(self, name: str) -> tuple[str, ...]:
        """The labels that the name stands for: those at or below it, in the order of the scores."""
        return tuple(label for label in self.labels if name in self.above(label))

    def threshold_of(self, name: str) -> float:
        """From which probability the head names this label, or node."""
        return self.thresholds.get(name, self.threshold if self.task == "multiclass" else 0.5)


@dataclass(frozen=True, slots=True)
class Card:
    """What a model says of itself.

    Attributes:
        name: Short name; ``name@version`` marks every prediction.
        version: Of the weights.
        backbone: Registry name of the network that the weights belong to.
        frontend: Waveform to spectrogram; ``None`` where the model was trained on images of unknown origin.
        clip: How a track becomes clips.
        heads: Vocabularies, in the order in which they are listed.
        embedding: Number of dimensions.
        recipe: The recipe as it was used, to train on.
        data: What it was trained on, in words, a line a corpus.
        scores: Honest scores by head, as ``evaluate`` names them.
        licence: Of the weights.
        notes: Lines for people.
        files: SHA-256 of the folder's other files, by name, so that damage is seen.
        group_salt: What the names of groups were hashed with, where ``split.tsv`` has a column of such hashes.
        format: Version of the folder's format.
    """

    name: str
    version: str
    backbone: str
    frontend: Frontend | None
    clip: ClipPlan
    heads: tuple[HeadCard, ...]
    embedding: int
    recipe: Mapping[str, Any] = field(default_factory=dict)
    data: tuple[str, ...] = ()
    scores: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ""
    notes: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    group_salt: str = ""
    format: int = FORMAT

    @property
    def id(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"

    @property
    def digest(self) -> str:
        """Of all that decides what the model answers, wherever its folder lies; 32 hex digits."""
        facts = card_facts(self)
        keys = ("frontend", "clip", "heads", "embedding")
        return _digest({key: facts[key] for key in keys}, self.files.get(NETWORK), self.files.get(HEADS))

    @property
    def backbone_digest(self) -> str:
        """Of all that decides the embeddings: equal for models with other heads on the same network."""
        facts = card_facts(self)
        clip = {key: value for key, value in facts["clip"].items() if key != "pooling"}
        return _digest({"frontend": facts["frontend"], "clip": clip}, self.files.get(NETWORK))

    @property
    def clip_shape(self) -> tuple[int, int]:
        """Frames and bands of what the network gets of a clip.

        Raises:
            ModelError: The model was trained on pictures of unknown origin, and the card says nothing of them.
        """
        if self.frontend is None:
            raise ModelError(f"the model {self.id} has no frontend: it takes no files")
        if self.frontend.kind == "image":
            return round(self.clip.seconds * self.frontend.frames_per_second), self.frontend.bands
        return self.frontend.frames(round(self.clip.seconds * self.frontend.sample_rate)), self.frontend.bands

    def called(self, name: str) -> HeadCard | None:
        """The head of that name, or else the first that answers to it too."""
        named = [head for head in self.heads if name == head.name]
        return next(iter([*named, *(head for head in self.heads if name in head.also)]), None)

    def head(self, name: str) -> HeadCard:
        """The head of that name.

        Raises:
            KeyError: The model has no such head.
        """
        return {head.name: head for head in self.heads}[name]


def read_card(folder: Path) -> Card:
    """The card of a model folder, every value of it checked.

    Raises:
        ModelError: No folder, no card, a damaged card (the key is named), or a format that this Earmark does not read.
    """
    facts = card_json(folder)
    file, version = folder / "card.json", facts.get("format")
    if type(version) is not int or version < 1:
        raise ModelError(f"{file}: the card is damaged: no format number")
    if version > FORMAT:
        raise ModelError(f"{file}: format {version} is newer than this Earmark reads ({FORMAT}); update Earmark")
    if version < FORMAT:
        raise ModelError(
            f"{folder}: a model folder of format {version}, which this Earmark does not read; "
            f"upgrade it: earmark models upgrade {folder}"
        )
    return card_from(facts, file)


def card_json(folder: Path) -> dict[str, Any]:
    """What stands in ``card.json``, of whichever format.

    Raises:
        ModelError: No folder, no card, or no JSON table.
    """
    file = folder / "card.json"
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such model folder; `earmark models` lists the ones there are")
    try:
        if file.stat().st_size > _BIGGEST_CARD:
            raise ModelError(f"{file}: the card is damaged: it is larger than {_BIGGEST_CARD / 1e6:g} MB")
        facts = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{folder}: not a model folder: card.json is missing") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{file}: the card is damaged: {' '.join(str(error).split())}") from error
    if not isinstance(facts, dict):
        raise ModelError(f"{file}: the card is damaged: no format number")
    return facts


def card_from(facts: Mapping[str, Any], file: Path) -> Card:
    """The card of what stands in a file of this format.

    Raises:
        ModelError: A value makes no sense; names the key.
    """
    try:
        card: Card = _CARD("", facts)
        _check_card(card)
    except ValueError as error:
        message = " ".join(str(error).split())
        raise ModelError(f"{file}: the card is damaged: {message}") from error
    return card


def write_card(card: Card, folder: Path) -> None:
    """Write ``card.json`` into the folder (StorageError where it cannot)."""
    write_file(folder / "card.json", json.dumps(card_facts(card), indent=1, ensure_ascii=False) + "\n")


def card_facts(card: Card) -> dict[str, Any]:
    """The card as it stands in ``card.json``. Younger keys that say nothing are left out: digests stay as they were."""
    facts = {"format": card.format} | dataclasses.asdict(card)
    facts["heads"] = [{k: v for k, v in head.items() if _YOUNGER.get(k, ...) != v} for head in facts["heads"]]
    return facts


_YOUNGER = {"also": (), "pooling": "", "includes": "", "prior": "", "prior_weight": 1.0, "classes": 0, "implies": {},
            "contradicts": {}, "unverified": False}  # fmt: skip
"""Keys of a head that came later, with what they are where they say nothing."""


def _digest(facts: Mapping[str, Any], *files: str | None) -> str:
    stable = json.dumps([facts, *files], sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(stable.encode("ascii")).hexdigest()[:32]


def _step_kind(key: str, value: Any) -> Any:
    if isinstance(value, str) and value != "dense":
        raise ValueError(f"{key} = {value!r} is newer than this Earmark knows; update Earmark")
    return one_of("dense")(key, value)


def _file_hash(key: str, value: Any) -> Any:
    if type(value) is not str or len(value) != 64 or not set(value) <= set("0123456789abcdef"):
        raise Broken(key, value, "a SHA-256 in hex")
    return value


_FRONTEND: Mapping[str, Rule] = {
    "kind": one_of("mel", "sox", "image"),
    "sample_rate": number(1, 1_000_000, whole=True),
    "n_fft": number(2, 1 << 18, whole=True),
    "win_length": number(1, 1 << 18, whole=True),
    "hop_length": number(1, 10_000_000, whole=True),
    "bands": number(1, 8192, whole=True),
    "f_min": number(0, 1e6),
    "f_max": number(0, 1e6, above=True),
    "mel_scale": one_of("slaney", "htk", "kaldi"),
    "mel_norm": flag,
    "power": one_of(1, 2),
    "log": one_of("db", "ln"),
    "floor": number(0, 1e6, above=True),
    "offset": number(0, 1e6),
    "range_db": number(0, 1000),
    "relative": flag,
    "centre": flag,
}

_CLIP: Mapping[str, Rule] = {
    "seconds": number(0, 1_000_000, above=True),
    "count": number(1, 100_000, whole=True),
    "pad": one_of("repeat", "zero"),
    "pooling": one_of("mean", "mean-log"),
}

_PROBABILITY = number(0, 1)

_HEAD: Mapping[str, Rule] = {
    "name": text(200),
    "task": one_of("multiclass", "multilabel", "regression"),
    "labels": listing(text(), most=100_000, unique=True),
    "temperature": number(1e-6, 1e6),
    "threshold": _PROBABILITY,
    "thresholds": table(_PROBABILITY),
    "aliases": table(listing(text())),
    "meaning": text(empty=True),
    "layer": text(200),
    "members": listing(
        listing(record(Step, {"kind": _step_kind, "activation": one_of("none", "relu")}), 1, 100), 0, 1000
    ),
    "mean": one_of("logits", "probabilities"),
    "added": number(0, 100_000, whole=True),
    "derived": text(200, empty=True),
    "parents": table(text()),
    "evidence": table(record(Evidence, dict.fromkeys(("tracks", "groups"), number(0, 1e9, whole=True)))),
    "also": listing(text(200), most=100, unique=True),
    "pooling": one_of("", "mean", "mean-log", "logits"),
    "includes": text(200, empty=True),
    "prior": text(200, empty=True),
    "prior_weight": number(0, 100),
    "classes": number(0, 100_000, whole=True),
    "implies": table(text()),
    "contradicts": table(table(listing(text()))),
    "unverified": flag,
}

_CARD: Rule = record(
    Card,
    {
        "format": number(FORMAT, FORMAT, whole=True),
        "name": text(200),
        "version": text(200),
        "backbone": text(200),
        "frontend": optional(record(Frontend, _FRONTEND, required=_FRONTEND)),
        "clip": record(ClipPlan, _CLIP, required=_CLIP),
        "heads": listing(record(HeadCard, _HEAD, required=("labels", "temperature")), most=1000),
        "embedding": number(1, 1 << 20, whole=True),
        "recipe": table(anything),
        "data": listing(prose),
        "scores": table(anything),
        "licence": prose,
        "notes": listing(prose),
        "files": table(_file_hash),
        "group_salt": text(200, empty=True),
    },
    required=("data", "notes"),
)


def _check_card(card: Card) -> None:
    """What values must be beside each other."""
    if card.frontend is not None:
        _check_frontend(card.frontend, card.clip)
    for file in card.files:
        if not file or file in (".", "..") or any(mark in file for mark in "/\\:\0"):
            raise Broken("files", file, "the names of files in the folder")
    above: dict[str, HeadCard] = {}
    for place, head in enumerate(card.heads):
        key = f"heads[{place}]"
        if head.name in above:
            raise Broken(f"{key}.name", head.name, "the name of one head only")
        _check_head(key, head)
        _check_links(key, head, above)
        above[head.name] = head


def _check_frontend(frontend: Frontend, clip: ClipPlan) -> None:
    if frontend.kind == "mel":
        if frontend.win_length > frontend.n_fft:
            raise Broken("frontend.win_length", frontend.win_length, f"n_fft ({frontend.n_fft}) at most")
        if frontend.f_min >= frontend.f_max:
            raise Broken("frontend.f_min", frontend.f_min, f"below f_max ({frontend.f_max:g})")
        if frontend.bands * frontend.n_fft > _LONGEST_CLIP:
            raise Broken("frontend.bands", frontend.bands, "smaller: the filterbank would not fit into memory")
    samples = clip.seconds * frontend.sample_rate
    if samples > _LONGEST_CLIP or clip.seconds * frontend.frames_per_second * frontend.bands > _BIGGEST_CLIP:
        raise Broken("clip.seconds", clip.seconds, "smaller: a clip would not fit into memory")
    if samples < 1:
        raise Broken("clip.seconds", clip.seconds, "longer: a clip would have no sample")
    if frontend.kind == "mel" and frontend.frames(round(samples)) < 1:
        raise Broken("clip.seconds", clip.seconds, "longer: a clip would have no frame")


def _check_head(key: str, head: HeadCard) -> None:
    known = set(head.labels)
    if (head.task == "regression") != (not known):
        raise Broken(f"{key}.labels", head.labels, "empty for a regression, and only there")
    _check_tree(f"{key}.parents", head)
    nodes = set(head.names) if head.task == "multiclass" else known
    tables = [("thresholds", nodes), ("aliases", set(head.names)), ("evidence", known), ("contradicts", known)]
    for name, allowed in tables:
        for label in getattr(head, name):
            if label not in allowed:
                raise Broken(f"{key}.{name}", label, "one of the head's labels")
    _check_several(key, head)
    if head.name in head.also:
        raise Broken(f"{key}.also", head.name, "other than the head's own name")
    if bool(head.members) == bool(head.derived):
        raise Broken(f"{key}.members", head.members, "empty for a derived head, and only there")
    if head.added and (head.derived or head.added >= head.width):
        raise Broken(f"{key}.added", head.added, "smaller than the number of labels, and 0 for a derived head")


def _check_several(key: str, head: HeadCard) -> None:
    """What holds of heads that name several labels alone."""
    if head.classes and (head.task != "multilabel" or head.derived):
        raise Broken(f"{key}.classes", head.classes, "0 of a head that is derived, or names one label only")
    if (head.implies or head.contradicts) and head.task != "multilabel":
        raise Broken(f"{key}.contradicts", head.task, "of a head that names several labels")
    for label in (*head.implies, *head.implies.values()):
        if label not in head.labels:
            raise Broken(f"{key}.implies", label, "one of the head's labels")


def _check_links(key: str, head: HeadCard, above: Mapping[str, HeadCard]) -> None:
    """The heads that a head depends on stand above it, and are such as it can depend on."""
    for name in ("derived", "prior", "includes"):
        other = above.get(getattr(head, name))
        if getattr(head, name) and other is None:
            raise Broken(f"{key}.{name}", getattr(head, name), "the name of a head that stands above")
        if other is None or name == "derived":
            continue
        if other.task != "multiclass":
            raise Broken(f"{key}.{name}", other.name, "the name of a multiclass head")
        if name == "prior" and (head.task == "regression" or head.derived):
            raise Broken(f"{key}.prior", other.name, "empty: a number and a derived head have no prior")
        if name == "includes" and (head.task != "multilabel" or not set(other.labels) <= set(head.labels)):
            raise Broken(
                f"{key}.includes", other.name, "a head whose labels this one has too, and this one multi-label"
            )


def _check_tree(key: str, head: HeadCard) -> None:
    """Every name comes up to a root in a few steps, and stands for a label."""
    nodes = {*head.labels, *head.parents.values()}
    for name in head.parents:
        if name not in nodes:
            raise Broken(key, name, "one of the head's labels, or above one")
        above, steps = name, 0
        while above in head.parents:
            above, steps = head.parents[above], steps + 1
            if steps > _DEEPEST:
                raise Broken(key, name, f"below a root within {_DEEPEST} steps: it stands above itself, or too deep")
