"""The training: first a rehearsal of minutes, then the real one, watched as it runs, and what comes after it."""

from __future__ import annotations

import posixpath
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from textual.app import ComposeResult

from screens.base import StepScreen, trouble_blocks
from screens.dialogs import Dialog, Pick
from screens.fields import AskLine
from screens.layout import Block, Code, Facts, Gap, Item, Para, evidence, shell_line, size
from screens.live import Live
from screens.pull import duration
from screens.train_texts import (
    about_config,
    by_hand,
    checkpoint_facts,
    data_facts,
    gpu_line,
    is_possible,
    rehearsed,
    whole_log,
)
from screens.training import State, Training, What
from screens.widgets import Blocks, Choice
from screens.work import Job
from wizard.model.container import DEFAULT_NAME
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Emit
from wizard.model.finding import Status
from wizard.model.i18n import _, ngettext
from wizard.model.journey import Step

if TYPE_CHECKING:
    from wizard.model.container_job import Job as ContainerJob
    from wizard.services.train import Outlook
    from wizard.services.training.after import Said
    from wizard.services.training.preflight import Ready
    from wizard.services.training.rehearsal import Rehearsed
    from wizard.services.training.tensorboard import Board
    from wizard.services.training.training_run import Outcome

REFRESH = 10
"""Looks at the training a second."""
GPU_SECONDS = 2.0
"""Between two looks at the GPUs."""
NO_CONTAINER = frozenset({Problem.CONTAINER_MISSING, Problem.CONTAINER_NOT_RUNNING, Problem.NO_DATA_FOLDER})
"""Failures that another container would not have."""


class TrainScreen(StepScreen):
    """Offers what can be done in the container now, does it, and shows it while it runs."""

    step = Step.TRAIN
    skippable = True
    _outlook: Outlook | None = None
    _ready: Ready
    _seen: State | None = None
    _gpus: Job[None] | None = None
    _told_of_gpus: tuple[str, ...] = ()

    def content(self) -> ComposeResult:
        yield Blocks(id="text")
        yield Live(id="live")
        yield Blocks(id="below")

    @property
    def _container(self) -> str:
        return self.journey.name or DEFAULT_NAME

    def begin(self) -> None:
        self._seen = None
        self._show_live(None)
        self.set_interval(1 / REFRESH, self._look, name="look")
        training = self.session.training
        if training is not None and (training.running or not training.told):
            self._look()
            return
        self._inquire()

    def on_unmount(self) -> None:
        super().on_unmount()
        if self._gpus is not None:
            self._gpus.leave()

    # --- before anything runs

    def _inquire(self) -> None:
        self._drop()
        self.show([Para(_("One moment …"))])
        self.work(
            _("Looking into the container …"),
            lambda _emit, _cancel: self._outlook_now(),
            self._offer,
            failed=self._no_place,
            retry=self._inquire,
        )

    def _outlook_now(self) -> Outlook:
        from wizard.services import train

        return train.look(self.session.host, self._container, self.journey.config)

    def _drop(self) -> None:
        """Forgets what has ended."""
        if self.session.training is not None:
            self.session.training.leave()
            self.session.training = None
        self._seen = None
        self._show_live(None)

    def _no_place(self, trouble: Trouble) -> None:
        choices = list(self.rescue(trouble))
        if trouble.kind in NO_CONTAINER:
            choices.insert(0, Choice("container", _("To the container"), verb=_("Go there")))
        self.show(trouble_blocks(trouble), choices)
        self._trouble = trouble

    def _offer(self, outlook: Outlook, *first: Block) -> None:
        """What can be done here; what runs already is shown instead."""
        self._outlook = outlook
        if outlook.running is not None:
            self._follow(outlook.running)
            return
        blocks: list[Block] = [
            *first,
            Para(
                _(
                    "A training shows the model recordings and their texts until it writes down speech by itself. A"
                    " rehearsal does all of it with a few recordings, in minutes: begin with that."
                )
            ),
            Gap(),
            *data_facts(outlook),
            Gap(),
            Para(_("The training will run this in the container:"), "$foreground-muted"),
            Code(shell_line(outlook.command), "command"),
        ]
        self.show(blocks, self._choices(outlook))

    def _choices(self, outlook: Outlook) -> list[Choice]:
        minutes = _("about 5 minutes") if outlook.gpu else _("about 10 minutes, on the processor")
        ready = _("goes on at step {n}").format(n=outlook.folder.step) if outlook.folder.resumes else _("hours to days")
        lacking = _("its data has to be fetched first")
        choices = [
            Choice("rehearse", _("Rehearse a training"), minutes, _("Rehearse")),
            Choice("real", _("Train on real data"), ready if outlook.ready else lacking, _("Train")),
            Choice("config", _("Choose another configuration"), self._configured(outlook), _("Choose")),
        ]
        if outlook.checkpoint is not None:
            choices.append(Choice("say", _("Say something"), _("a recording of yours, written down"), _("Say")))
            choices.append(Choice("evaluate", _("Evaluate the model"), _("how many words it gets wrong")))
        return [*choices, Choice("skip", _("Finish without a training"), verb=_("Finish"))]

    def _configured(self, outlook: Outlook) -> str:
        return posixpath.basename(outlook.config)

    def picked(self, choice: str) -> None:
        actions: dict[str, Callable[[], None]] = {
            "rehearse": self._rehearse,
            "real": self._real,
            "train": self._begin,
            "fetch": self._fetch,
            "config": self._configure,
            "say": self._ask_recording,
            "evaluate": self._evaluate,
            "container": lambda: self.go(Step.CONTAINER),
            "offer": self._inquire,
            "half": lambda: self._once_more(half=True),
            "retry": lambda: self._once_more(half=False),
            "ahead": self.next,
            "stop": self._confirm_stop,
            "on": self._go_on,
            "board": self._board,
            "log": self.action_log,
        }
        if choice in actions:
            actions[choice]()

    # --- what it does

    def _start(self, what: What, run: Callable[[Emit, Cancel], object], found: ContainerJob | None = None) -> None:
        """Begins something, and shows it."""
        self._drop()
        session = self.session
        session.training = Training(session.host, what, run, post=self.app.post_message, note=session.note, found=found)
        self._look()

    def _rehearse(self) -> None:
        host, name = self.session.host, self._container

        def run(emit: Emit, cancel: Cancel) -> Rehearsed:
            from wizard.services.training import rehearsal

            return rehearsal.run(host, name, "", emit, cancel)

        self._start(What.REHEARSAL, run)

    def _follow(self, job: ContainerJob) -> None:
        """Shows what runs already. A rehearsal whose wizard has gone is no more than its single parts."""
        host = self.session.host

        def run(emit: Emit, cancel: Cancel) -> Outcome:
            from wizard.services import train

            return train.follow(host, job, emit, cancel)

        self._start(What.TRAINING, run, job)

    def _real(self) -> None:
        outlook = self._outlook
        if outlook is not None and not outlook.ready:
            self._tell_lacking(outlook)
            return
        self._check(self.journey.config, ())

    def _check(self, config: str, options: tuple[str, ...]) -> None:
        """Looks at everything that would fail late, and shows the command that comes of it."""
        host, name = self.session.host, self._container

        def run(emit: Emit, cancel: Cancel) -> Ready:
            from wizard.services import train

            return train.check(host, name, config, options, emit, cancel)

        self.show(
            [
                Para(_("Looking at everything that could stop the training later …"), "bold"),
                Gap(),
                Para(
                    _(
                        "The code of OpenSeq2Seq is fetched into your data folder if it is not there, what it needs is"
                        " installed inside the container, and the data and the options are looked at. Your own system"
                        " stays as it is."
                    )
                ),
            ],
            [Choice("offer", _("Go back"), verb=_("Back"))],
        )
        self.work(
            _("Looking …"),
            run,
            self._tell_ready,
            failed=self._not_ready,
            retry=lambda: self._check(config, options),
        )

    def _tell_ready(self, ready: Ready) -> None:
        from wizard.model.training.plan import Standing

        self._ready = ready
        folder, total = ready.folder, ready.total_steps
        if folder.standing is Standing.FINISHED:
            text = _("This training is finished: {step} of {total} steps.").format(step=folder.step, total=total)
            self.show(
                [Item(text, Status.OK, style="bold")],
                [
                    Choice("say", _("Say something"), _("a recording of yours, written down"), _("Say")),
                    Choice("evaluate", _("Evaluate the model"), _("how many words it gets wrong")),
                    Choice("next", _("Finish")),
                ],
            )
            return
        rows = [(_("Configuration"), ready.config.path), (_("Log folder"), ready.place.outside(ready.logdir))]
        if folder.step is not None:
            rows.append((_("Begins"), _("at the checkpoint of step {n}").format(n=folder.step)))
        if total:
            rows.append((_("Steps"), str(total)))
        if ready.rows:
            rows.append((_("Recordings"), str(ready.rows)))
        blocks: list[Block] = [
            Item(_("Everything is there. The training can begin."), Status.OK, style="bold"),
            Gap(),
            Facts(rows),
            *(Item(note, Status.INFO) for note in ready.notes),
            Gap(),
            Para(_("This runs in the container; it goes on when you leave the wizard:"), "$foreground-muted"),
            Code(shell_line(ready.argv), "command"),
        ]
        self.show(
            blocks,
            [Choice("train", _("Start the training"), verb=_("Start")), Choice("offer", _("Go back"), verb=_("Back"))],
        )

    def _not_ready(self, trouble: Trouble) -> None:
        choices = [Choice("again", _("Try again")), Choice("offer", _("Go back"), verb=_("Back"))]
        if trouble.kind in (Problem.TRAINING_DATA, Problem.CONFIG_UNUSABLE):
            choices.insert(0, Choice("config", _("Choose another configuration"), verb=_("Choose")))
        if trouble.kind is Problem.TRAINING_RUNS:
            choices.insert(0, Choice("offer", _("Show what runs"), verb=_("Show")))
        self.show(trouble_blocks(trouble), choices)
        self._trouble = trouble

    def _begin(self) -> None:
        host, ready = self.session.host, self._ready

        def run(emit: Emit, cancel: Cancel) -> Outcome:
            from wizard.services import train

            return train.train(host, ready, emit, cancel)

        self._start(What.TRAINING, run)

    def _once_more(self, *, half: bool) -> None:
        """The same run again, with half the batch if its memory did not suffice."""
        from wizard.services import train

        job = self._seen.job if self._seen is not None else None
        if job is None:
            self._inquire()
            return
        self._drop()
        self._check(*train.again(job, half=half))

    def _evaluate(self) -> None:
        host, name, config = self.session.host, self._container, self.journey.config

        def run(emit: Emit, cancel: Cancel) -> Outcome:
            from wizard.services import train
            from wizard.services.training import after, place

            return after.evaluate(host, name, train.wanted(host, place.find(host, name), config), emit, cancel)

        self._start(What.EVALUATION, run)

    def _ask_recording(self) -> None:
        def entered(path: str | None) -> None:
            if path:
                self._say_recording(posixpath.normpath(posixpath.join(home, path.removeprefix("~/"))))

        home = self.session.host.home
        hint = _("The path of a wav or flac file on this computer. It is copied; yours stays as it is.")
        self.app.push_screen(
            AskLine(self.session, _("Which recording?"), hint, "", self._no_recording, label=_("File")), entered
        )

    def _no_recording(self, path: str) -> str:
        return "" if path else _("Type the path of a recording, such as ~/hello.wav")

    def _say_recording(self, wav: str) -> None:
        host, name, config = self.session.host, self._container, self.journey.config

        def run(emit: Emit, cancel: Cancel) -> Said:
            from wizard.services import train
            from wizard.services.training import after, place

            wanted = train.wanted(host, place.find(host, name), config)
            return after.transcribe(host, name, wav, wanted, emit, cancel)

        self._start(What.SAYING, run)

    # --- the data and the configuration

    def _tell_lacking(self, outlook: Outlook) -> None:
        """What is missing to train, what fetching it takes, and the command for who does it by hand."""
        choices = [Choice("offer", _("Go back"), verb=_("Back"))]
        blocks: list[Block] = [Para(_("The data for this training is not here yet."), "bold"), Gap()]
        if outlook.lacks_why is not None:
            blocks += trouble_blocks(outlook.lacks_why)
        elif outlook.lacks is not None:
            from wizard.services import train

            plan = outlook.lacks
            needed = _("{size} at the worst moment; {free} are free").format(size=size(plan.peak), free=size(plan.free))
            blocks += [
                Para(
                    _(
                        "LibriSpeech is read English from free audio books, 960 hours in seven parts. One part to train"
                        " with and one to evaluate with are enough to begin."
                    )
                ),
                Gap(),
                Facts(
                    [
                        (_("Parts"), train.parts(plan)),
                        (_("Download"), size(plan.download)),
                        (_("Disk"), needed),
                        (_("Into"), plan.folder),
                    ]
                ),
                Gap(),
                Item(_("It can be stopped at any time and goes on where it was.")),
                Item(_("For other parts, or recordings of your own, in a terminal:")),
                Code("s2s-wizard data --help", "command"),
            ]
            choices.insert(0, Choice("fetch", _("Fetch it now"), size(plan.download), _("Fetch")))
        elif outlook.offer is not None:
            blocks += by_hand(outlook, outlook.offer)
            choices.insert(0, Choice("config", _("Choose another configuration"), verb=_("Choose")))
        choices.append(Choice("rehearse", _("Rehearse a training"), _("needs no data"), _("Rehearse")))
        self.show(blocks, choices)

    def _fetch(self) -> None:
        host, name = self.session.host, self._container

        def run(emit: Emit, cancel: Cancel) -> object:
            from wizard.services import train

            return train.fetch(host, name, emit, cancel)

        self._start(What.FETCHING, run)

    def _configure(self) -> None:
        """First the task, then a configuration; what each needs and what stops it is said of the pointer's line."""
        from wizard.knowledge.configs import task_title

        outlook = self._outlook
        if outlook is None:
            self._inquire()
            return

        def chosen(task: str | None) -> None:
            if task:
                self._configure_for(outlook, task)

        choices, about = [], {}
        for task in dict.fromkeys(offer.config.task for offer in outlook.offers):
            offers = [offer for offer in outlook.offers if offer.config.task is task]
            possible = sum(is_possible(outlook, offer) for offer in offers)
            hint = ngettext("{n} configuration", "{n} configurations", len(offers)).format(n=len(offers))
            choices.append(Choice(task.value, task_title(task), hint))
            text = _("Of these, {n} can be trained here now. The others need something first, usually their data.")
            about[task.value] = text.format(n=possible)
        current = outlook.offer.config.task.value if outlook.offer is not None else ""
        self.app.push_screen(Pick(self.session, _("What shall it learn?"), choices, about, current), chosen)

    def _configure_for(self, outlook: Outlook, task: str) -> None:
        def chosen(path: str | None) -> None:
            if path:
                self.update(replace(self.journey, config=path))
                self._inquire()

        offers = [offer for offer in outlook.offers if offer.config.task.value == task]
        choices = [
            Choice(offer.config.path, offer.name, "" if is_possible(outlook, offer) else _("not here now"))
            for offer in offers
        ]
        about = {offer.config.path: about_config(offer) for offer in offers}
        title = _("Which configuration?")
        self.app.push_screen(Pick(self.session, title, choices, about, outlook.config), chosen)

    # --- while it runs

    def _show_live(self, state: State | None) -> None:
        live = self.query_one(Live)
        live.display = state is not None
        live.show(state, self._told_of_gpus)

    def _look(self) -> None:
        training = self.session.training
        if training is None or self.app.screen is not self:
            return  # under a dialog nobody sees it, and drawing both is what costs most
        state = training.state
        before, self._seen = self._seen, state
        if state is not before:
            self._show_live(state)
            if before is None or _page(before) != _page(state):
                self._tell_story(training, state)
        if state.running:
            self.say_note(_("for {time}").format(time=duration(max(0.0, time.time() - state.since))))
            self._watch_gpus()

    def _tell_story(self, training: Training, state: State) -> None:
        if state.running:
            self.show([], self._running_choices(state), self._pointed())
            return
        self._watch_gpus(end=True)
        training.told = True
        if state.trouble is not None:
            self._tell_trouble(state, state.trouble)
        elif state.what is What.TRAINING:
            self._tell_outcome(state)
        else:
            self._tell_done(state)

    def _pointed(self) -> str:
        """The choice that the pointer stands on: what comes meanwhile must not move it."""
        current = self.choices.current
        return current.id if current is not None else ""

    def _running_choices(self, state: State) -> list[Choice]:
        if state.stopping == "checkpoint":
            return [
                Choice("on", _("Let it go on after all"), verb=_("Go on")),
                Choice("stop", _("Stop it now"), verb=_("Stop")),
            ]
        if state.stopping:
            return [Choice("log", _("Show the log"), verb=_("Show"))]
        hint = {
            What.TRAINING: _("the training goes on meanwhile"),
            What.FETCHING: _("the download goes on meanwhile"),
        }.get(state.what, _("it goes on meanwhile"))
        stop = {
            What.REHEARSAL: _("Stop the rehearsal"),
            What.TRAINING: _("Stop the training"),
            What.FETCHING: _("Stop the download"),
        }.get(state.what, _("Stop it"))
        choices = [
            Choice("ahead", _("To the last page"), hint, _("Go on")),
            Choice("stop", stop, verb=_("Stop")),
        ]
        if state.what is What.TRAINING:
            choices.insert(1, Choice("board", _("Show TensorBoard"), _("more curves, in a web browser"), _("Show")))
        return choices

    def _confirm_stop(self) -> None:
        training = self.session.training
        if training is None or not training.running:
            return
        state = training.state
        choices = [Choice("", _("Let it go on"))]
        if not training.lasting:
            text = _("What runs in the container is ended. You can begin again at any time.")
            if state.what is What.FETCHING:
                text = _("What is here is kept, and the next download goes on with it.")
            choices.append(Choice("now", _("Stop it")))
        else:
            text = _("A training goes on from its last checkpoint. There is none yet: stopped now, it begins anew.")
            if state.checkpoint is not None:
                text = _(
                    "A training goes on from its last checkpoint, that is of step {n}. What it has learned since then"
                    " is lost if you stop it now."
                ).format(n=state.checkpoint.step)
            if state.stopping != "checkpoint":
                choices.append(
                    Choice("checkpoint", _("Stop at the next checkpoint"), _("nothing is lost; keep the wizard open"))
                )
            choices.append(Choice("now", _("Stop it now")))

        def answered(choice: str | None) -> None:
            if choice:
                training.stop(choice)

        self.app.push_screen(Dialog(self.session, _("Stop it?"), [Para(text)], choices), answered)

    def _board(self) -> None:
        """Starts TensorBoard beside the training, and says where it is."""
        host, name = self.session.host, self._container
        state = self._seen
        logdir = state.job.facts.get("logdir", "") if state is not None and state.job is not None else ""
        if not logdir or self.working:
            return

        def run(emit: Emit, cancel: Cancel) -> Board:
            from wizard.services.training import place, tensorboard

            return tensorboard.start(host, place.find(host, name), logdir, emit, cancel)

        def failed(trouble: Trouble) -> None:
            self.tell("")
            self.app.push_screen(
                Dialog(self.session, _("TensorBoard"), trouble_blocks(trouble), [Choice("", _("Close"))])
            )

        self.tell(_("Starting TensorBoard: it loads TensorFlow first, which takes up to a minute."))
        self.work(_("Starting …"), run, self._tell_board, failed=failed)

    def _tell_board(self, board: Board) -> None:
        self.tell("")

        def answered(choice: str | None) -> None:
            if choice == "stop":
                self._end_board()

        self.app.push_screen(
            Dialog(
                self.session,
                _("TensorBoard"),
                [
                    Para(_("It runs in the container. Open this address in a web browser on this computer:")),
                    Gap(),
                    Para(board.url, "bold", indent=2),
                    Gap(),
                    Para(_("You sit at another computer? Type this there first, then open the address below it:")),
                    Gap(),
                    Code(board.tunnel, "command"),
                    Para(f"http://localhost:{board.port}/", indent=2),
                    Gap(),
                    Para(_("It goes on until you stop it or the container."), "$foreground-muted"),
                ],
                [Choice("", _("Close")), Choice("stop", _("Stop TensorBoard"))],
            ),
            answered,
        )

    def _end_board(self) -> None:
        host, name = self.session.host, self._container

        def run(_emit: Emit, _cancel: Cancel) -> bool:
            from wizard.services.training import place, tensorboard

            return tensorboard.stop(host, place.find(host, name))

        self.work(
            _("Stopping …"),
            run,
            lambda _ran: self.tell(_("TensorBoard was stopped.")),
            failed=lambda trouble: self.tell(str(trouble)),
        )

    def _go_on(self) -> None:
        if self.session.training is not None:
            self.session.training.go_on()

    def _watch_gpus(self, *, end: bool = False) -> None:
        """Asks the driver every two seconds, in a thread, as long as something runs."""
        if end or self._gpus is not None:
            if end and self._gpus is not None:
                self._gpus.leave()
                self._gpus = None
            return
        host, name = self.session.host, self._container

        def ask(emit: Emit, cancel: Cancel) -> None:
            from wizard.services.training import place

            container = host.engine.container(name)
            while container is not None:
                emit(place.readings(host, container))
                if cancel.wait(GPU_SECONDS):
                    return

        def said(readings: object) -> None:
            if isinstance(readings, tuple):
                self._told_of_gpus = tuple(gpu_line(reading) for reading in readings)
                self._show_live(self._seen)

        self._gpus = Job(
            ask,
            post=self.post_message,
            returned=lambda _nothing: None,
            failed=lambda trouble: self.session.note(str(trouble)),
            said=said,
        )

    # --- after it

    def _tell_trouble(self, state: State, trouble: Trouble) -> None:
        if trouble.kind is Problem.CANCELLED:
            text = {
                What.FETCHING: _("The download was stopped. What is here is kept."),
                What.REHEARSAL: _("The rehearsal was stopped."),
            }.get(state.what, _("It was stopped."))
            again = Choice("offer", _("What can be done here"), verb=_("Go there"))
            self.show([Item(text, Status.INFO, style="bold")], [again, Choice("skip", _("Finish"))])
            return
        same = {What.REHEARSAL: "rehearse", What.FETCHING: "fetch", What.EVALUATION: "evaluate", What.SAYING: "say"}
        choices = [
            Choice(same.get(state.what, "offer"), _("Try again")),
            Choice("offer", _("What can be done here"), verb=_("Go there")),
            Choice("skip", _("Finish")),
        ]
        if trouble.kind in NO_CONTAINER:
            choices.insert(0, Choice("container", _("To the container"), verb=_("Go there")))
        self.show([*trouble_blocks(trouble), *whole_log(state)], choices)
        self._trouble = trouble

    def _tell_outcome(self, state: State) -> None:
        """How a training ended: well, stopped, or with a failure and its remedy."""
        from wizard.model.training.plan import DEFAULT_CONFIG
        from wizard.services import train
        from wizard.services.training import training_run

        outcome: Outcome = state.result  # type: ignore[assignment]  # what ``train.train`` returns
        job = outcome.job
        checkpoint = [] if job is None else checkpoint_facts(outcome, job)
        finish = Choice("next", _("Finish"))
        if outcome.fine:
            if not state.found or state.job is None or state.job.kind == "train":
                text = _("The training is finished.")
            else:
                text = _("What ran in the container is finished.")
            trained = job is not None and job.kind == "train"
            config = (self.journey.config or DEFAULT_CONFIG) if trained else self.journey.trained
            self.update(replace(self.journey.finished(self.step), trained=config))
            self.show(
                [Item(text, Status.OK, style="bold"), *checkpoint, Gap()],
                [
                    Choice("say", _("Say something"), _("a recording of yours, written down"), _("Say")),
                    Choice("evaluate", _("Evaluate the model"), _("how many words it gets wrong")),
                    finish,
                ],
            )
            return
        if state.stopping or outcome.failure is None or outcome.failure.id == "interrupted" or job is None:
            self.show(
                [Item(_("The training was stopped."), Status.INFO, style="bold"), *checkpoint, Gap()],
                [
                    Choice("retry", _("Go on with the training"), verb=_("Go on")),
                    Choice("offer", _("What can be done here"), verb=_("Go there")),
                    finish,
                ],
            )
            return
        trouble = training_run.failed(self.session.host, job, outcome)
        failure = outcome.failure
        blocks: list[Block] = [
            Item(f"{failure.summary}.", Status.ERROR, style="bold"),
            Gap(),
            Para(failure.cause),
            *(Item(step) for step in failure.advice),
            *checkpoint,
            *whole_log(state),
            Gap(),
            Para(_("What the wizard saw"), "bold"),
            *evidence(trouble.evidence),
        ]
        choices = [
            Choice("retry", _("Try again")),
            Choice("log", _("Show the log"), verb=_("Show")),
            Choice("offer", _("What can be done here"), verb=_("Go there")),
            Choice("skip", _("Finish")),
        ]
        halved = train.again(job, half=True)[1]
        if "half-batch" in outcome.failure.remedies and halved != train.again(job)[1]:
            batch = halved[-1].partition("=")[2]
            label = _("Try again with half the batch")
            choices.insert(0, Choice("half", label, _("{n} recordings at a time").format(n=batch), _("Try again")))
        self.show([*blocks, Gap()], choices)

    def _tell_done(self, state: State) -> None:
        finish = Choice("next", _("Finish"))
        say = Choice("say", _("Say something"), _("a recording of yours, written down"), _("Say"))
        offer = Choice("offer", _("What can be done here"), verb=_("Go there"))
        if state.what is What.REHEARSAL:
            self.update(self.journey.finished(self.step))
            self.show(rehearsed(state), [Choice("offer", _("Train on real data"), verb=_("Go on")), finish])
        elif state.what is What.SAYING:
            said: Said = state.result  # type: ignore[assignment]  # what ``after.transcribe`` returns
            self.show(
                [
                    Para(_("The model has heard:"), "$foreground-muted"),
                    Gap(),
                    Para(said.transcript or _("nothing at all"), "bold", indent=2),
                    Gap(),
                    Para(_("The longer it was trained, the better it hears."), "$foreground-muted"),
                ],
                [replace(say, label=_("Say something else")), offer, finish],
            )
        elif state.what is What.EVALUATION:
            wer = state.validation.wer if state.validation is not None else None
            text = _("The model is evaluated.")
            if wer is not None:
                text = _("The model gets {n} % of the words wrong.").format(n=f"{100 * wer:.1f}")
            about = _("It was measured on recordings that it has never learned from.")
            self.show([Item(text, Status.OK, style="bold"), Gap(), Para(about)], [say, offer, finish])
        else:
            text = _("The data is here. The training can begin.")
            self._outlook = None  # what lacked is here now
            train = Choice("real", _("Train with it"), verb=_("Train"))
            self.show([Item(text, Status.OK, style="bold")], [train, offer, finish])

    def copyable(self) -> str:
        job = self._seen.job if self._seen is not None else None
        own = super().copyable()
        return own if job is None else f"{own}\n{shell_line(job.argv)}\n{job.path('stdout.log')}".strip()

    def action_log(self) -> None:
        """The log of what runs here, or ran last; before that, what the wizard did."""
        training = self.session.training
        if training is None or training.state.job is None:
            super().action_log()
            return
        from screens.training_log import TrainingLog

        self.app.push_screen(TrainingLog(self.session, lambda: training.state.job))

    def action_skip(self) -> None:
        if self.session.training is not None and self.session.training.running:
            self.next()
        else:
            super().action_skip()


def _page(state: State) -> tuple[object, ...]:
    """What the text and the choices depend on; ``Live`` shows the rest."""
    return state.running, state.stopping
