"""The worker's own path for ``bench/speed.py``: reads one path a line, takes it as ``tag`` does, down to its JSON."""

from __future__ import annotations

import json
import sys

from earmark.inference.options import HearingOptions
from earmark.inference.tagger import load_model
from measure import EXCERPT, serve


def main() -> None:
    """Serve."""
    tagger = load_model(sys.argv[1])
    options = HearingOptions(excerpt=EXCERPT)
    serve(lambda path: json.dumps(tagger.predict(path, options=options).to_dict()))


if __name__ == "__main__":
    main()
