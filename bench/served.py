"""The worker's own path for ``bench/run.py``: reads one path a line, hears it as ``tag`` does, and answers."""

from __future__ import annotations

import sys

from earmark.inference.options import HearingOptions
from earmark.inference.tagger import load_model


def main() -> None:
    """Serve."""
    tagger = load_model(sys.argv[1])
    options = HearingOptions(excerpt=30.0)
    print("ready", flush=True)
    for line in sys.stdin:
        tagger.predict(line.rstrip("\n"), options=options)
        print("done", flush=True)


if __name__ == "__main__":
    main()
