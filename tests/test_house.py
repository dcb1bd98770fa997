"""The rules of the house, as far as a machine can check them: names, sizes, imports, and pages that are true."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import earmark
from earmark.paths import data_folder
from sounds import melody, write

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src" / "earmark").rglob("*.py"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXT = {".py", ".md", ".toml", ".txt", ".yml", ".yaml", ".json", ".html", ".css", ".js", ".svg", ".tsv", ".csv", ""}
FORBIDDEN = {
    "a machine's path": r"/work/|/tmp/(?!bash)venv|/root/|/home/[a-z]+/|wt-[a-z]+/",
    "a registry": r"https?://(?:[\w.-]*pypi|files\.pythonhosted|download\.pytorch)|--(?:extra-)?index-url|--find-links",
}


def tracked() -> list[Path]:
    """Files that git knows; where there is no git, those of the usual folders."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
        return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    except (OSError, subprocess.CalledProcessError):
        return [file for part in ("src", "tests", "docs", "bench", "demo") for file in (ROOT / part).rglob("*.*")]


def test_public_names_are_complete() -> None:
    """Whatever ``earmark`` offers is there, documented, and listed once."""
    assert sorted(set(earmark.__all__)) == earmark.__all__
    assert set(earmark.__all__) <= set(dir(earmark))
    assert set(earmark._HOMES) | {"__version__"} == set(earmark.__all__)
    reference = (ROOT / "docs" / "reference" / "python.md").read_text("utf-8")
    for name in earmark._HOMES:
        thing = getattr(earmark, name)
        assert inspect.getdoc(thing), f"{name} has no docstring"
        assert f"`{name}" in reference or f"`{name}`" in reference, f"docs/reference/python.md does not name {name}"
    with pytest.raises(AttributeError, match="nonsense"):
        earmark.nonsense  # noqa: B018


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT / "src" / "earmark")))
def test_modules_are_small_and_say_what_they_offer(file: Path) -> None:
    """700 lines a module, 50 a function; ``__all__`` holds what exists (ruff counts parameters and branches)."""
    text = file.read_text("utf-8")
    assert text.count("\n") <= 700, f"{file.name} has more than 700 lines"
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            begin = node.body[0].end_lineno if ast.get_docstring(node) else node.lineno
            length = (node.end_lineno or 0) - (begin or 0) + 1
            assert length <= 50, f"{file.name}: {node.name} has {length} lines"
    offered = _offered(tree)
    defined = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    defined |= {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    imported = {
        (alias.asname or alias.name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    assert offered <= defined | imported, f"{file.name}: __all__ names what is not there"


def _offered(tree: ast.Module) -> set[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return {str(ast.literal_eval(item)) for item in node.value.elts}
    return set()


def test_only_the_command_line_prints() -> None:
    for file in SOURCES:
        if "cli" in file.parts:
            continue
        calls = [n for n in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(n, ast.Call)]
        assert not [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"], f"{file} prints"


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_names(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    for file in tracked():
        if file == Path(__file__) or file.suffix not in TEXT:
            continue
        try:
            text = file.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        found = pattern.search(text)
        assert not found, f"{file.relative_to(ROOT)} names {what}: {found.group()!r}" if found else ""


def test_nobody_elses_audio_is_in_the_repository() -> None:
    from earmark.audio.files import has_audio_name

    assert not [file for file in tracked() if has_audio_name(file.name) and file.suffix != ".mp4"]


def test_imports_go_one_way() -> None:
    """The contracts of pyproject.toml hold; ``lint-imports`` is what `make check` runs."""
    pytest.importorskip("importlinter")
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize(
    "file", [file for part in ("bench", "demo", "scripts") for file in sorted((ROOT / part).rglob("*.py"))],
    ids=lambda file: str(file.relative_to(ROOT)),
)  # fmt: skip
def test_what_benches_and_scripts_take_of_the_package_is_there(file: Path) -> None:
    """Most of it is imported where it is needed: a name that has moved would show hours later, or in a table's cell."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "earmark":
            module = importlib.import_module(node.module or "")
            for name in node.names:
                if not hasattr(module, name.name):
                    importlib.import_module(f"{node.module}.{name.name}")


def test_listening_imports_nothing_of_training() -> None:
    """What a plain install has is enough to import everything below training, and every verb."""
    plain = {re.split(r"[<>=\[; ]", line)[0].lower() for line in _project()["dependencies"]}
    assert plain == {"numpy", "soundfile", "soxr", "av", "onnxruntime", "safetensors"} | {
        "platformdirs",
        "filelock",
        "jinja2",
    }
    code = (
        "import sys, importlib\n"
        "for name in ('torch', 'scipy', 'sklearn', 'onnx', 'librosa', 'mutagen', 'pescador', 'fastapi', 'uvicorn'):\n"
        "    sys.modules[name] = None\n"
        "for module in sys.argv[1:]:\n"
        "    importlib.import_module(module)\n"
    )
    below = [_module(file) for file in SOURCES if not {"training", "server", "__main__.py"} & set(file.parts)]
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code, *below], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr[-2000:]


def _module(file: Path) -> str:
    parts = file.relative_to(ROOT / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_everything_needed_is_pinned() -> None:
    pins = dict(
        line.lower().replace("_", "-").split("==")
        for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
        if line and not line.startswith("#")
    )
    project = _project()
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]
    wanted = [*project["dependencies"], *groups["dev"]]
    for extra in project["optional-dependencies"].values():
        wanted += [line for line in extra if not line.startswith("earmark[")]
    for line in wanted:
        name = re.split(r"[<>=\[; ]", line)[0].lower().replace("_", "-")
        assert name in pins, f"constraints.txt does not pin {name}"
    assert pins["torch"] == "2.13.0"


def test_the_version_is_one() -> None:
    assert earmark.__version__ == _project()["version"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", re.sub(r"\s+", " ", page.read_text("utf-8"))):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def examples(language: str) -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for number, block in enumerate(re.findall(rf"```{language}\n(.*?)```", page.read_text("utf-8"), re.DOTALL)):
            yield f"{page.relative_to(ROOT)}-{number}", block


@pytest.fixture
def music(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> Path:
    """A folder with the files that the pages speak of, and a model called ``default`` even where none is bundled."""
    for name in ("song", "one", "two"):
        write(tmp_path / f"{name}.mp3", melody(3, 22050), 22050, form="WAV")
    write(tmp_path / "two.flac", melody(3, 22050, 2), 22050)
    shutil.copytree(tiny_model, data_folder() / "models" / "default")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("where", "code"), [pytest.param(*example, id=example[0]) for example in examples("python")])
@pytest.mark.usefixtures("music")
def test_python_examples_run(where: str, code: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(code, where, "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out


@pytest.mark.parametrize(("where", "text"), [pytest.param(*example, id=example[0]) for example in examples("json")])
def test_json_examples_are_json(where: str, text: str) -> None:
    decoder, text = json.JSONDecoder(), text.strip()
    while text:
        _, end = decoder.raw_decode(text)
        text = text[end:].strip()


def test_verbs_that_pages_name_exist() -> None:
    """Every ``earmark VERB`` of a page is a verb, with the long options that it is shown with."""
    from earmark.cli import settings, verbs

    known = verbs.names()
    for page in PAGES:
        for command in re.findall(r"(?<!beet )\bearmark ([a-z][a-z-]*)([^`\n|#&]*)", _commands(page)):
            verb, rest = command
            assert verb in known, f"{page.relative_to(ROOT)}: earmark {verb}"
            options = settings.options(verbs.verb_parser(verb, verbs.load(verb)))
            for option in re.findall(r"(?<=\s)--([a-z-]+)", rest):
                assert option in options or option in ("config", "help"), f"{page.relative_to(ROOT)}: {verb} --{option}"


def _commands(page: Path) -> str:
    text = page.read_text("utf-8")
    consoles = "\n".join(re.findall(r"```console\n(.*?)```", text, re.DOTALL))
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return consoles + "\n" + "\n".join(code for code in re.findall(r"`([^`]+)`", prose) if code.startswith("earmark "))


def test_the_demo_renders_twelve_different_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rendered the same each time, finite, neither silent nor clipped."""
    import numpy as np

    monkeypatch.syspath_prepend(str(ROOT / "demo"))
    render = importlib.import_module("render")
    monkeypatch.setattr(render, "SECONDS", 3.0)
    assert len(render.PIECES) == 12
    waves = [render.render(style, seed) for seed, style in enumerate(render.PIECES.values())]
    for wave in waves:
        assert wave.shape == (3 * render.RATE, 2)
        assert np.isfinite(wave).all()
        assert 0.02 < wave.std() < 0.5
        assert np.abs(wave).max() <= 0.71
    assert np.array_equal(waves[0], render.render(next(iter(render.PIECES.values())), 0))


def test_the_readme_shows_what_the_demo_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The songs of the README's example, as they come out of the demo and ``earmark tag``."""
    from earmark.cli import main

    shown = (ROOT / "README.md").read_text("utf-8").split("```\nsong ")[1].split("```")[0]
    monkeypatch.syspath_prepend(str(ROOT / "demo"))
    render = importlib.import_module("render")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    render.render_all(Path("demo-out"))
    assert main(["tag", "demo-out", "-f", "table", "-j", "1"]) == 0
    printed = capsys.readouterr().out
    lines = [line.rstrip() for line in printed.splitlines()]
    for line in shown.splitlines()[1:]:
        assert line.rstrip() in lines or line.startswith("tagged "), line


def test_two_commands_set_up_everything() -> None:
    """The README's two commands are targets of the Makefile that depend on what they need."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    readme = (ROOT / "README.md").read_text("utf-8")
    for target, needs in (("demo", "$(PLAIN)/ready"), ("test", "$(DEV)/ready")):
        assert re.search(rf"^{target}: {re.escape(needs)}", makefile, re.MULTILINE)
        assert f"$ make {target}" in readme
    assert "make test" in (ROOT / ".ci" / "run").read_text("utf-8")
