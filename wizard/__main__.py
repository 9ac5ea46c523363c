"""``python -m wizard`` is ``s2s-wizard``."""

from __future__ import annotations

import sys

from wizard.cli import main

sys.exit(main())
