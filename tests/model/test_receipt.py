"""A receipt holds what is needed to take a repair back, and no key."""

from __future__ import annotations

import json

from wizard.model.receipt import Receipt, from_bytes, to_bytes
from wizard.model.secret import Secret
from wizard.model.step import StepState

KEY = Secret("nvapi-" + "Zq7_kM2x" * 8)


def test_a_reason_that_repeats_a_key_is_masked() -> None:
    receipt = Receipt("id", "fix", "title", "2026-11-26T12:00:00Z", StepState.FAILED, reason=f"said: {KEY.reveal()}")
    written = to_bytes(receipt)

    assert KEY.reveal().encode() not in written
    assert json.loads(written)["reason"] == "said: ****"
    assert from_bytes(written).reason == "said: ****"
