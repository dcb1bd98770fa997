"""``python -m earmark``, and the program ``earmark``."""

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line of this process; Ctrl-C is no traceback from the first import on."""
    try:
        from earmark.cli import main as run
    except KeyboardInterrupt:
        return 130
    return run()


if __name__ == "__main__":  # worker processes import this module again
    sys.exit(main())
