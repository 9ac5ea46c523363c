"""Every kind of failure has its words, and they fit a small window."""

from __future__ import annotations

import json
import re
import textwrap

import pytest

from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.services import words

KEY = "nvapi-" + "Zq7" * 21 + "x"


@pytest.mark.parametrize("kind", list(Problem), ids=lambda kind: kind.value)
@pytest.mark.parametrize("subject", ["", "gpu-box", "nvcr.io/nvidia/tensorflow:20.11-tf1-py3"])
def test_every_kind_says_what_happened_and_what_to_do(kind: Problem, subject: str) -> None:
    explained = words.explain(Trouble(kind, "said the other side", subject=subject))

    assert explained.kind == kind.value
    for sentence in (explained.summary, explained.advice):
        assert sentence.strip() == sentence
        assert sentence.endswith(".")
        assert sentence[0].isupper() or sentence.startswith((subject or "\0", '"'))
        assert len(textwrap.wrap(sentence, 76)) <= 2, sentence
        assert "{" not in sentence
        assert "Trouble" not in sentence


@pytest.mark.parametrize("kind", list(Problem), ids=lambda kind: kind.value)
def test_a_sentence_for_a_subject_names_it(kind: Problem) -> None:
    named = words.explain(Trouble(kind, subject="the-subject")).summary
    plain = words.explain(Trouble(kind)).summary

    assert named == plain or "the-subject" in named
    assert "the-subject" not in plain


def test_no_two_kinds_say_the_same() -> None:
    summaries = [words.explain(Trouble(kind)).summary for kind in Problem]

    assert len(set(summaries)) == len(summaries)


@pytest.mark.parametrize("kind", list(Problem), ids=lambda kind: kind.value)
def test_links_have_a_title_and_lead_to_a_secure_page(kind: Problem) -> None:
    for link in words.explain(Trouble(kind)).links:
        assert link.title
        assert re.fullmatch(r"https://[a-z.]+(/[A-Za-z0-9/_.-]*)?", link.url)


def test_the_message_of_the_other_side_is_evidence_word_for_word() -> None:
    text = "Error response from daemon: Unknown runtime specified nvidia.\n"
    explained = words.explain(Trouble(Problem.RUNTIME_UNKNOWN, text, subject="nvidia"))

    assert [item.text for item in explained.evidence] == [text.strip()]
    assert explained.summary == 'Docker does not know the runtime "nvidia".'


def test_evidence_is_not_repeated() -> None:
    seen = Evidence("GET /info", "boom happened here")
    explained = words.explain(Trouble(Problem.ENGINE_OTHER, "boom happened", evidence=(seen,)))

    assert explained.evidence == (seen,)


def test_the_hint_follows_the_advice() -> None:
    explained = words.explain(Trouble(Problem.KEY_SHAPE, hint="The key was cut off."))

    assert explained.advice.startswith(words.explain(Trouble(Problem.KEY_SHAPE)).advice)
    assert explained.advice.endswith(" The key was cut off.")


def test_a_key_in_any_part_is_masked() -> None:
    trouble = Trouble(
        Problem.ENGINE_OTHER, f"with {KEY}", subject=KEY, hint=f"{KEY}.", evidence=(Evidence("log", f"<{KEY}>"),)
    )
    for kind in Problem:
        trouble.kind = kind
        assert KEY not in json.dumps(words.to_json(words.explain(trouble)))


def test_a_subject_cannot_disturb_the_terminal() -> None:
    explained = words.explain(Trouble(Problem.FILE_MISSING, subject="/tmp/\x1b[2Ja\nb{x}"))

    assert explained.summary == "There is no file or folder /tmp/\\x1b[2Ja\\nb{x}."


def test_a_long_subject_is_shortened_and_kept_whole_below() -> None:
    path = "/data/" + "x" * 5000 + "/end"
    explained = words.explain(Trouble(Problem.FILE_MISSING, subject=path))

    assert len(explained.summary) < 300
    assert "/end" in explained.summary
    assert explained.evidence[-1].text == path


def test_json_holds_plain_values() -> None:
    document = words.to_json(words.explain(Trouble(Problem.ENGINE_PERMISSION, "EACCES", subject="/run/docker.sock")))

    assert json.loads(json.dumps(document)) == document
    assert document["id"] == "engine-permission"
    assert document["summary"] == "Docker is there, but your user may not use it."
    assert document["links"][0]["url"].startswith("https://docs.docker.com/")
