"""The key in ``pass``, the password store of the command line: one file a password, encrypted by GnuPG.

The programs are run so that they ask nobody: GnuPG may use a passphrase that its agent remembers, and fails where it
would have to ask for one. The key goes in by standard input and comes out by standard output, never by arguments.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from wizard.host.ports import Commands
from wizard.model.errors import Problem, Trouble
from wizard.model.i18n import _
from wizard.model.key_store import KeyPlace, KeyStoreInfo
from wizard.model.machine import CommandResult
from wizard.model.secret import Secret, redact

NAME = "s2s-wizard/ngc"
"""Under this name the key is kept."""
SHOW = f"pass show {NAME} >/dev/null"
"""What lets GnuPG's agent ask for the passphrase, on the user's own terminal."""
_OPTIONS = "PASSWORD_STORE_GPG_OPTS"
_NO_QUESTIONS = "--pinentry-mode cancel"
_CANCELLED = ("cancel", "pinentry", "ioctl for device", "no secret key")
"""Parts of what GnuPG says when it would have had to ask for a passphrase; the last also when there is no key."""


class PassStore:
    """The user's ``pass``. ``environ`` says where its folder is, ``seconds`` is how long one request may take."""

    def __init__(self, commands: Commands, environ: Mapping[str, str], seconds: float) -> None:
        self._commands = commands
        self._folder = Path(environ.get("PASSWORD_STORE_DIR") or Path(environ.get("HOME", "~"), ".password-store"))
        self._options = f"{environ.get(_OPTIONS, '')} {_NO_QUESTIONS}".strip()
        self._seconds = seconds

    def info(self) -> KeyStoreInfo:
        """Whether it can be used and holds a key, without decrypting anything."""
        problem = None
        try:
            self._check()
        except Trouble as trouble:
            problem = trouble.kind.value
        holds = problem is None and self._holds()
        return KeyStoreInfo(KeyPlace.PASS, problem is None, holds, f"pass {NAME}", problem)

    def get(self, seconds: float | None = None) -> Secret | None:
        """The key. Raises ``STORE_LOCKED`` where GnuPG would have to ask for the passphrase, ``STORE_FAILED``."""
        if self._commands.which("pass") is None or not self._holds():
            return None
        done = self._run(("show", NAME), seconds=seconds)
        if done.returncode != 0:
            raise self._typed(done, decrypting=True)
        lines = done.stdout.splitlines()
        return Secret(lines[0]) if lines and lines[0] else None

    def save(self, key: Secret) -> None:
        """Keeps the key and reads it back; what cannot be read back stays there, and the ``Trouble`` says how to."""
        self._check()
        began = time.monotonic()
        done = self._run(("insert", "--multiline", "--force", NAME), key.reveal().encode() + b"\n")
        if done.returncode != 0:
            raise self._typed(done)
        if self.get(max(1.0, self._seconds - (time.monotonic() - began))) != key:
            raise Trouble(Problem.STORE_FAILED, "the key that was read back differs", subject="pass")

    def forget(self) -> bool:
        """Removes the key; whether there was one."""
        if not self._holds():
            return False
        done = self._run(("rm", "--force", NAME))
        if done.returncode != 0:
            raise self._typed(done)
        return True

    def _has_secret_key(self) -> bool:
        """Whether the user has the GnuPG key for which the passwords are encrypted."""
        try:
            ids = (self._folder / ".gpg-id").read_text().split()
            gpg = "gpg2" if self._commands.which("gpg2") else "gpg"
            found = self._commands.run((gpg, "--batch", "--list-secret-keys", "--", *ids), timeout=1.0)
        except (OSError, UnicodeDecodeError, Trouble):
            return False
        return found.returncode == 0

    def _holds(self) -> bool:
        return (self._folder / f"{NAME}.gpg").is_file()

    def _check(self) -> None:
        if self._commands.which("pass") is None:
            raise Trouble(Problem.STORE_MISSING, "pass is not installed", subject="pass")
        if not (self._folder / ".gpg-id").is_file():
            raise Trouble(
                Problem.STORE_MISSING,
                f"{self._folder}/.gpg-id is not there",
                subject="pass",
                hint=_("pass is installed, but was never set up: {command}").format(command="pass init GPG-KEY-ID"),
            )

    def _run(self, words: tuple[str, ...], stdin: bytes = b"", seconds: float | None = None) -> CommandResult:
        try:
            return self._commands.run(
                ("pass", *words),
                stdin=stdin,
                env={_OPTIONS: self._options, "GPG_TTY": ""},
                timeout=self._seconds if seconds is None else seconds,
            )
        except Trouble as trouble:
            # Not passed on: what was seen so far of the output may be the key.
            kind = trouble.kind
        if kind is Problem.COMMAND_TIMEOUT:
            hint = _("It did not answer within {seconds} seconds.").format(seconds=round(self._seconds))
            raise Trouble(Problem.STORE_FAILED, subject="pass", hint=hint)
        raise Trouble(Problem.STORE_FAILED, kind.value, subject="pass")

    def _typed(self, done: CommandResult, *, decrypting: bool = False) -> Trouble:
        text = redact(" ".join(done.stderr.split()))
        if decrypting and any(part in text.lower() for part in _CANCELLED) and self._has_secret_key():
            hint = _("GnuPG wants its passphrase: type {command} in a terminal, then try again here.")
            return Trouble(Problem.STORE_LOCKED, text, subject="pass", hint=hint.format(command=f'"{SHOW}"'))
        return Trouble(Problem.STORE_FAILED, text, subject="pass")
