"""``s2s-wizard pull``: downloads the image, with honest progress."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

from wizard.cli.call import FINE, PERSON, Call, Narrator, fitting_image
from wizard.cli.console import Console, ask, can_ask, duration, size, tag
from wizard.model.beside import Beside
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Progress
from wizard.model.finding import Status
from wizard.model.i18n import _, ngettext
from wizard.model.image import ImageReference
from wizard.model.journal import Began
from wizard.model.progress import PullPlan
from wizard.model.secret import Secret
from wizard.model.step import StepState
from wizard.services import background
from wizard.services.pull import REFUSED, Pulled, Way

if TYPE_CHECKING:
    from wizard.services.cost import Cost

T = TypeVar("T")
_LOOK_SECONDS = 0.1
_FIT_SECONDS = 1.0
"""before it is found out beside a pull whether the image fits: at the beginning all processors have enough to do"""
_LEAVE_SECONDS = 5.0
"""for a pull that is asked to end; it writes down how far it came"""


def run(call: Call) -> int:
    """Without an image, the one that fits this machine. A key is used only if the registry wants one.

    A download of that image which goes on already, in whatever process, is shown and not begun a second time.
    """
    if call.options.clean:
        return _clean(call)
    way = _way(call)
    image = str(ImageReference.parse(call.options.image or _offered(call, way)))
    found = background.find(call.host, image)
    goes_on = found is not None and found.runs
    if call.options.stop:
        return _stop(call, image, goes_on=goes_on)
    key = None
    named = bool(call.options.image) and not goes_on and not way.file
    if not goes_on:
        asks = not (call.console.json or call.options.yes or way.file)
        looks = not way.file and (asks or call.options.detach)
        price, key = _price(call, image, named=named) if looks else (None, None)
        if price is not None and asks and not _agreed(call, price, key):
            call.console.tagged(tag(StepState.DECLINED), _("{image}: nothing was downloaded.").format(image=image))
            return PERSON
        named = named and not looks
    if call.options.detach and call.host.background.lasting:
        return _detach(call, image, key, goes_on=goes_on)
    return _show(call, image, key, named=named)


class _Fit:
    """Says that an image does not fit this machine; whoever named it may want it all the same.

    It is found out beside other work: the driver and the image itself have to be asked, which takes a moment.
    """

    def __init__(self, call: Call, image: str, key: Secret | None) -> None:
        self._console = call.console
        self._told = False
        self._finding = Beside(lambda: self._find(call, image, key), "fit")

    @staticmethod
    def _find(call: Call, image: str, key: Secret | None) -> str:
        from wizard.services import image_fit

        with suppress(Trouble):  # the pull itself meets it, and says it
            fit = image_fit.check(call.host, image, key)
            if fit.verdict is image_fit.Verdict.NO:
                return _("This image does not fit this machine. {why}").format(why=" ".join(fit.reasons))
        return ""

    @property
    def is_news(self) -> bool:
        """Whether it is known and not yet said."""
        return not self._told and self._finding.is_over

    def tell(self) -> None:
        """Says it once, as soon as it is known."""
        text = "" if self._told else self._finding.result()
        self._told = True
        if text:
            self._console.say(text)


def _show(call: Call, image: str, key: Secret | None, *, named: bool) -> int:
    """Downloads it, or shows the process that does. Of an image that was ``named``, it says if it does not fit."""
    console = call.console
    narrator = PullNarrator(console)
    fit: _Fit | None = None
    begun = math.inf

    def joins(pid: int) -> None:
        console.say(_("Process {pid} downloads this image already; here is how far it is.").format(pid=pid))

    def pull(key: Secret | None) -> Pulled:
        def tell(event: object) -> None:
            nonlocal fit, begun
            narrator(event)
            if isinstance(event, Progress):
                begun = min(begun, time.monotonic())
            if named and fit is None and time.monotonic() - begun > _FIT_SECONDS:
                fit = _Fit(call, image, key)
            if fit is not None and fit.is_news and not narrator.is_silent:
                narrator.end()
                fit.tell()

        return background.run_or_follow(call.host, image, key, tell, call.cancel, joins=joins, way=_way(call))

    def work() -> Pulled:
        return pull(key) if key is not None else _with_key(call, pull)[0]

    try:
        with _left_to_itself(call, image, narrator):
            pulled = _attended(call, narrator, work) if can_ask() else work()
    except Trouble as trouble:
        if named and trouble.kind is not Problem.CANCELLED:
            (fit or _Fit(call, image, key)).tell()
        raise
    if named:
        (fit or _Fit(call, image, key)).tell()
    if console.json:
        console.event("finished", {"image": pulled.image, "image_id": pulled.image_id, "digest": pulled.digest})
    else:
        text = _("{image} is here already.") if pulled.already else _("{image} is here now.")
        console.tagged(tag(Status.OK), text.format(image=pulled.image))
    return FINE


def _attended(call: Call, narrator: PullNarrator, work: Callable[[], T]) -> T:
    """What ``work`` returns, done beside a terminal where somebody can be asked.

    Docker keeps nothing of a pull that is stopped. So while Docker itself pulls, Ctrl-C asks first, and the pull goes
    on meanwhile; Ctrl-C at the question stops it without another word.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    before = signal.getsignal(signal.SIGINT)
    if not callable(before):
        return work()  # as under nohup

    pressed = False

    def press(_number: int, _frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True  # and no exception, which would come in the midst of waiting

    signal.signal(signal.SIGINT, press)
    doing = Beside(work, "pull")
    try:
        while not doing.wait(_LOOK_SECONDS):
            if not pressed:
                continue
            signal.signal(signal.SIGINT, before)
            with narrator.silent():
                stops = not narrator.is_lost_when_stopped or _stops(doing)
            if stops:
                call.cancel.set()
                break
            pressed = False
            signal.signal(signal.SIGINT, press)
        return doing.result()
    except KeyboardInterrupt:
        doing.wait(_LEAVE_SECONDS)
        raise
    finally:
        signal.signal(signal.SIGINT, before)


def _stops(doing: Beside[T]) -> bool:
    """Whether the user, who has pressed Ctrl-C, wants the pull to end. The question goes when the pull is over."""
    text = _("Docker keeps nothing of a download that is stopped: the next one starts again from zero.")
    question = _("Stop the download?")
    return bool(ask(f"{text}\n{question}", lambda: doing.is_over))


@contextmanager
def _left_to_itself(call: Call, image: str, narrator: PullNarrator) -> Iterator[None]:
    """Whoever only looks and presses Ctrl-C is told that the download goes on, and how to stop it."""
    try:
        yield
    except (KeyboardInterrupt, Trouble) as error:
        narrator.end()
        interrupted = isinstance(error, KeyboardInterrupt) or error.kind is Problem.CANCELLED
        found = background.find(call.host, image) if interrupted else None
        if found is not None and found.runs and found.process != call.host.background.this():
            stop = call.console.typed("pull", "--stop", image)
            call.console.say(_("The download goes on. To stop it: {command}").format(command=stop))
        raise
    finally:
        narrator.end()


def _stop(call: Call, image: str, *, goes_on: bool) -> int:
    """Asks the process that downloads to end, and waits until it has."""
    if not goes_on:
        call.console.tagged(tag(StepState.ALREADY), _("{image} is not being downloaded.").format(image=image))
        return FINE
    background.ask(call.host, image, background.STOP)
    try:
        background.follow(call.host, image, cancel=call.cancel)
    except Trouble as trouble:
        if call.cancel.is_set:
            raise
        if trouble.kind is not Problem.CANCELLED:
            raise
    call.console.tagged(tag(StepState.DONE), _("The download of {image} has ended.").format(image=image))
    return FINE


def _detach(call: Call, image: str, key: Secret | None, *, goes_on: bool) -> int:
    """Leaves the download to a process of its own."""
    if not goes_on:
        background.begin(call.host, image, key, way=_way(call))
    look = call.console.typed("pull", image)
    text = _("The download goes on in the background. To see it: {command}").format(command=look)
    call.console.tagged(tag(Status.INFO), text)
    return FINE


def _price(call: Call, image: str, *, named: bool) -> tuple[Cost, Secret | None]:
    """What it costs, and the key if it needs one. Of an image that was ``named``, it says if it does not fit."""
    from wizard.services import cost

    def look(key: Secret | None) -> Cost:
        fit = _Fit(call, image, key) if named else None
        price = cost.look(call.host, image, key, _way(call))
        if fit is not None:
            fit.tell()
        return price

    price, key = _with_key(call, look)
    return price, key if price.needs_key else None


def _with_key(call: Call, work: Callable[[Secret | None], T]) -> tuple[T, Secret | None]:
    """What ``work`` returns without a key, or, where the registry wants one, with the key that is kept, and that key.

    So a public image opens no key store, which may be locked or slow.
    """
    try:
        return work(None), None
    except Trouble as trouble:
        if trouble.kind not in REFUSED:
            raise
        from wizard.services import account

        found = account.current(call.host)
        if found is None:
            raise
    return work(found[0]), found[0]


def _agreed(call: Call, price: Cost, key: Secret | None) -> bool:
    """Whether the user agrees to the cost. Who typed the command where nobody can be asked has agreed."""
    console = call.console
    if not price.missing:
        return True
    if price.rate is None and call.host.terminal.is_interactive():
        from wizard.services import cost

        price = cost.measure(call.host, price, key, call.cancel)
    missing, plan = price.missing or 0, price.plan
    for room in plan.rooms:
        text = _("It needs about {size} in {path}.").format(size=size(room.needed), path=room.path)
        if room.free is not None:
            text += " " + _("{size} are free there.").format(size=size(room.free))
        console.say(text)
    if price.seconds is not None and price.rate is not None:
        text = _("It takes about {time}, at {size} a second as the last time.")
        if price.measured:
            text = _("It takes about {time} or less; one connection gives {size} a second.")
        console.say(text.format(time=duration(price.seconds), size=size(round(price.rate))))
    if not plan.fits:
        console.say(_("There is not enough room on the disk. Make room first."))
    question = _("Download {size}?").format(size=size(missing))
    if plan.bytes_here:
        question = _("Download {size} ({here} already here)?").format(size=size(missing), here=size(plan.bytes_here))
    return ask(question) is not False


def _offered(call: Call, way: Way) -> str:
    """The image where none was named: the archive's own, or the one that fits this machine."""
    if not way.file:
        return fitting_image(call.host)
    from wizard.services import archive

    return archive.name_in(call.host, way.file)


def _way(call: Call) -> Way:
    given = call.options
    file = str(Path(given.file).absolute()) if given.file else ""
    return Way(given.via, given.mirror, given.connections or 0, given.limit or 0, given.keep, file)


def _clean(call: Call) -> int:
    from wizard.services import download

    freed = download.clean(call.host)
    if call.console.json:
        call.console.event("cleaned", {"bytes_freed": freed, "folder": call.host.cache.folder()})
    elif freed:
        text = _("{size} of downloaded layers were removed from {folder}.")
        call.console.tagged(tag(Status.OK), text.format(size=size(freed), folder=call.host.cache.folder()))
    else:
        text = _("There are no downloaded layers in {folder}.")
        call.console.tagged(tag(Status.OK), text.format(folder=call.host.cache.folder()))
    return FINE


class PullNarrator(Narrator):
    """Says the plan of a download too. It can be told to be silent for a while, in words, not in data.

    ``is_lost_when_stopped`` tells that Docker itself pulls for this process, and keeps nothing when it is stopped.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.is_lost_when_stopped = False
        self.is_silent = self._follows = False
        self._lock = threading.Lock()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Leaves the terminal to a question."""
        with self._lock:
            self.is_silent = True
            self.end()
        try:
            yield
        finally:
            with self._lock:
                self.is_silent = False

    def __call__(self, event: object) -> None:
        if isinstance(event, Began):
            self._follows = True  # another process's, which goes on without this one
        if isinstance(event, PullPlan):
            self.is_lost_when_stopped = event.via == "engine" and not self._follows
        with self._lock:
            if not self.is_silent or self.console.json:
                self._say(event)

    def _say(self, event: object) -> None:
        if not isinstance(event, PullPlan):
            super().__call__(event)
        elif self.console.json:
            plan = {
                "bytes_total": event.bytes_total,
                "bytes_here": event.bytes_here,
                "layers": event.layers,
                "via": event.via,
            }
            self.console.event("plan", plan)
        elif event.bytes_total is not None and event.layers is not None:
            missing = size(event.bytes_total - event.bytes_here)
            text = ngettext("To download: {size} in {n} layer.", "To download: {size} in {n} layers.", event.layers)
            self.console.say(text.format(size=missing, n=event.layers))
