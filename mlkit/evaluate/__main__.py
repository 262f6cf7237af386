"""The command `python -m mlkit.evaluate`. Not here: what it does (`mlkit.config.evaluating`)."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from mlkit.config.evaluating.command import main

    sys.exit(main())
