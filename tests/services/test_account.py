"""Reading a pasted key, asking the registry about it, and finding what other programs keep."""

from __future__ import annotations

import base64
import json
import string
import textwrap
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wizard.demo import machine
from wizard.host.ports import BlobSource, Host
from wizard.model.errors import NETWORK, Problem, Trouble
from wizard.model.image import ImageReference, Manifest
from wizard.model.key_store import KeyFacts, KeyPlace
from wizard.model.machine import CommandResult, FileContent, Reached
from wizard.model.secret import Secret
from wizard.services import account
from wizard.services.account import KeyState

PERSONAL = "nvapi-" + "Zq7_" * 16
LEGACY = "Ab3" * 28
IMAGE = "nvcr.io/nvidia/tensorflow:20.11-tf1-py3"
PRIVATE = "nvcr.io/example-org/private:1.0"
KEYS = st.text(string.ascii_letters + string.digits + "_-", min_size=64, max_size=64).map("nvapi-".__add__)


@pytest.fixture
def host() -> Host:
    return machine.build("healthy")


# --- reading -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "kind", "notes"), [(PERSONAL, "personal", 0), (LEGACY, "legacy", 1)])
def test_the_two_kinds_of_key(text: str, kind: str, notes: int) -> None:
    entered = account.read_key(text)

    assert (entered.key, entered.kind, len(entered.notes)) == (Secret(text), kind, notes)


@given(
    KEYS,
    st.text(" \t\r\n\u00a0\ufeff", max_size=3),
    st.sampled_from(["{}", '"{}"', "'{}'", "$oauthtoken:{}", '"$oauthtoken:{}"', "$oauthtoken: {}", "“{}”"]),
    st.sampled_from(["", "NGC_API_KEY=", "export NGC_CLI_API_KEY=", "apikey = "]),
)
def test_what_a_copy_brings_along_is_removed(key: str, blank: str, around: str, prefix: str) -> None:
    entered = account.read_key(f"{blank}{prefix}{around.format(key)}{blank}")

    assert entered.key == Secret(key)
    assert entered.kind == "personal"
    assert len(entered.notes) == len(set(entered.notes))
    assert bool(entered.notes) == bool(prefix or around != "{}")


def test_the_removed_user_name_is_said() -> None:
    (note,) = account.read_key(f"$oauthtoken:{PERSONAL}\r\n").notes

    assert "$oauthtoken" in note


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "Nothing"),
        ("  \r\n", "Nothing"),
        ('""', "Nothing"),
        ("$oauthtoken:", "Nothing"),
        ("nvapi-" + "a" * 2000, "too long"),
        (" " * 2000, "too long"),
        ("nvapi-", "too short"),
        ("nvapi-abc", "too short"),
        (f"{PERSONAL}\n{PERSONAL}", "more than one line"),
        (f"{PERSONAL}\u2028{PERSONAL}", "more than one line"),
        (f"{PERSONAL[:30]} {PERSONAL[30:]}", "space"),
        (PERSONAL[:-1] + "é", "plain letter"),
        (PERSONAL[:-1] + "\u200b" + "a", "plain letter"),
        (PERSONAL[:20] + "\x1b" + PERSONAL[21:], "invisible"),
        (PERSONAL[:20] + "\x00" + PERSONAL[21:], "invisible"),
        ("123e4567-e89b-12d3-a456-426614174000", "ID"),
        ("nvapi-abc***********************wxyz", "shortened"),
        ("https://org.ngc.nvidia.com/setup/api-keys", "web page"),
        ("someone@example.org", "e-mail"),
        ("ghp_" + "a" * 36, "GitHub"),
        ("github_pat_" + "a" * 30, "GitHub"),
        ("sk-proj-" + "a" * 40, "OpenAI"),
        ("dckr_pat_" + "a" * 27, "Docker Hub"),
        ("hf_" + "a" * 34, "Hugging Face"),
        ("glpat-" + "a" * 20, "GitLab"),
        ("xoxb-" + "1" * 20, "Slack"),
        ("AIza" + "a" * 35, "Google"),
        ("AKIA" + "A" * 16, "Amazon"),
        ("npm_" + "a" * 36, "packages"),
        ("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln", "some hours"),
        ("~/keys/ngc", "name of a file"),
        ("/home/someone/ngc_key", "name of a file"),
        ("./ngc_key", "name of a file"),
        ("ngc-api-key.txt", "name of a file"),
        ("file:///home/someone/ngc_key", "name of a file"),
        ('{"apikey":"abc"}', "content of a file"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "content of a file"),
        ("my training key", "name"),
        pytest.param("nvapi-" + "a" * 10_240, "whole file", id="10 kB"),
    ],
)
def test_what_is_no_key_is_refused_with_the_reason(text: str, hint: str) -> None:
    with pytest.raises(Trouble) as caught:
        account.read_key(text)

    trouble = caught.value
    assert trouble.kind is Problem.KEY_SHAPE
    assert hint in trouble.hint
    assert trouble.hint.endswith((".", "?"))
    assert (trouble.text, trouble.subject, trouble.evidence) == ("", "", ())
    assert len(text.strip()) < 9 or text.strip() not in f"{trouble} {trouble.args} {trouble.hint}"


def test_an_odd_length_is_only_a_note() -> None:
    entered = account.read_key(PERSONAL + "xyz")

    assert entered.key == Secret(PERSONAL + "xyz")
    assert "73" in entered.notes[0]


@pytest.mark.parametrize("name", ["my-laptop-key", "training-box-2", "Personal_Key_2026"])
def test_a_keys_name_is_suspected(name: str) -> None:
    entered = account.read_key(name)

    assert entered.kind == "unknown"
    assert any("name" in note for note in entered.notes)


def test_half_of_an_old_key_is_suspected() -> None:
    assert any("84" in note for note in account.read_key(LEGACY[:-3]).notes)


def test_a_key_of_another_shape_is_used_as_it_is() -> None:
    entered = account.read_key("a-registry-of-our-own")

    assert (entered.key, entered.kind) == (Secret("a-registry-of-our-own"), "unknown")
    assert entered.notes


@given(st.text(max_size=200))
def test_what_is_taken_is_part_of_the_text_and_safe_in_a_header(text: str) -> None:
    try:
        entered = account.read_key(text)
    except Trouble:
        return  # which one is the matter of the test above
    value = entered.key.reveal()
    assert value.isascii()
    assert value.isprintable()
    assert not set(value) & set(string.whitespace)
    assert value in text
    assert account.read_key(value).key == entered.key


def test_the_way_to_a_key_fits_a_small_window() -> None:
    assert 3 <= len(account.steps()) <= 8
    assert any(account.KEY_PAGE_URL in step for step in account.steps())
    assert any(account.SIGN_UP_URL in step for step in account.steps())
    for step in account.steps():
        assert len(textwrap.wrap(step, 76)) <= 2
    assert {link.url for link in account.links()} >= {account.KEY_PAGE_URL, account.SIGN_UP_URL, account.CATALOG_URL}


# --- keeping -----------------------------------------------------------------------------------------------------


def test_keep_find_forget(host: Host) -> None:
    key = account.read_key(PERSONAL).key
    assert account.current(host) is None
    account.save(host, key, KeyPlace.KEYRING)
    assert account.current(host) == (key, KeyPlace.KEYRING)

    document = account.where_json(host)
    assert document["used"] == "keyring"
    assert [entry["place"] for entry in document["places"]] == [place.value for place in KeyPlace]
    assert PERSONAL not in json.dumps(document)
    assert account.forget(host) == (KeyPlace.KEYRING,)
    assert account.where_json(host)["used"] is None


class OneFile:
    """Files of a machine with exactly one of interest."""

    def __init__(self, path: str, text: str) -> None:
        self._path, self._text = path, text

    def read(self, path: str, *, root: bool = False) -> FileContent | None:
        assert not root
        if path == self._path:
            return FileContent(path, path, self._text.encode(), 0o600, 1000, 1000)
        if path.endswith(".BAK"):
            raise Trouble(Problem.FILE_PERMISSION, subject=path)
        return None


def _with_file(host: Host, path: str, text: str, environ: dict[str, str] | None = None) -> Host:
    return replace(host, files=OneFile(path, text), home="/home/mei", environ=environ or {})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "text", "owner"),
    [
        (".docker/config.json", json.dumps({"auths": {"nvcr.io": {"auth": "c2VjcmV0"}}}), "Docker"),
        (".docker/config.json", json.dumps({"auths": {"https://nvcr.io/v2/": {"auth": "c2VjcmV0"}}}), "Docker"),
        (".docker/config.json", json.dumps({"auths": {"nvcr.io": {}}, "credsStore": "pass"}), "Docker"),
        (".ngc/config", f";note\n[CURRENT]\napikey = {PERSONAL}\norg = x\n", "NGC CLI"),
        (".ngc/meta_data", f'[COMMAND_MAP]\nx = {{"apikey": "{PERSONAL}"}}\n', "NGC CLI"),
    ],
)
def test_keys_of_other_programs_are_named_by_their_file(host: Host, path: str, text: str, owner: str) -> None:
    there = _with_file(host, f"/home/mei/{path}", text)
    (found,) = account.elsewhere(there)

    assert (found.path, found.owner) == (f"/home/mei/{path}", owner)
    document = json.dumps(account.where_json(there))
    assert found.path in document
    assert PERSONAL not in document
    assert "c2VjcmV0" not in document


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (".docker/config.json", "{}"),
        (".docker/config.json", '{"auths": []}'),
        (".docker/config.json", "[1]"),
        (".docker/config.json", "not json nvcr.io"),
        (".docker/config.json", json.dumps({"auths": {"nvcr.io": {}}})),
        (".docker/config.json", json.dumps({"auths": {"ghcr.io": {"auth": "x"}, "nvcr.io.evil.org": {"auth": "x"}}})),
        (".ngc/config", "[CURRENT]\napikey = no-apikey\n"),
        (".ngc/config", "[CURRENT]\napikey =\norg = x"),
        (".ngc/config", ""),
    ],
)
def test_files_without_a_key_are_not_named(host: Host, path: str, text: str) -> None:
    assert account.elsewhere(_with_file(host, f"/home/mei/{path}", text)) == ()


def test_the_other_programs_folders_can_be_moved(host: Host) -> None:
    docker = _with_file(host, "/d/config.json", '{"auths": {"nvcr.io": {"auth": "x"}}}', {"DOCKER_CONFIG": "/d"})
    ngc = _with_file(host, "/n/.ngc/config", f"apikey = {PERSONAL}", {"NGC_CLI_HOME": "/n"})

    assert [item.path for item in account.elsewhere(docker)] == ["/d/config.json"]
    assert [item.path for item in account.elsewhere(ngc)] == ["/n/.ngc/config"]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (f";note\n[CURRENT]\napikey = {PERSONAL}\norg = x\n", PERSONAL),
        (f"[CURRENT]\napikey={LEGACY}", LEGACY),
        ("[CURRENT]\napikey = no-apikey\n", None),
        ("[CURRENT]\napikey = short\n", None),
        ("", None),
    ],
)
def test_the_key_of_ngc_cli_is_offered_and_not_taken(host: Host, text: str, key: str | None) -> None:
    there = _with_file(host, "/home/mei/.ngc/config", text)

    assert account.offered(there) == (None if key is None else (Secret(key), "/home/mei/.ngc/config"))
    assert account.current(there) is None


def _login(user: str, key: str) -> str:
    auth = base64.b64encode(f"{user}:{key}".encode()).decode()
    return json.dumps({"auths": {"nvcr.io": {"auth": auth}, "ghcr.io": {"auth": "eA=="}}})


@pytest.mark.parametrize(
    ("text", "about", "said", "asked"),
    [
        (_login("$oauthtoken", PERSONAL), Problem.KEY_REFUSED, "no longer good", True),
        (_login("$oauthtoken", LEGACY), Problem.KEY_REFUSED, "no longer good", True),
        (_login("$oauthtoken", PERSONAL), KeyFacts("PERSONAL_KEY"), "", True),
        (_login("$oauthtoken", PERSONAL), Problem.DNS, "", True),
        (_login("mei@example.org", PERSONAL), Problem.KEY_REFUSED, "wrong user name", False),
        ('{"auths": {"nvcr.io": {}}, "credsStore": "pass"}', Problem.KEY_REFUSED, "", False),
        ('{"auths": {"nvcr.io": {"auth": "no base64"}}}', Problem.KEY_REFUSED, "", False),
        ('{"auths": {"nvcr.io": 7}}', Problem.KEY_REFUSED, "", False),
        ("{}", Problem.KEY_REFUSED, "", False),
        ("[" * 100_000, Problem.KEY_REFUSED, "", False),
    ],
)
def test_a_login_of_dockers_that_has_gone_bad_is_explained(
    host: Host, text: str, about: Problem | KeyFacts, said: str, asked: bool
) -> None:
    registry = Answers(True, about=about)
    there = replace(_with_file(host, "/home/mei/.docker/config.json", text), registry=registry)
    words = account.docker_login(there)

    assert said in words
    assert bool(words) == bool(said)
    assert bool(registry.asked) == asked
    if said:
        assert "docker logout nvcr.io" in words
        assert words in account.check(there, None, IMAGE).notes
    assert PERSONAL not in words


class Desktop:
    """Programs of a machine with a browser, or without one."""

    def __init__(self, browser: bool) -> None:
        self.browser = browser
        self.run_: list[tuple[str, ...]] = []

    def which(self, name: str) -> str | None:
        return f"/usr/bin/{name}" if self.browser else None

    def run(self, argv: tuple[str, ...], *, timeout: float) -> CommandResult:
        self.run_.append(argv)
        return CommandResult(argv, 0)


@pytest.mark.parametrize("display", [{}, {"DISPLAY": ":0"}, {"WAYLAND_DISPLAY": "wayland-0"}])
@pytest.mark.parametrize("browser", [True, False])
def test_a_page_is_opened_on_a_desktop_alone(host: Host, display: dict[str, str], browser: bool) -> None:
    desktop = Desktop(browser)
    there = replace(host, commands=desktop, environ=display)  # type: ignore[arg-type]

    assert account.open_page(there, account.KEY_PAGE_URL) == bool(display and browser)
    assert [argv[-1] for argv in desktop.run_] == [account.KEY_PAGE_URL] * bool(display and browser)


# --- asking ------------------------------------------------------------------------------------------------------


class Answers:
    """A registry with one answer, and one about the key. ``seen`` and ``asked`` are the keys that they were given."""

    def __init__(
        self,
        answer: Problem | bool,
        takes_key: bool = True,
        about: Problem | KeyFacts | None = None,
        clock: float | None = None,
    ) -> None:
        self._answer, self._takes_key, self._about, self._clock = answer, takes_key, about, clock
        self.seen: list[Secret | None] = []
        self.asked: list[Secret] = []

    def takes_key(self, host: str) -> bool:
        return self._takes_key

    def reach(self, host: str, proxy: str | None = None) -> Reached:
        raise AssertionError("nobody knocks without a question")

    def clock(self, host: str) -> float | None:
        assert self._answer is Problem.TLS, "nobody asks for the time without a need"
        return self._clock

    def about_key(self, key: Secret) -> KeyFacts | None:
        self.asked.append(key)
        if isinstance(self._about, Problem):
            raise Trouble(self._about, "word for word", subject="api.ngc.nvidia.com")
        return self._about

    def blobs(self, reference: ImageReference, key: Secret | None) -> BlobSource:
        raise AssertionError("nobody downloads")

    def manifest(self, reference: ImageReference, key: Secret | None, arch: str = "amd64") -> Manifest:
        self.seen.append(key)
        if isinstance(self._answer, Problem):
            raise Trouble(self._answer, "word for word", subject=str(reference))
        return Manifest(reference, "", "", 0, (), anonymous=self._answer)


KEY = Secret(PERSONAL)


@pytest.mark.parametrize(
    ("answer", "key", "state"),
    [
        (True, None, KeyState.NOT_NEEDED),
        (True, KEY, KeyState.NOT_NEEDED),
        (False, KEY, KeyState.ACCEPTED),
        (Problem.KEY_WANTED, None, KeyState.NO_KEY),
        (Problem.ACCESS_DENIED, None, KeyState.NO_KEY),
        (Problem.KEY_REFUSED, KEY, KeyState.REFUSED),
        (Problem.ACCESS_DENIED, KEY, KeyState.NOT_ENTITLED),
        (Problem.LICENCE, KEY, KeyState.LICENCE),
        (Problem.BLOCKED, KEY, KeyState.BLOCKED),
        (Problem.CAPTIVE_PORTAL, KEY, KeyState.NOT_CHECKED),
        (Problem.TAG_MISSING, KEY, KeyState.NO_IMAGE),
        (Problem.TAG_MISSING, None, KeyState.NO_IMAGE),
        (Problem.DNS, KEY, KeyState.NOT_CHECKED),
        (Problem.REGISTRY_UNREACHABLE, KEY, KeyState.NOT_CHECKED),
        (Problem.REGISTRY_TROUBLE, None, KeyState.NOT_CHECKED),
        (Problem.RATE_LIMITED, KEY, KeyState.NOT_CHECKED),
        (Problem.REGISTRY_UNTRUSTED, KEY, KeyState.NOT_CHECKED),
    ],
)
def test_every_answer_has_its_state(host: Host, answer: Problem | bool, key: Secret | None, state: KeyState) -> None:
    result = account.check(replace(host, registry=Answers(answer)), key, IMAGE)

    assert result.state is state
    assert result.accepted == (state in (KeyState.ACCEPTED, KeyState.NOT_NEEDED))
    assert result.anonymous == (state is KeyState.NOT_NEEDED)
    assert result.problem == (answer if isinstance(answer, Problem) else None)
    for sentence in (result.summary, result.advice):
        assert sentence.endswith(".")
        assert len(textwrap.wrap(sentence, 76)) <= 2
    document = account.check_json(result)
    assert json.loads(json.dumps(document)) == document
    assert document["state"] == state.value
    assert PERSONAL not in json.dumps(document)


@pytest.mark.parametrize("kind", sorted(NETWORK))
def test_whatever_the_network_says_is_a_result(host: Host, kind: Problem) -> None:
    assert not account.check(replace(host, registry=Answers(kind)), KEY, IMAGE).accepted


FACTS = KeyFacts("PERSONAL_KEY", "example-org", ("artifact-catalog",))


@pytest.mark.parametrize(
    ("answer", "about", "state", "problem", "words"),
    [
        (True, FACTS, KeyState.NOT_NEEDED, None, "example-org"),
        (True, KeyFacts(), KeyState.NOT_NEEDED, None, "accepts the key"),
        (True, KeyFacts("SERVICE_KEY", "o", ("private-registry",)), KeyState.NOT_NEEDED, None, "NGC Catalog"),
        (True, Problem.KEY_REFUSED, KeyState.REFUSED, Problem.KEY_REFUSED, "without a key"),
        (True, Problem.REGISTRY_TROUBLE, KeyState.NOT_NEEDED, None, "could not be asked"),
        (True, Problem.DNS, KeyState.NOT_NEEDED, None, "could not be asked"),
        (False, FACTS, KeyState.ACCEPTED, None, "example-org"),
        (False, Problem.KEY_REFUSED, KeyState.ACCEPTED, None, "does not know"),
        (Problem.KEY_REFUSED, FACTS, KeyState.NOT_ENTITLED, Problem.ACCESS_DENIED, "NGC knows the key"),
        (Problem.KEY_REFUSED, Problem.KEY_REFUSED, KeyState.REFUSED, Problem.KEY_REFUSED, "Make a new key"),
        (Problem.KEY_REFUSED, Problem.RATE_LIMITED, KeyState.REFUSED, Problem.KEY_REFUSED, "Make a new key"),
        (Problem.ACCESS_DENIED, FACTS, KeyState.NOT_ENTITLED, Problem.ACCESS_DENIED, "example-org"),
        (Problem.ACCESS_DENIED, Problem.KEY_REFUSED, KeyState.REFUSED, Problem.KEY_REFUSED, "Make a new key"),
    ],
)
def test_nvidia_is_asked_about_the_key_itself(
    host: Host,
    answer: Problem | bool,
    about: Problem | KeyFacts,
    state: KeyState,
    problem: Problem | None,
    words: str,
) -> None:
    registry = Answers(answer, about=about)
    result = account.check(replace(host, registry=registry), KEY, IMAGE)

    assert (result.state, result.problem) == (state, problem)
    assert registry.asked == [KEY]
    assert words in f"{result.advice} {result.notes}"
    assert result.key == (about if isinstance(about, KeyFacts) else None)
    assert PERSONAL not in json.dumps(account.check_json(result))


@pytest.mark.parametrize("kind", [Problem.TAG_MISSING, Problem.LICENCE, Problem.DNS, Problem.REGISTRY_TROUBLE])
def test_nvidia_is_not_asked_where_the_key_is_not_the_matter(host: Host, kind: Problem) -> None:
    registry = Answers(kind, about=FACTS)
    account.check(replace(host, registry=registry), KEY, IMAGE)
    assert registry.asked == []


@pytest.mark.parametrize(
    ("off", "kind"), [(7200.0, Problem.CLOCK), (-86400.0, Problem.CLOCK), (20.0, Problem.TLS), (None, Problem.TLS)]
)
def test_a_wrong_clock_is_told_from_a_bad_certificate(host: Host, off: float | None, kind: Problem) -> None:
    registry = Answers(Problem.TLS, clock=None if off is None else time.time() + off)
    result = account.check(replace(host, registry=registry), KEY, IMAGE)
    assert (result.state, result.problem) == (KeyState.NOT_CHECKED, kind)


def test_a_registry_that_must_not_have_the_key_does_not_get_it(host: Host) -> None:
    registry = Answers(Problem.KEY_WANTED, takes_key=False)
    result = account.check(replace(host, registry=registry), KEY, "registry.example.org/a/b:1")

    assert registry.asked == []
    assert registry.seen == [None]
    assert result.state is KeyState.NOT_SENT
    assert "registry.example.org is not NVIDIA's registry" in result.advice


def test_a_name_that_is_none_is_not_asked_about(host: Host) -> None:
    registry = Answers(True)
    with pytest.raises(Trouble) as caught:
        account.check(replace(host, registry=registry), KEY, "No Image")
    assert caught.value.kind is Problem.IMAGE_NAME_INVALID
    assert registry.seen == []


def test_what_is_not_the_networks_fault_is_raised(host: Host) -> None:
    with pytest.raises(Trouble):
        account.check(replace(host, registry=Answers(Problem.UNSCRIPTED)), KEY, IMAGE)


def test_on_a_simulated_machine(host: Host) -> None:
    assert account.check(host, None, IMAGE).state is KeyState.NOT_NEEDED
    assert account.check(host, None, PRIVATE).state is KeyState.NO_KEY
    assert account.check(host, KEY, PRIVATE).state is KeyState.ACCEPTED
    assert account.check(host, account.read_key("nvapi-refused").key, PRIVATE).state is KeyState.REFUSED
    assert account.check(host, KEY, "nvcr.io/nvidia/tensorflow:0.1").state is KeyState.NO_IMAGE
