"""The command `python -m mlkit.debug`. Not here: what it does (`mlkit.config.debugging`)."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from mlkit.config.debugging.command import main

    sys.exit(main())
