"""``earmark features``: what a recipe sees of songs, as pictures; and, on demand, how it sounds."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.app.selection import find_files
from earmark.cli import console
from earmark.cli.progress import Progress
from earmark.errors import AudioError, EarmarkError, RecipeError, StorageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from earmark.features.frontend import Frontend
    from earmark.recipe import Augmentation, Recipe

HELP = "write what a recipe sees of each song as a picture, or as sound"

_AUDIO_SECONDS = 60.0  # made into sound at most: the search for phases takes a while


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is done with every song."""

    recipe: Recipe
    changes: tuple[Augmentation, ...]
    seed: int
    audio: bool


@dataclass(slots=True)
class _Done:
    """What became of the songs."""

    files: list[str] = field(default_factory=list)
    failures: list[AudioError] = field(default_factory=list)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="audio files, or folders of them")
    parser.add_argument("-r", "--recipe", default="slices-best", help="name or TOML file (default: %(default)s)")
    parser.add_argument("-o", "--output", metavar="FOLDER", required=True, help="gets a PNG a song, as a.mp3.png")
    parser.add_argument("--augment", metavar="NAME", action="append", default=[], help="change every song by this")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of the changes")
    parser.add_argument("--audio", action="store_true", help="a WAV beside each picture: the changed sound itself, or "
                        "sound made from the picture")  # fmt: skip
    console.add_format(parser)


def run(args: argparse.Namespace) -> int:
    """Write pictures, and sound."""
    from earmark.recipe import load_recipe

    recipe = load_recipe(args.recipe)
    if recipe.frontend.kind == "image":
        raise RecipeError(f"{args.recipe}: takes pictures as they are; there is nothing to draw")
    plan = _Plan(recipe, _changes(args.augment, recipe), args.seed, args.audio)
    found = find_files(args.paths)
    targets = list(_targets(args.paths, [entry.path for entry in found.entries], Path(args.output)))
    done, progress = _Done(), Progress(len(targets))

    def work(place: int) -> list[str]:
        entry = found.entries[place]
        if entry.error is not None:
            raise entry.error
        return _song(Path(entry.path), targets[place], plan, place)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for future in [pool.submit(work, place) for place in range(len(targets))]:
            try:
                done.files += future.result()
            except AudioError as error:
                done.failures.append(error)
            progress.step()
    progress.clear()
    return _tell(args, done)


def _changes(names: list[str], recipe: Recipe) -> tuple[Augmentation, ...]:
    """The augmentations named, with the recipe's ranges where it has them, without chance."""
    from dataclasses import replace

    from earmark.recipe import Augmentation
    from earmark.training.augment import check_augmentations

    own = {change.name: change for change in recipe.augment}
    changes = tuple(replace(own.get(name, Augmentation(name)), probability=1.0) for name in names)
    check_augmentations(changes)
    return changes


def _targets(arguments: list[str], paths: list[str], folder: Path) -> Iterator[Path]:
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


def _song(path: Path, target: Path, plan: _Plan, place: int) -> list[str]:
    """One song's picture, and its sound: the files written."""
    import numpy as np

    from earmark.audio.decode import load
    from earmark.audio.images import write_image
    from earmark.features.spectrogram import spectrogram
    from earmark.training.augment import augment_spectrogram, augment_waveform, shrink, zoom_factor

    frontend, changes = plan.recipe.frontend, plan.changes
    rng = np.random.default_rng([plan.seed, place])
    waveform = augment_waveform(load(path, frontend.sample_rate), frontend.sample_rate, changes, rng)
    plain = spectrogram(waveform, frontend)
    if not len(plain):
        raise AudioError(path, "too-short", "not one frame of the recipe's spectrogram")
    picture = augment_spectrogram(shrink(plain, zoom_factor(changes, rng), frontend), changes, rng)
    image, sound = target.with_name(target.name + ".png"), target.with_name(target.name + ".wav")
    try:
        image.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{image.parent}: cannot be made: {error.strerror}") from error
    write_image(image, _grey(picture, frontend.kind))
    if not plan.audio:
        return [str(image)]
    _write_sound(sound, waveform, picture if picture is not plain else None, frontend)
    return [str(image), str(sound)]


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


def _tell(args: argparse.Namespace, done: _Done) -> int:
    failures = [{"path": e.path, "error": {"kind": e.kind, "message": e.message}} for e in done.failures]
    if console.wants_json(args):
        console.print_json({"files": done.files, "failures": failures})
    else:
        print(f"{console.plain(args.output)}: {len(done.files)} files")
        if failures:
            rows = [(e.path, e.kind, e.message) for e in done.failures]
            console.print_table(("not drawn", "kind", "message"), rows)
    for error in done.failures:
        print(console.plain(str(error)), file=sys.stderr)
    if not done.files:
        raise EarmarkError("not one song could be drawn")
    return 3 if failures else 0
