"""The two shapes of an NGC API key, which also say whom to ask about one."""

from __future__ import annotations

import re

from wizard.model.secret import Secret

PERSONAL, LEGACY, UNKNOWN = "personal", "legacy", "unknown"
"""Kinds of key: a personal or service key of today, an API key of the old kind, and anything else."""
PREFIX = "nvapi-"
USUAL_LENGTH = 70
"""Of a personal key. Those of NVIDIA's other services have other lengths, so it is worth a note and no more."""
LEGACY_LENGTH = 84
# Shapes: trufflehog's detectors and NVIDIA's SDK.
_LEGACY = re.compile(rf"[A-Za-z0-9]{{{LEGACY_LENGTH}}}")


def kind(key: Secret) -> str:
    """The kind of ``key`` by its shape alone."""
    value = key.reveal()
    if value.startswith(PREFIX):
        return PERSONAL
    return LEGACY if _LEGACY.fullmatch(value) else UNKNOWN
