"""The command `python -m mlkit.train`. Not here: what it does (`mlkit.config.command`)."""

from __future__ import annotations

import sys

from mlkit.config.command import main

if __name__ == "__main__":
    sys.exit(main())
