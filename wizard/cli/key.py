"""``s2s-wizard key``: gives the NGC API key, checks it, forgets it, says where it is."""

from __future__ import annotations

import getpass
import sys

from wizard.cli.call import FINE, Call, fitting_image
from wizard.cli.console import is_terminal, tag
from wizard.model import ngc_key
from wizard.model.errors import Problem, Trouble, exit_code
from wizard.model.finding import Status
from wizard.model.i18n import _
from wizard.model.key_store import KeyPlace, KeyStoreInfo
from wizard.services import account


def run(call: Call) -> int:
    """Hands over to the action that was typed."""
    return {"set": _set, "check": _check, "forget": _forget, "where": _where}[call.options.action](call)


def _set(call: Call) -> int:
    """Keeps a key. Exit code 3 where the place that was asked for cannot be used."""
    console = call.console
    place = KeyPlace(call.options.store)
    store = next((info for info in account.places(call.host) if info.place is place), None)
    if store is None or not store.usable:
        raise _unusable(place, store)
    if place is KeyPlace.FILE:
        console.say(
            _("[warn] The key will stand unencrypted in {path}. Only you and root can read it.").format(
                path=store.detail
            )
        )
    entered = _entered(call)
    for note in entered.notes:
        console.say(note)
    account.save(call.host, entered.key, place)
    console.tagged(tag(Status.OK), _("The key is kept: {place}").format(place=store.detail or place.value))
    console.say(_("Ask the registry whether it is accepted: {command}").format(command=console.typed("key", "check")))
    if console.json:
        console.document({"place": place.value, "kind": entered.kind, "notes": list(entered.notes)})
    return FINE


def _entered(call: Call) -> account.Entered:
    """The key that the user gives. Raises ``BAD_INPUT`` where NGC CLI was said to have one and has none."""
    if not call.options.ngc_cli:
        return account.read_key(_typed(call))
    offered = account.offered(call.host)
    if offered is None:
        raise Trouble(Problem.BAD_INPUT, subject="--ngc-cli", hint=_("NGC CLI keeps no key on this machine."))
    key, path = offered
    call.console.say(_("The key was taken from {path}; it stays there, too.").format(path=path))
    return account.Entered(key, ngc_key.kind(key))


def _typed(call: Call) -> str:
    """What the user gives, from standard input or masked from the terminal."""
    if call.options.stdin:
        return sys.stdin.read(account.LONGEST + 1) if sys.stdin is not None else ""
    if not is_terminal(sys.stdin):
        raise Trouble(Problem.NO_TERMINAL, hint=_("To read the key from standard input, add --stdin."))
    call.console.say(_("Make a key at {url}").format(url=account.KEY_PAGE_URL))
    try:
        return getpass.getpass(_("NGC API key (it is not shown): "), stream=sys.stderr)
    except EOFError:
        raise Trouble(Problem.CANCELLED) from None


def _unusable(place: KeyPlace, store: KeyStoreInfo | None) -> Trouble:
    kind = Problem.STORE_MISSING if store is None or store.problem is None else Problem(store.problem)
    hint = ""
    if place is KeyPlace.KEYRING:
        hint = _('From the command line: "--store pass" or "--store file", or the variable NGC_API_KEY.')
    elif place is KeyPlace.PASS:
        hint = _("pass has to be installed, and set up with your own GnuPG key: {command}").format(
            command="pass init GPG-KEY-ID"
        )
    return Trouble(kind, subject="" if store is None else store.detail, hint=hint)


def _check(call: Call) -> int:
    """Asks the registry. Exit code 5 when it refuses the key, or wants one and there is none."""
    console, host = call.console, call.host
    found = account.current(host)
    wanted = call.options.image or fitting_image(call.host)
    console.say(_("Asking the registry and NVIDIA; a slow network may take half a minute."))
    result = account.check(host, None if found is None else found[0], wanted)
    if console.json:
        console.document(account.check_json(result))
    else:
        console.tagged(tag(Status.OK if result.accepted else Status.ERROR), result.summary)
        console.out(f"    {result.advice}")
        for note in result.notes:
            console.out(f"    {note}")
        console.evidence(result.explained.evidence)
    return FINE if result.problem is None else exit_code(result.problem)


def _forget(call: Call) -> int:
    """Removes the key. A key in the environment is not ours to remove: that is said."""
    console, host = call.console, call.host
    places = account.forget(host)
    if console.json:
        console.document({"forgotten": [place.value for place in places]})
    elif places:
        console.tagged(
            tag(Status.OK), _("The key was removed: {places}").format(places=", ".join(p.value for p in places))
        )
    else:
        console.out(_("There was no key to remove."))
    left = account.current(host)
    if left is not None and left[1] is KeyPlace.ENVIRONMENT:
        console.say(_("A variable of your shell still holds a key (NGC_API_KEY): unset it where it is set."))
    _tell_elsewhere(call)
    return FINE


def _where(call: Call) -> int:
    """The places for a key, in the order in which they are looked through."""
    console = call.console
    if console.json:
        console.document(account.where_json(call.host))
        return FINE
    for info in account.places(call.host):
        if info.place is KeyPlace.SESSION:  # lasts as long as this command
            continue
        status = Status.OK if info.holds_key else Status.SKIPPED if info.problem else Status.INFO
        state = _("holds a key") if info.holds_key else _("cannot be used here") if info.problem else _("no key")
        console.tagged(tag(status), f"{info.place.value:<12}  {state}  {info.detail}".rstrip())
    _tell_elsewhere(call)
    return FINE


def _tell_elsewhere(call: Call) -> None:
    """Other programs' keys: they are theirs, so they are only named."""
    for item in account.elsewhere(call.host):
        call.console.say(_("{owner} keeps a key of its own in {path}.").format(owner=item.owner, path=item.path))
        if item.how:
            call.console.say("    " + _("To remove it: {command}").format(command=item.how))
    if account.current(call.host) is None and account.offered(call.host) is not None:
        command = call.console.typed("key", "set", "--ngc-cli")
        call.console.say(_("To use the key of NGC CLI here as well: {command}").format(command=command))
