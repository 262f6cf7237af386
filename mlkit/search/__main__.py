"""The command `python -m mlkit.search`. Not here: what it does (`mlkit.config.searching`)."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from mlkit.config.searching.command import main

    sys.exit(main())
