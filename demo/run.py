"""``make demo``: tag a dozen pieces that are rendered on the spot, or the music of whoever asks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from render import render_all


def main() -> int:
    """Render, if no folder is given, and tag."""
    if sys.argv[1:]:
        return tag(sys.argv[1:])
    folder = Path("demo-out")
    print("These pieces are synthetic, rendered here from notes: the repository carries no one else's music.")
    print("They sound like sketches, so take the labels as such. Your own music: make demo MUSIC=/path\n", flush=True)
    render_all(folder)
    return tag([str(folder)])


def tag(paths: list[str]) -> int:
    """The command that anybody would type."""
    print(f"$ earmark tag {' '.join(paths)}", flush=True)
    return subprocess.run([sys.executable, "-m", "earmark", "tag", "-f", "table", *paths], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
