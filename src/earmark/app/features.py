"""Draw what a recipe sees of each song or slice, as a picture; how that sounds; and a page of both to compare."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.app.selection import EngineOptions, find_files, opened_engine
from earmark.errors import AudioError, EarmarkError, RecipeError, StorageError
from earmark.events import Notice, Progress, Steps, use_case
from earmark.inference.records import Failure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from earmark.engine import Alive, Engine
    from earmark.features.frontend import Frontend
    from earmark.pages.pictures import Picture
    from earmark.recipe import Augmentation, Recipe

    Wave = NDArray[np.float32]

__all__ = ["Drawn", "FeaturesRequest", "draw_features"]

_AUDIO_SECONDS = 60.0  # made into sound at most: the search for phases takes a while


@dataclass(frozen=True, kw_only=True)
class FeaturesRequest:
    """What to draw.

    Attributes:
        paths: Files and folders.
        output: The folder that gets a PNG a song, and a page of them where songs are cut, changed or heard.
        recipe: A name or a TOML file.
        augment: Names of augmentations that change every song.
        seed: Of the changes.
        audio: Write a WAV beside each picture.
        slices: Cut each song into the recipe's clips, end to end: a picture each, in a folder a song.
        exclude: Patterns of files that are left out.
        jobs: Files at a time; as many as cores where None.
    """

    paths: tuple[str, ...] = ()
    output: str
    recipe: str = "slices-best"
    augment: tuple[str, ...] = ()
    seed: int = 0
    audio: bool = False
    slices: bool = False
    exclude: tuple[str, ...] = ()
    jobs: int | None = None


@dataclass(frozen=True)
class Drawn:
    """The files that were written, the songs that could not be drawn, and the page of the pictures, if there is one."""

    files: tuple[str, ...]
    failures: tuple[Failure, ...]
    page: str | None = None


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is done with every song."""

    recipe: Recipe
    changes: tuple[Augmentation, ...]
    seed: int
    audio: bool
    slices: bool


@dataclass(frozen=True, slots=True)
class _Song:
    """A song, where its picture goes, and its place in the list."""

    path: str
    target: str
    place: int


@use_case
def draw_features(request: FeaturesRequest, engine: Engine | None = None) -> Steps[Drawn]:
    """Draw every song.

    Raises:
        EarmarkError: The recipe takes pictures, a file cannot be written, or two songs would go to one place.
    """
    from earmark.engine import Each
    from earmark.recipe import load_recipe

    recipe = load_recipe(request.recipe)
    if recipe.frontend.kind == "image":
        raise RecipeError(f"{request.recipe}: takes pictures as they are; there is nothing to draw")
    plan = _Plan(recipe, _changes(request.augment, recipe), request.seed, request.audio, request.slices)
    found = find_files(request.paths, request.exclude)
    targets = _targets(request.paths, found.paths, Path(request.output))
    pairs = zip(found.paths, targets, strict=True)
    songs = [_Song(path, str(target), place) for place, (path, target) in enumerate(pairs)]
    failures = [Failure.of(entry.error) for entry in found.entries if entry.error is not None]
    readable = [song for song, entry in zip(songs, found.entries, strict=True) if entry.error is None]
    pictures: list[Picture] = []
    yield Progress(0, len(readable))
    task: Each[_Song, list[Picture]] = Each(partial(_draw, plan=plan), lively=True)
    with (
        opened_engine(engine, EngineOptions(jobs=request.jobs)) as workers,
        closing(workers.map(task, readable)) as results,
    ):
        for done, result in enumerate(results, 1):
            if isinstance(result, Failure):
                failures.append(result)
            else:
                pictures += result.value
            yield Progress(done, len(readable))
    for failure in failures:
        yield Notice(f"{failure.path}: {failure.message}")
    page = None
    if pictures and (plan.changes or plan.slices or plan.audio):
        page = str(_write_page(pictures, Path(request.output), plan))
        yield Notice(f"The page is {page}.")
    return Drawn(tuple(path for picture in pictures for path in picture.paths), tuple(failures), page)


def _write_page(pictures: Sequence[Picture], folder: Path, plan: _Plan) -> Path:
    from earmark.pages.pictures import write_pictures

    changed = ", ".join(change.name for change in plan.changes)
    parts = (f"recipe {plan.recipe.name}", changed and f"changed by {changed}", "time runs to the right, pitch upwards")
    return write_pictures(pictures, folder, f"What {plan.recipe.name} sees", " · ".join(filter(None, parts)))


def _changes(names: Sequence[str], recipe: Recipe) -> tuple[Augmentation, ...]:
    """The augmentations named, with the recipe's ranges where it has them, without chance."""
    from earmark.recipe import Augmentation
    from earmark.training.augment import check_augmentations

    own = {change.name: change for change in recipe.augment}
    each = [name.strip() for text in names for name in text.split(",") if name.strip()]
    changes = tuple(replace(own.get(name, Augmentation(name)), probability=1.0) for name in each)
    check_augmentations(changes)
    return changes


def _targets(arguments: Sequence[str], paths: Sequence[str], folder: Path) -> Iterator[Path]:
    """Where each song's picture goes: ``FOLDER/<path below the argument>``, without its ending.

    Raises:
        EarmarkError: Two songs would go to one place.
    """
    taken: dict[Path, str] = {}
    for path in paths:
        above = [Path(argument) for argument in arguments if Path(argument) in Path(path).parents]
        below = Path(path).relative_to(above[0]) if above else Path(Path(path).name)
        target = folder / below
        if target in taken:
            raise EarmarkError(f"{taken[target]} and {path} would both be written to {target}; name them in two calls")
        taken[target] = path
        yield target


def _draw(song: _Song, plan: _Plan, alive: Alive) -> list[Picture]:
    """One song's pictures, and their sound, as they are written."""
    import numpy as np

    from earmark.audio.track import load
    from earmark.pages.pictures import Picture
    from earmark.training.augment import augment_spectrogram, augment_waveform, shrink, zoom_factor

    frontend, changes = plan.recipe.frontend, plan.changes
    rng = np.random.default_rng([plan.seed, song.place])
    original = load(Path(song.path), frontend.sample_rate, alive=alive)
    changed = augment_waveform(original, frontend.sample_rate, changes, rng)
    factor = zoom_factor(changes, rng)
    if plan.slices and len(original) < factor * round(plan.recipe.clip.seconds * frontend.sample_rate):
        factor = 1
    pieces = _cut(song, changed, plan, factor)
    before = _cut(song, original, plan) if changes else []
    found = []
    for number, (name, plain, waveform) in enumerate(pieces):
        picture = augment_spectrogram(shrink(plain, factor, frontend), changes, rng)
        target = Path(song.target) / f"{number:03d}" if plan.slices else Path(song.target)
        redrawn = picture if picture is not plain else None
        files = [("after" if changes else "", *_write(target, "", picture, (waveform, redrawn), plan))]
        if changes:
            _, plain, waveform = before[number * factor if plan.slices else number]
            files.insert(0, ("before", *_write(target, ".before", plain, (waveform, None), plan)))
        found.append(Picture(song.path, name, tuple(files)))
        alive()
    return found


def _cut(song: _Song, waveform: Wave, plan: _Plan, factor: int = 1) -> list[tuple[str, Wave, Wave]]:
    """Name, spectrogram and sound of a song: of all of it, or slice by slice, each ``factor`` clips long."""
    from earmark.audio.track import fit
    from earmark.features.spectrogram import relate_to_peak, spectrogram

    frontend, clip = plan.recipe.frontend, plan.recipe.clip
    samples = round(clip.seconds * frontend.sample_rate)
    if plan.slices and 0 < len(waveform) < samples:
        waveform = fit(waveform, samples, clip.pad)
    apart = plan.slices and frontend.kind == "mel"
    whole = spectrogram(waveform, replace(frontend, relative=False, range_db=0.0) if apart else frontend)
    if not len(whole):
        raise AudioError(Path(song.path), "too-short", "not one frame of the recipe's spectrogram")
    if not plan.slices:
        return [("", whole, waveform)]
    frames, hop = factor * frontend.frames(samples), frontend.hop_length
    return [
        (
            f"{start * hop / frontend.sample_rate:.1f} s",
            relate_to_peak(whole[start : start + frames], frontend),
            waveform[start * hop : start * hop + factor * samples],
        )
        for start in range(0, len(whole) - frames + 1, frames)
    ]


def _write(
    target: Path, suffix: str, picture: Wave, sound: tuple[Wave, Wave | None], plan: _Plan
) -> tuple[str, str | None]:
    """A picture and, where it is asked for, its sound; their files."""
    from earmark.audio.images import write_image

    image, audio = (target.with_name(f"{target.name}{suffix}.{ending}") for ending in ("png", "wav"))
    try:
        image.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{image.parent}: cannot be made: {error.strerror}") from error
    write_image(image, _grey(picture, plan.recipe.frontend.kind))
    if not plan.audio:
        return str(image), None
    _write_sound(audio, *sound, plan.recipe.frontend)
    return str(image), str(audio)


def _grey(picture: NDArray[np.float32], kind: str) -> NDArray[np.float32]:
    """0..255: SoX's steps as SoX shows them, others from the quietest to the loudest."""
    from earmark.features.sox import STEPS

    low, high = (0, STEPS + 1) if kind == "sox" else (float(picture.min()), float(picture.max()))
    grey: NDArray[np.float32] = (picture - low) * (255 / max(high - low, 1e-9))
    return grey


def _write_sound(file: Path, waveform: Any, picture: Any, frontend: Frontend) -> None:
    """The sound itself, or where the picture was changed a sound that looks like it."""
    import numpy as np
    import soundfile

    from earmark.features.invert import invert

    if picture is not None:
        waveform = invert(picture[: round(_AUDIO_SECONDS * frontend.frames_per_second)], frontend)
    try:
        soundfile.write(file, np.clip(waveform, -1, 1), frontend.sample_rate, subtype="PCM_16")
    except (OSError, soundfile.LibsndfileError) as error:
        raise StorageError(f"{file}: cannot be written: {error}") from error
