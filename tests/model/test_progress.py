"""Progress never lies: never back, never past the total, never everything before the end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wizard.model.image import Layer
from wizard.model.progress import PullProgress, Wait

Message = dict[str, Any]
LAYERS = tuple(Layer(f"sha256:{letter * 64}", size) for letter, size in (("a", 1000), ("b", 5_244_735), ("c", 300)))
A, B, C = (layer.digest[7:19] for layer in LAYERS)
TOTAL = sum(layer.size for layer in LAYERS)


def say(layer: str, status: str, current: int | None = None, total: int | None = None, **more: object) -> Message:
    detail = {key: value for key, value in (("current", current), ("total", total)) if value is not None}
    return {"status": status, "progressDetail": {**detail, **more}, "id": layer}


def fed(*messages: Message, layers: tuple[Layer, ...] | None = LAYERS, config: int = 0) -> PullProgress:
    progress = PullProgress(layers, config)
    for second, message in enumerate(messages):
        progress.feed(message, float(second))
    return progress


# --- whatever the engine says ---

STATUSES = [
    "Pulling from nvidia/tensorflow",
    "Pulling fs layer",
    "Waiting",
    "Downloading",
    "Verifying Checksum",
    "Download complete",
    "Extracting",
    "Pull complete",
    "Already exists",
    "Retrying in 5 seconds",
    "Digest: sha256:" + "0" * 64,
    "Status: Downloaded newer image",
    "something new",
]
numbers = st.one_of(st.integers(-5, 6_000_000), st.floats(), st.none(), st.text(max_size=3), st.booleans())
details = st.one_of(
    st.none(),
    st.text(max_size=2),
    st.fixed_dictionaries({}, optional={"current": numbers, "total": numbers, "units": st.sampled_from(["s", ""])}),
)
messages = st.fixed_dictionaries(
    {},
    optional={
        "status": st.one_of(st.sampled_from(STATUSES), st.none(), st.integers()),
        "id": st.one_of(st.sampled_from([A, B, C, "d" * 12, "20.11-tf1-py3", "WARNING"]), st.none(), st.integers()),
        "progressDetail": details,
    },
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(messages, st.floats(0, 40)), max_size=60), st.booleans(), st.integers(0, 3000))
def test_whatever_comes_it_never_goes_back_and_never_ends_early(
    stream: list[tuple[Message, float]], known: bool, config: int
) -> None:
    progress = PullProgress(LAYERS if known else None, config)
    now = seen = 0.0
    for message, pause in stream:
        now += pause
        progress.feed(message, now)
        event = progress.snapshot(now)
        assert event.done >= seen
        seen = event.done
        assert event.unit == "bytes"
        assert event.phase
        assert event.rate is None or event.rate >= 0
        assert event.eta is None or event.eta > 0
        if known:
            assert event.total == TOTAL + config
            assert event.done < event.total
        else:
            assert (event.total, event.eta) == (None, None)
    progress.finish()
    event = progress.snapshot(now)
    assert event.done >= seen
    assert not known or event.done == event.total


@given(st.lists(st.tuples(st.sampled_from([A, B, C]), st.integers(1, 5_244_735)), max_size=40))
def test_a_resumed_layer_goes_on_where_it_was(cuts: list[tuple[str, int]]) -> None:
    """However often a layer is cut, current and the remainder give the bytes that are here."""
    sizes = {A: 1000, B: 5_244_735, C: 300}
    here = dict.fromkeys(sizes, 0)
    progress = PullProgress(LAYERS)
    for layer, amount in cuts:
        remainder = sizes[layer] - here[layer]
        amount = min(amount, remainder)
        progress.feed(say(layer, "Retrying in 1 second"), 0.0)
        progress.feed(say(layer, "Downloading", amount, remainder), 0.0)
        if remainder:
            here[layer] += amount
        assert progress.done == min(sum(here.values()), TOTAL - 1)


# --- what engines are known to say ---


def test_a_whole_pull() -> None:
    progress = PullProgress(LAYERS, config_size=50)
    seen = []
    stream = [
        {"status": "Pulling from nvidia/tensorflow", "id": "20.11-tf1-py3"},
        *(say(layer, "Pulling fs layer") for layer in (A, B, C)),
        say(C, "Waiting"),
        say(A, "Downloading", 500, 1000),
        say(A, "Download complete"),
        say(B, "Downloading", 1_572_864, 5_244_735),
        say(A, "Extracting", 1000, 1000),
        say(A, "Pull complete"),
        *(say(B, f"Retrying in {left} seconds") for left in (2, 1)),
        say(B, "Downloading", 32_768, 3_244_735),
        say(C, "Downloading", 300, 300),
        say(B, "Verifying Checksum"),
        say(C, "Verifying Checksum"),
        say(B, "Pull complete"),
        say(C, "Pull complete"),
        {"status": "Digest: sha256:" + "e" * 64},
        {"status": "Status: Downloaded newer image for nvidia/tensorflow:20.11-tf1-py3"},
    ]
    for second, message in enumerate(stream):
        progress.feed(message, float(second))
        event = progress.snapshot(float(second))
        seen.append((event.done, event.phase))
    phases = list(dict.fromkeys(phase for _, phase in seen))
    assert phases == [
        "starting",
        "0 of 3 layers downloaded, 0 unpacked",
        "1 of 3 layers downloaded, 0 unpacked",
        "1 of 3 layers downloaded, 1 unpacked",
        "the connection broke, trying again",
        "2 of 3 layers downloaded, 1 unpacked",
        "all downloaded, unpacking: 1 of 3 layers",
        "all downloaded, unpacking: 2 of 3 layers",
        "checking",
    ]
    assert [done for done, _ in seen][5:8] == [500, 1000, 1000 + 1_572_864]
    assert progress.done == TOTAL  # the configuration's 50 bytes are still counted as missing
    assert progress.digest == "sha256:" + "e" * 64
    progress.finish()
    assert (progress.done, progress.phase) == (TOTAL + 50, "done")


def test_the_remainder_is_not_taken_for_the_size() -> None:
    """Measured on Docker 20.10: 1572864/5244735, a cut, then 32768/3244735."""
    progress = fed(say(B, "Downloading", 1_572_864, 5_244_735), say(B, "Downloading", 32_768, 3_244_735))
    assert progress.done == 5_244_735 - (3_244_735 - 32_768)


def test_a_layer_that_starts_again_does_not_go_back() -> None:
    progress = fed(say(B, "Downloading", 4_000_000, 5_244_735), say(B, "Downloading", 10, 5_244_735))
    assert progress.done == 4_000_000


def test_a_total_that_is_absent() -> None:
    assert fed(say(B, "Downloading", 4_000_000)).done == 4_000_000
    assert fed(say(B, "Downloading", 4_000_000), say(B, "Download complete")).done == 5_244_735


def test_missing_messages_are_made_up_for() -> None:
    assert fed(say(A, "Pull complete"), say(B, "Extracting", 7, 100)).done == 1000 + 5_244_735


def test_seconds_are_not_bytes() -> None:
    """Docker 29 unpacks in seconds: ``{"current": 3, "units": "s"}``."""
    progress = fed(say(A, "Extracting", 3, units="s"), say(A, "Extracting", 4, units="s"))
    assert progress.done == 1000
    assert progress.moved_at == 1.0
    assert fed(say(B, "Downloading", 3, units="s")).done == 0


def test_ids_that_are_no_layers() -> None:
    progress = fed(
        {"status": "Pulling from x", "id": "deadbeef0123"},
        say("WARNING", "Downloading", 5, 9),
        say("f" * 12, "Waiting"),
    )
    assert (progress.done, progress.total) == (0, TOTAL)
    assert progress.phase == "starting"


def test_what_is_here_already_is_done_but_was_not_fast() -> None:
    progress = fed(say(B, "Already exists"), say(A, "Downloading", 100, 1000), *[say(A, "Waiting")] * 3)
    event = progress.snapshot(5.0)
    assert event.done == 5_244_735 + 100
    assert event.rate == pytest.approx(100 / 5)


def test_a_digest_that_is_used_twice_is_fetched_once() -> None:
    progress = fed(say(A, "Pull complete"), layers=(LAYERS[0], LAYERS[0]), config=1)
    assert (progress.total, progress.done) == (1001, 1000)


def test_an_image_without_layers() -> None:
    progress = PullProgress(())
    assert (progress.total, progress.done) == (None, 0)
    progress.finish()
    assert progress.snapshot(0.0).total is None


def test_without_a_manifest_layers_are_learned_and_the_total_stays_unknown() -> None:
    progress = fed(
        say(A, "Pulling fs layer"),
        say(B, "Pulling fs layer"),
        say(A, "Downloading", 400, 1000),
        say(A, "Downloading", 100, 600),
        say(C, "Download complete"),
        layers=None,
    )
    assert (progress.done, progress.total) == (500, None)
    assert progress.phase == "1 of 3 layers downloaded, 0 unpacked"


@pytest.mark.parametrize("text", ["unexpected EOF", ""])
def test_an_error_is_kept(text: str) -> None:
    assert fed({"errorDetail": {"message": text}, "error": text}).error == text


# --- speed and time left ---


def test_speed_and_time_left_are_named_only_when_they_are_known() -> None:
    progress = PullProgress(LAYERS)
    assert (progress.snapshot(0.0).rate, progress.snapshot(0.0).eta) == (None, None)
    for second in range(6):
        progress.feed(say(B, "Downloading", 100_000 * second, 5_244_735), float(second))
        event = progress.snapshot(float(second))
        if second < 2:
            assert (event.rate, event.eta) == (None, None)
        else:
            assert event.rate == pytest.approx(100_000)
            assert event.eta == pytest.approx((TOTAL - 100_000 * second) / 100_000)
    # nothing comes any more: the speed falls, and in the end there is no honest estimate
    assert (progress.snapshot(10.0).rate or 0) < 100_000
    assert (progress.snapshot(20.0).rate, progress.snapshot(20.0).eta) == (0.0, None)


def test_the_speed_is_that_of_the_last_seconds() -> None:
    progress = PullProgress(LAYERS)
    for second in range(60):
        current = 10_000 * min(second, 30) + 100_000 * max(0, second - 30)
        progress.feed(say(B, "Downloading", current, 5_244_735), float(second))
    assert progress.snapshot(59.0).rate == pytest.approx(100_000)


def test_unpacking_has_no_speed() -> None:
    progress = fed(*(say(layer, "Download complete") for layer in (A, B, C)))
    assert (progress.snapshot(9.0).rate, progress.snapshot(9.0).eta) == (None, None)


# --- stalls ---


def test_only_movement_counts_as_movement() -> None:
    progress = fed(
        say(A, "Pulling fs layer"),
        say(A, "Downloading", 5, 1000),
        say(A, "Downloading", 5, 1000),
        say(A, "Retrying in 5 seconds"),
    )
    assert (progress.moved_at, progress.waits_for) == (1.0, Wait.RETRY)
    progress.feed(say(A, "Downloading", 6, 1000), 9.0)
    assert (progress.moved_at, progress.waits_for) == (9.0, Wait.NETWORK)


def test_what_is_being_waited_for() -> None:
    assert PullProgress(LAYERS).waits_for is Wait.NETWORK
    assert PullProgress(None).waits_for is Wait.NETWORK
    assert fed(*(say(layer, "Download complete") for layer in (A, B, C))).waits_for is Wait.UNPACKING
    others = (say(B, "Downloading", 5, 5_244_735), say(A, "Retrying in 1 second"))
    assert fed(*others).waits_for is Wait.NETWORK
