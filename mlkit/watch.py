"""`python -m mlkit.watch script.py`: run any PyTorch program under the doctor.

Not here: everything that it does (`mlkit.debug`).
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from mlkit.debug.command import main

    sys.exit(main())
