"""An address for a telephone: a QR code over the whole window, with the address itself below it."""

from __future__ import annotations

import sys
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from screens.dialogs import LOOK, Banner, copy_text
from screens.session import Session
from screens.widgets import Spread
from wizard.model.i18n import _


class Scan(ModalScreen[None]):
    """Shows ``url``; any of Esc, Enter and q closes it. Where the terminal cannot draw blocks, only the text."""

    CSS_PATH = LOOK
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "close", show=False),
        Binding("c", "copy", show=False),
    ]

    def __init__(self, session: Session, url: str) -> None:
        super().__init__()
        self.session = session
        self._url = url

    def compose(self) -> ComposeResult:
        from wizard.services import qr

        yield Banner(self.session)
        yield Spread(_("Point the camera of your phone at the square."), classes="scan-line")
        if _draws_blocks():
            # Always light on dark: a telephone does not know what colours the user likes.
            code = Content.styled("\n".join(qr.lines(self._url)), "#ffffff on #000000")
            yield Static(code, id="code", markup=False)
        yield Static(_("Or type the address: {url}").format(url=self._url), classes="scan-line", markup=False)
        yield Spread(_("Esc Close   c Copy"), classes="scan-line scan-keys")

    def action_close(self) -> None:
        self.dismiss()

    def action_copy(self) -> None:
        self.query_one(".scan-keys", Spread).say(copy_text(self.app, self.session, self._url))


def _draws_blocks() -> bool:
    try:
        "█▀▄".encode(getattr(sys.__stderr__, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
