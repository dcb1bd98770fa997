"""Style transfer, an experiment: one song with the statistics of another, or of all songs of a folder."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.app.selection import find_files
from earmark.errors import AudioError, EarmarkError, MissingExtra, StorageError
from earmark.events import Notice, Progress, Steps, use_case

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from earmark.audio.files import Entry
    from earmark.features.frontend import Frontend
    from earmark.training.restyle import Features, State, Style

    Array = NDArray[np.float32]

__all__ = ["RestyleRequest", "Restyled", "restyle_song"]

_LEAST = 1.0
"""Seconds of a song: less has no statistics."""
_SAME = 1e-3
"""Distance of styles that leaves nothing to transfer."""
_SOUNDS = ("content", "style", "result", "equaliser", "cross-fade")
_SHOWN = 80.0
"""dB below the loudest that pictures show."""


@dataclass(frozen=True, kw_only=True)
class RestyleRequest:
    """What to restyle.

    Attributes:
        content: The song that is to be kept.
        style: The song whose style it takes on, or a folder: the mean style of its songs.
        output: The WAV file to be.
        seconds: Of each song, from its middle.
        strength: Of the style against the content.
        model: Whose convolutions are the features; ``random`` for random filters along time.
        report: A folder that gets a page with players and pictures; none where None.
        exclude: Patterns of files of the style's folder that are left out.
    """

    content: str
    style: str
    output: str
    seconds: float = 10.0
    strength: float = 3.0
    model: str = "default"
    report: str | None = None
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True)
class Restyled:
    """What came of it.

    Attributes:
        output: The file.
        seconds: Its length.
        songs: That the style was taken from.
        change: Mean square of what was changed of the picture, in variances of the content.
        distances: Of ``content``, ``style`` (of a folder its most typical song), ``result``, ``equaliser`` and
            ``cross-fade``: what is left of the distance to the ``style``, 1 of the content; and how far their harmony
            (``chroma``) and ``onsets`` are from the content's (:mod:`earmark.features.blend`).
        page: With players and pictures, if there is one.
    """

    output: str
    seconds: float
    songs: int
    change: float
    distances: Mapping[str, Mapping[str, float]]
    page: str | None = None


@dataclass(frozen=True, slots=True)
class _Aim:
    """The style: of how many songs, their mean spectrum, and the song that is nearest to it."""

    style: Style
    songs: int
    spectrum: Array
    typical: Array


@use_case
def restyle_song(request: RestyleRequest) -> Steps[Restyled]:
    """Restyle a song; stopped, the last state is written.

    Raises:
        EarmarkError: A song is silent or too short, both are the same, or the model has no convolutions.
    """
    if importlib.util.find_spec("torch") is None:
        raise MissingExtra("train", "restyle")
    from earmark.features.blend import cross_fade, levelled, match_spectrum
    from earmark.features.spectrogram import spectrogram
    from earmark.training.restyle import STEPS, restyle

    entries = find_files((request.style,), request.exclude).entries
    _check_output(request, entries)
    features = _features(request.model)
    rate = features.frontend.sample_rate
    content = _excerpt(request.content, rate, request.seconds)
    if len(content) < round(request.seconds * rate):
        yield Notice(f"{request.content}: is only {len(content) / rate:.1f} s long, and so is the result.")
    picture = spectrogram(content, features.frontend)
    aim = yield from _aim(request, entries, content, features)
    last: State | None = None
    try:
        for last in restyle(picture, aim.style, features, request.strength):
            yield Progress(last.step, STEPS, "restyling", "steps", {"style left": last.style, "change": last.change})
    except (GeneratorExit, KeyboardInterrupt):
        if last is not None:
            _write(request.output, _sound(last, content, features), rate)
        raise
    assert last is not None
    sound = _sound(last, content, features)
    _write(request.output, sound, rate)
    equalised, both = levelled(match_spectrum(content, aim.spectrum, rate)), cross_fade(content, aim.typical)
    sounds = dict(zip(_SOUNDS, (content, aim.typical, sound, equalised, both), strict=True))
    distances = _distances(sounds, aim.style, features)
    found = Restyled(request.output, len(sound) / rate, aim.songs, last.change, distances)
    if request.report is None:
        return found
    page = _report(request, found, sounds, features.frontend)
    yield Notice(f"The page is {page}.")
    return replace(found, page=str(page))


def _check_output(request: RestyleRequest, style: Sequence[Entry]) -> None:
    out = Path(request.output)
    if out.suffix.lower() != ".wav":
        raise EarmarkError(f"{out}: sound is written as WAV; give a name that ends in .wav")
    if out.is_dir() or not out.parent.is_dir():
        raise StorageError(f"{out}: is a folder, or lies in none; give another -o")
    songs = {Path(song).resolve() for song in (request.content, *(entry.path for entry in style))}
    report = [] if request.report is None else [Path(request.report) / f"{name}.wav" for name in _SOUNDS]
    for target in (out, *report):
        if target.resolve() in songs:
            raise EarmarkError(f"{target}: is one of the songs, and would be written over; give another name")


def _features(model: str) -> Features:
    from earmark.models.registry import find_model
    from earmark.training.restyle import model_features, random_features

    return random_features() if model == "random" else model_features(find_model(model))


def _excerpt(path: str, rate: int, seconds: float) -> Array:
    """The middle of a song (samples,), all at one level.

    Raises:
        AudioError: It cannot be read, is silent or under a second.
    """
    from earmark.audio.track import Excerpts, open_track
    from earmark.features.blend import levelled

    with open_track(path) as track:
        waveform = next(iter(list(track.clips(Excerpts(seconds, 1), rate)))).data
        if "silence" in (track.facts.warning or "").split("; "):
            raise AudioError(path, "empty", "silence, which has no style to take or to change")
    if len(waveform) < _LEAST * rate:
        raise AudioError(path, "too-short", f"{len(waveform) / rate:.1f} s of audio; at least {_LEAST:g} s are needed")
    return levelled(waveform)


def _aim(request: RestyleRequest, entries: Sequence[Entry], content: Array, features: Features) -> Steps[_Aim]:
    """The mean style of the songs that can be used; those that sound just like the content are left out.

    Raises:
        EarmarkError: None is left.
    """
    import numpy as np

    from earmark.features.blend import mean_spectrum
    from earmark.features.spectrogram import spectrogram

    alone, frontend = not Path(request.style).is_dir(), features.frontend
    picture = spectrogram(content, frontend)
    total: Style = ()
    spectra: dict[str, Array] = {}
    for done, entry in enumerate(entries, 1):
        yield Progress(0, None, f"reading song {done} of {len(entries)}")  # nothing yet that would be kept
        try:
            waveform = _excerpt(entry.path, frontend.sample_rate, request.seconds)
            style = features.style(spectrogram(waveform, frontend))
            if features.distance(picture, style) < _SAME or _same(content, waveform, frontend.sample_rate):
                raise AudioError(entry.path, "decode", "sounds just like the content: there is nothing to transfer")
        except AudioError as error:
            if alone:
                raise
            yield Notice(f"{error}; it is left out of the style.")
            continue
        if alone and len(waveform) < round(request.seconds * frontend.sample_rate):
            yield Notice(f"{entry.path}: is only {len(waveform) / frontend.sample_rate:.1f} s long.")
        total = tuple(map(np.add, total, style)) if total else style
        spectra[entry.path] = mean_spectrum(waveform, frontend.sample_rate)
    if not spectra:
        raise EarmarkError(f"{request.style}: no song in it can be used as a style")
    spectrum = np.asarray(np.mean(list(spectra.values()), axis=0), np.float32)
    typical = min(spectra, key=lambda path: float(np.abs(np.log((spectra[path] + 1e-9) / (spectrum + 1e-9))).sum()))
    mean = tuple(np.asarray(gram / len(spectra), np.float32) for gram in total)
    return _Aim(mean, len(spectra), spectrum, _excerpt(typical, frontend.sample_rate, request.seconds))


def _same(content: Array, waveform: Array, rate: int) -> bool:
    """Whether both are stretches of one recording, whatever codec lies between."""
    from earmark.audio.track import resample
    from earmark.evaluation.duplicates import SAMPLE_RATE, find_matches, of_waveform

    return bool(find_matches([of_waveform(resample(one, rate, SAMPLE_RATE)) for one in (content, waveform)]))


def _sound(state: State, content: Array, features: Features) -> Array:
    """The picture as sound, as loud as the content."""
    from earmark.features.blend import levelled
    from earmark.features.invert import invert

    return levelled(invert(state.picture, features.frontend, start=content))[: len(content)]


def _write(path: str, waveform: Array, rate: int) -> None:
    from io import BytesIO

    import soundfile

    from earmark.storage import write_file

    wav = BytesIO()
    soundfile.write(wav, waveform / max(1.0, float(abs(waveform).max())), rate, format="WAV", subtype="PCM_16")
    write_file(Path(path), wav.getvalue())


def _distances(sounds: Mapping[str, Array], style: Style, features: Features) -> dict[str, dict[str, float]]:
    from earmark.features.blend import chroma_distance, onset_distance
    from earmark.features.spectrogram import spectrogram

    content, rate = sounds["content"], features.frontend.sample_rate
    far = {name: features.distance(spectrogram(sound, features.frontend), style) for name, sound in sounds.items()}
    return {
        name: {
            "style": far[name] / far["content"],
            "chroma": chroma_distance(sound, content, rate),
            "onsets": onset_distance(sound, content, rate),
        }
        for name, sound in sounds.items()
    }


def _report(request: RestyleRequest, found: Restyled, sounds: Mapping[str, Array], frontend: Frontend) -> Path:
    """Sounds, their pictures and the page, in a folder that is made where it is missing."""
    from earmark.audio.images import write_image
    from earmark.features.spectrogram import spectrogram
    from earmark.pages.render import write_page
    from earmark.pages.restyle import restyled_page
    from earmark.storage import plain_reason

    folder = Path(str(request.report))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder}: cannot be made: {plain_reason(error)}") from error
    for name, sound in sounds.items():
        picture = spectrogram(sound, frontend)
        write_image(folder / f"{name}.png", (picture - picture.max() + _SHOWN) * (255 / _SHOWN))
        _write(str(folder / f"{name}.wav"), sound, frontend.sample_rate)
    facts = {"content": request.content, "style": request.style, "strength": request.strength, "model": request.model}
    page = restyled_page(found.distances, folder, facts)
    return write_page(folder, page, facts | asdict(found), "restyle.json")
