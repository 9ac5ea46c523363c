"""The progress of the program's own download keeps the same promises as that of a pull by the engine."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from wizard.model.progress import TransferProgress, Wait

SIZES = {"sha256:" + "a" * 64: 1000, "sha256:" + "b" * 64: 300, "sha256:" + "c" * 64: 1}
DIGESTS = sorted(SIZES)
TOTAL = sum(SIZES.values()) + 7

Step = Callable[[TransferProgress, float], None]
steps = st.one_of(
    st.builds(
        lambda digest, count: lambda progress, now: progress.arrived(digest, count, now),
        st.sampled_from(DIGESTS),
        st.integers(-2000, 2000),
    ),
    st.builds(lambda digest: lambda progress, now: progress.whole(digest, now), st.sampled_from(DIGESTS)),
    st.builds(
        lambda layer, current, total: (
            lambda progress, now: progress.feed(
                {"id": layer, "progressDetail": {"current": current, "total": total}}, now
            )
        ),
        st.sampled_from(["x", "y", "z", "other"]),
        st.one_of(st.none(), st.integers(-1, 50)),
        st.integers(-1, 50),
    ),
)


@given(
    st.lists(st.tuples(steps, st.floats(0, 20)), max_size=60),
    st.dictionaries(st.sampled_from(DIGESTS), st.integers(0, 2000)),
)
def test_never_back_and_never_everything_before_the_end(what: list[tuple[Step, float]], here: dict[str, int]) -> None:
    progress = TransferProgress(SIZES, here, 7)
    now, shown = 0.0, []
    for step, pause in what:
        now += pause
        step(progress, now)
        event = progress.snapshot(now)
        assert event.total == TOTAL
        assert event.rate is None or event.rate >= 0
        assert event.eta is None or event.eta >= 0
        layers = progress.layers.layers
        assert all(0 <= layer.done <= (layer.size or 0) for layer in layers)
        shown.append(event.done)
    assert shown == sorted(shown)
    assert all(0 <= done < TOTAL for done in shown)
    progress.finish()
    assert progress.snapshot(now).done == TOTAL
    assert {layer.stage for layer in progress.layers.layers} == {"done"}


def test_what_it_waits_for() -> None:
    progress = TransferProgress(SIZES, {}, 7)
    progress.start(0.0)
    waited = [progress.waits_for]
    progress.retrying = True
    waited.append(progress.waits_for)
    assert "trying again" in progress.phase
    progress.arrived(DIGESTS[0], 10, 1.0)
    waited.append(progress.waits_for)
    for digest in DIGESTS:
        progress.whole(digest, 2.0)
    waited.append(progress.waits_for)
    assert waited == [Wait.NETWORK, Wait.RETRY, Wait.NETWORK, Wait.UNPACKING]
    assert progress.snapshot(3.0).done == TOTAL - 1


def test_the_engines_words_against_the_archive() -> None:
    for message in ({"error": "no space left"}, {"stream": "Error unpacking image x: not found\n"}):
        progress = TransferProgress(SIZES, {})
        progress.feed(message, 0.0)
        assert progress.error
    progress = TransferProgress(SIZES, {})
    progress.feed({"stream": "Loaded image: x\n"}, 0.0)
    assert progress.error is None
