"""The log is private, masks every key, and never writes anywhere else."""

from __future__ import annotations

import base64
import logging
import os
import stat
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wizard.host import log
from wizard.model.errors import Problem, Trouble
from wizard.model.secret import Secret

KEY = "nvapi-" + "Zq7_" * 16
ODD = "a private registry's key, in no known shape"

_logger = logging.getLogger("wizard.test")


@contextmanager
def _ours_alone() -> Iterator[None]:
    """Without the handlers of pytest, which raise where a program must not."""
    root = logging.getLogger()
    others = [handler for handler in root.handlers if not isinstance(handler.formatter, log.Redacting)]
    for handler in others:
        root.removeHandler(handler)
    try:
        yield
    finally:
        for handler in others:
            root.addHandler(handler)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state" / "s2s-wizard"


@pytest.fixture
def running(state: Path) -> Iterator[log.Log]:
    with log.start(str(state)) as running:
        yield running


def _text(running: log.Log) -> str:
    assert running.path
    return Path(running.path).read_text()


def test_the_default_file_is_private(state: Path, running: log.Log) -> None:
    _logger.info("hello %s", "you")

    assert running.path == str(state / "log")
    assert "INFO" in _text(running)
    assert "hello you" in _text(running)
    assert stat.S_IMODE((state / "log").stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_a_file_that_others_could_read_is_closed_to_them(state: Path) -> None:
    state.mkdir(parents=True)
    (state / "log").write_text("before\n")
    (state / "log").chmod(0o644)
    with log.start(str(state)) as running:
        assert stat.S_IMODE((state / "log").stat().st_mode) == 0o600
        assert _text(running) == "before\n"


def test_rotation_keeps_the_files_private_and_few(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "SIZE", 2000)
    with log.start(str(state)):
        for number in range(200):
            _logger.info("line %d", number)

    assert sorted(path.name for path in state.iterdir()) == ["log", "log.1", "log.2"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in state.iterdir()} == {0o600}


def test_a_named_file_gets_every_detail(tmp_path: Path, state: Path) -> None:
    with log.start(str(state), str(tmp_path / "mine.log")) as running:
        _logger.debug("detail")
        assert "detail" in _text(running)
    assert not state.exists()


def test_the_default_file_has_no_debug_lines(running: log.Log) -> None:
    _logger.debug("detail")

    assert _text(running) == ""


@pytest.mark.parametrize(
    ("name", "kind"), [("no/such/folder", Problem.FILE_MISSING), ("folder", Problem.FILE_NOT_REGULAR)]
)
def test_a_named_file_that_cannot_be_written_is_a_trouble(tmp_path: Path, name: str, kind: Problem) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(Trouble) as caught:
        log.start(str(tmp_path), str(tmp_path / name))
    assert caught.value.kind is kind


def test_without_the_default_file_the_program_goes_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    with log.start(str(tmp_path / "file" / "state")) as running:
        assert running.path is None
        _logger.error("nobody hears this")
    assert capfd.readouterr() == ("", "")


def _crash(key: str) -> None:
    raise RuntimeError(f"cannot log in with {key}")


@pytest.mark.parametrize("key", [KEY, ODD])
def test_a_key_is_masked_wherever_it_stands(running: log.Log, key: str) -> None:
    secret = Secret(key)
    encoded = base64.b64encode(f"$oauthtoken:{key}".encode()).decode()
    _logger.warning("in the message %s" % key)  # noqa: UP031 - the message itself holds the key
    _logger.warning("in an argument %s and %r", key, {"password": key})
    _logger.warning("encoded %s", encoded, stack_info=True)
    try:
        _crash(key)
    except RuntimeError:
        _logger.exception("in the exception")

    text = _text(running)
    assert text.count("****") >= 4
    assert "Traceback" in text
    assert "cannot log in with" in text
    assert key not in text
    assert encoded not in text
    assert base64.b64encode(key.encode()).decode()[:20] not in text
    assert secret, "it was known all the time"


def test_the_masked_key_would_be_found(running: log.Log) -> None:
    _logger.warning("as it is: %s", ODD)

    assert ODD in _text(running), "a key without a known shape is masked only while it exists as a Secret"


def test_the_traceback_is_not_kept_for_other_handlers(running: log.Log) -> None:
    try:
        _crash(KEY)
    except RuntimeError:
        record = _logger.makeRecord("wizard", logging.ERROR, "f", 1, "text", (), sys.exc_info())
        with _ours_alone():
            logging.getLogger().handle(record)

    assert "Traceback" in _text(running)
    assert record.exc_text is None


def test_nothing_goes_to_the_terminal(running: log.Log, capfd: pytest.CaptureFixture[str]) -> None:
    with _ours_alone(), warnings.catch_warnings():
        logging.getLogger("urllib3").error("from a library")
        _logger.error("arguments that do not fit %d %s", KEY)
        warnings.simplefilter("always")
        warnings.warn("an old function", DeprecationWarning, stacklevel=1)

    assert capfd.readouterr() == ("", "")
    text = _text(running)
    assert "from a library" in text
    assert "arguments that do not fit" in text
    assert "an old function" in text
    assert KEY not in text


def test_a_full_disk_is_not_the_programs_end(state: Path, capfd: pytest.CaptureFixture[str]) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with log.start(str(state), "/dev/full"):
        _logger.error("lost")
    assert capfd.readouterr() == ("", "")


def test_a_character_that_is_none_does_not_stop_the_log(running: log.Log) -> None:
    _logger.info("bad \udcff name")

    assert "bad \\udcff name" in _text(running)


def test_closing_puts_logging_back_as_it_was(state: Path) -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    running = log.start(str(state))
    assert (root.level, list(root.handlers)) != before
    running.close()
    running.close()

    assert (root.level, list(root.handlers)) == before
