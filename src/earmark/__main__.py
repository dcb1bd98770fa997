"""``python -m earmark``, and the program ``earmark``."""

import _thread
import sys
import threading

__all__ = ["main"]


def _unraised(found: "sys.UnraisableHookArgs") -> None:
    """Ctrl-C while Python itself calls back, where nothing can be raised: it comes again a moment later."""
    if found.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(found)
        return
    again = threading.Timer(0.01, _thread.interrupt_main)
    again.daemon = True
    again.start()


def main() -> int:
    """Run the command line of this process; Ctrl-C is no traceback from the first import on."""
    sys.unraisablehook = _unraised
    try:
        from earmark.cli import main as run
    except KeyboardInterrupt:
        return 130
    return run()


if __name__ == "__main__":  # worker processes import this module again
    sys.exit(main())
