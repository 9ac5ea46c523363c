"""What an API key is for, and where to keep one. Going on without is a first-class choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from textual.app import ComposeResult

from screens.base import StepScreen, trouble_blocks
from screens.fields import Field, Line
from screens.layout import Block, Gap, Item, Para
from screens.widgets import Blocks, Choice
from wizard.model.errors import Trouble
from wizard.model.event import Cancel, Emit
from wizard.model.finding import Status
from wizard.model.i18n import N_, _
from wizard.model.journey import Step
from wizard.model.key_store import KeyPlace, KeyStoreInfo
from wizard.model.secret import Secret
from wizard.services import words

PLACES = {
    KeyPlace.ENVIRONMENT: N_("in the environment"),
    KeyPlace.KEYRING: N_("in this computer's password store"),
    KeyPlace.PASS: N_("in pass, encrypted with my GnuPG key"),
    KeyPlace.SESSION: N_("only until I quit"),
    KeyPlace.FILE: N_("in a file that only I can read"),
}


_Found = tuple[tuple[Secret, KeyPlace] | None, tuple[Secret, str] | None]
"""The key that would be used and its place, and one that NVIDIA's own program keeps and its file."""
TRIED_WITH = "nvcr.io/nvidia/tensorflow:20.11-tf1-py3"
"""The image that a key is tried with before one was chosen."""


class AccountScreen(StepScreen):
    """The key is a ``Secret`` from the moment it was typed, and leaves this screen only for the key store."""

    step = Step.ACCOUNT
    skippable = True

    def content(self) -> ComposeResult:
        yield Blocks(id="text")
        hint = _("It is not shown while you type.")
        yield Field(_("API key"), hint=hint, password=True, on_enter=_("Use this key"), id="key")

    def begin(self) -> None:
        from wizard.services import account

        self._entered: Secret | None = None
        self._notes: tuple[str, ...] = ()
        self._offered: tuple[Secret, str] | None = None
        self._field.display = False
        self.show([Para(_("One moment …"))])

        def look(_emit: Emit, _cancel: Cancel) -> _Found:
            found = account.current(self.session.host)
            return found, account.offered(self.session.host) if found is None else None

        self.work(_("Looking for a key …"), look, self._start)

    @property
    def _field(self) -> Field:
        return self.query_one("#key", Field)

    def _start(self, both: _Found) -> None:
        found, self._offered = both
        blocks: list[Block] = [
            Para(
                _(
                    "Images come from NGC, NVIDIA's collection of images. The image that the wizard"
                    " recommends is public:"
                    " it needs no account and no key."
                )
            ),
            Gap(),
            Para(_("An API key is a long password that NGC makes for you. Only images that are not public need it.")),
            Gap(),
        ]
        if found is not None:
            blocks.append(Item(_("A key is here already: {place}.").format(place=_(PLACES[found[1]])), Status.OK))
            choices = [
                Choice("continue", _("Continue with this key"), verb=_("Continue")),
                Choice("none", _("Continue without a key"), verb=_("Continue")),
                Choice("enter", _("Enter another key"), verb=_("Enter key")),
            ]
            if found[1] is not KeyPlace.ENVIRONMENT:
                choices.append(Choice("forget", _("Forget this key"), verb=_("Forget")))
        else:
            blocks.append(Para(_("Not sure? Continue without a key. If a key is needed later, the wizard tells you.")))
            choices = [
                Choice("none", _("Continue without a key"), _("right for most people"), _("Continue")),
                Choice("enter", _("I have a key"), verb=_("Enter key")),
                Choice("how", _("How do I get a key?"), verb=_("Read")),
            ]
            if self._offered is not None:
                hint = _("in {path}; it stays there, too").format(path=self._offered[1])
                choices.insert(1, Choice("ngc", _("Use the key that NGC CLI keeps"), hint, _("Use it")))
        self.show(blocks, choices)

    def picked(self, choice: str) -> None:
        if choice == "none":
            self.action_skip()
        elif choice == "continue":
            self.next()
        elif choice == "enter":
            self._ask()
        elif choice == "how":
            self._explain()
        elif choice == "ngc":
            self._take()
        elif choice == "open":
            self._open()
        elif choice == "scan":
            self._scan()
        elif choice == "forget":
            self._forget()
        elif choice == "start":
            self.begin()
        elif choice == KeyPlace.FILE.value:
            self._warn_of_file()
        elif choice == "file-yes":
            self._keep(KeyPlace.FILE)
        else:
            self._keep(KeyPlace(choice))

    def action_skip(self) -> None:
        self.update(replace(self.journey, key="skip"))
        super().action_skip()

    # --- reading about keys

    def _explain(self) -> None:
        from wizard.services import account

        steps = [Item(text, mark=f"{number}.") for number, text in enumerate(account.steps(), 1)]
        self.show(
            [
                *steps,
                Gap(),
                Para(
                    _(
                        "A key of the old kind (84 letters and digits, without nvapi-) is taken, too. Should NGC"
                        " refuse it one day, make a new one in this way."
                    )
                ),
                Gap(),
                Para(_("The key c copies these lines with their addresses."), "$foreground-muted"),
            ],
            [
                Choice("enter", _("I have the key now"), verb=_("Enter key")),
                Choice("open", _("Open the page in a browser here"), verb=_("Open")),
                Choice("scan", _("Open the page on a phone"), _("a QR code to scan"), _("Show")),
                Choice("none", _("Continue without a key"), verb=_("Continue")),
                Choice("start", _("Back to the question"), verb=_("Back")),
            ],
        )

    def _open(self) -> None:
        from wizard.services import account

        def opened(done: bool) -> None:
            if done:
                self.tell(_("The page was opened in your web browser."))
            else:
                self.tell(_("There is no web browser here: scan the address, or copy it with c."))

        self.work(
            _("Opening the page …"),
            lambda _emit, _cancel: account.open_page(self.session.host, account.KEY_PAGE_URL),
            opened,
        )

    def _scan(self) -> None:
        from screens.scan import Scan
        from wizard.services import account

        self.app.push_screen(Scan(self.session, account.KEY_PAGE_URL))

    # --- entering one

    def _take(self) -> None:
        from wizard.services import account

        if self._offered is not None:
            self._entered, self._notes = self._offered[0], ()
            self.work(_("One moment …"), lambda _emit, _cancel: account.places(self.session.host), self._where)

    def _ask(self, error: str = "") -> None:
        self.show(
            [
                Para(_("Paste the key, then press Enter. In many terminals Ctrl-Shift-V or Shift-Insert pastes.")),
                Gap(),
            ],
            [
                Choice("none", _("Continue without a key"), verb=_("Continue")),
                Choice("start", _("Back to the question"), verb=_("Back")),
            ],
        )
        self._field.display = True
        self._field.explain(error)
        self._field.line.focus()

    def submitted(self, message: Line.Submitted) -> None:
        from wizard.services import account

        text, message.value = message.value, ""
        self._field.line.clear()
        try:
            entered = account.read_key(text)
        except Trouble as trouble:
            said = words.explain(trouble)
            self._field.explain(f"{said.summary} {trouble.hint or said.advice}")
            return
        finally:
            del text
        self._entered, self._notes = entered.key, entered.notes
        self.work(_("One moment …"), lambda _emit, _cancel: account.places(self.session.host), self._where)

    def _where(self, places: Sequence[KeyStoreInfo]) -> None:
        self._field.display = False
        usable = {info.place: info for info in places if info.usable}
        blocks: list[Block] = [Item(_("The key was read. It is not shown anywhere."), Status.OK)]
        blocks += [Item(note, Status.INFO) for note in self._notes]
        blocks += [Gap(), Para(_("Where should the wizard keep it?"))]
        choices = []
        if KeyPlace.KEYRING in usable:
            choices.append(Choice("keyring", _("In this computer's password store"), _("recommended"), _("Keep it")))
        else:
            blocks.append(Para(_("This computer has no password store that can be used now."), "$foreground-muted"))
        if KeyPlace.PASS in usable:
            choices.append(Choice("pass", _("In pass"), _("encrypted with your GnuPG key"), _("Keep it")))
        choices.append(Choice("session", _("Only until I quit"), _("you enter it again next time"), _("Keep it")))
        if KeyPlace.FILE in usable:
            choices.append(Choice("file", _("In a file"), _("readable text; asks once more"), _("Keep it")))
        choices.append(Choice("start", _("Nowhere, forget it"), verb=_("Forget")))
        self.show(blocks, choices)

    def _warn_of_file(self) -> None:
        self.show(
            [
                Item(_("In a file the key is readable text."), Status.WARNING, style="bold"),
                Gap(),
                Para(
                    _(
                        "Only you and the administrator of this computer can read the file. Do not"
                        " do this on a computer"
                        " that others administer, and not where your home folder is copied to other machines."
                    )
                ),
            ],
            [
                Choice("session", _("Keep it only until I quit"), verb=_("Keep it")),
                Choice("file-yes", _("Keep it in a file"), verb=_("Keep it")),
            ],
        )

    def _keep(self, place: KeyPlace) -> None:
        from wizard.services import account

        key = self._entered
        if key is None:
            self.begin()
            return
        self.work(
            _("Keeping the key …"),
            lambda _emit, _cancel: account.save(self.session.host, key, place),
            lambda _result: self._kept(key, place),
            failed=self._not_kept,
        )

    def _not_kept(self, trouble: Trouble) -> None:
        self.show(
            [*trouble_blocks(trouble), Gap()],
            [
                Choice("session", _("Keep it only until I quit"), verb=_("Keep it")),
                Choice("start", _("Nowhere, forget it"), verb=_("Forget")),
            ],
        )

    def _kept(self, key: Secret, place: KeyPlace) -> None:
        from wizard.services import account

        self._entered = None
        self.update(replace(self.journey, key=place.value))
        kept: list[Block] = [Item(_("The key is kept {place}.").format(place=_(PLACES[place])), Status.OK)]
        onward = [Choice("continue", _("Continue")), Choice("enter", _("Enter another key"), verb=_("Enter key"))]
        self.show(kept, onward)

        def checked(result: account.KeyCheck) -> None:
            status = Status.OK if result.accepted else Status.WARNING
            notes = [Item(note, Status.INFO) for note in result.notes]
            self.show([*kept, Item(result.summary, status), *notes, Gap(), Para(result.advice)], onward)

        self.work(
            _("Trying the key …"),
            lambda _emit, _cancel: account.check(self.session.host, key, self.journey.image or TRIED_WITH),
            checked,
        )

    def _forget(self) -> None:
        from wizard.services import account

        self.work(
            _("Forgetting the key …"),
            lambda _emit, _cancel: account.forget(self.session.host),
            lambda _result: self.begin(),
        )
