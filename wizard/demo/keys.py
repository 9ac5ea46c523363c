"""The places for an API key on a simulated machine. A key that is kept here is forgotten when the program ends."""

from __future__ import annotations

from wizard.model.errors import Problem, Trouble
from wizard.model.key_store import KeyPlace, KeyStoreInfo
from wizard.model.secret import Secret

USABLE = "usable"
_DETAIL = {
    KeyPlace.ENVIRONMENT: "NGC_API_KEY",
    KeyPlace.KEYRING: "Secret Service",
    KeyPlace.PASS: "pass",
    KeyPlace.FILE: "~/.config/s2s-wizard/ngc_key",
}


class SimKeys:
    """``KeyStore`` in memory. ``keyring`` is ``usable`` or the value of the ``Problem`` that it has."""

    def __init__(self, keyring: str) -> None:
        self._problem = None if keyring == USABLE else Problem(keyring)
        self._keys: dict[KeyPlace, Secret] = {}

    def places(self) -> tuple[KeyStoreInfo, ...]:
        return tuple(self._info(place) for place in KeyPlace)

    def get(self) -> tuple[Secret, KeyPlace] | None:
        for place in KeyPlace:
            if place in self._keys:
                return self._keys[place], place
        return None

    def save(self, key: Secret, place: KeyPlace) -> None:
        if place is KeyPlace.ENVIRONMENT:
            raise Trouble(Problem.BAD_INPUT, subject=place.value)
        problem = self._problem_of(place)
        if problem is not None:
            raise Trouble(problem, subject=_DETAIL[place])
        self._keys = {place: key}

    def forget(self) -> tuple[KeyPlace, ...]:
        held = tuple(place for place in KeyPlace if place in self._keys)
        self._keys.clear()
        return held

    def _problem_of(self, place: KeyPlace) -> Problem | None:
        """There is no ``pass`` on simulated machines."""
        return {KeyPlace.KEYRING: self._problem, KeyPlace.PASS: Problem.STORE_MISSING}.get(place)

    def _info(self, place: KeyPlace) -> KeyStoreInfo:
        problem = self._problem_of(place)
        usable = place is not KeyPlace.ENVIRONMENT and problem is None
        return KeyStoreInfo(place, usable, place in self._keys, _DETAIL.get(place, ""), problem and problem.value)
