"""What may be typed: the commands and their options, by the command-line contract."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import NoReturn

from wizard import __version__
from wizard.cli.console import PROGRAM
from wizard.model import i18n
from wizard.model.errors import Problem, Trouble
from wizard.model.finding import Evidence
from wizard.model.i18n import _
from wizard.model.secret import redact

DEMO = "unknown-runtime"
"""The simulated machine of a ``--demo`` without a name: the one whose Docker does not know the runtime."""
STORES = ("keyring", "pass", "file")

_COMMANDS = (
    "doctor",
    "explain",
    "fix",
    "undo",
    "key",
    "image",
    "pull",
    "up",
    "shell",
    "data",
    "train",
    "run",
    "report",
)


class _Parser(argparse.ArgumentParser):
    """Raises ``Trouble(BAD_INPUT)`` instead of leaving the program, and never repeats what may be a key."""

    silent = False
    """whether the refused words may be a key in a form that nobody recognises"""

    def error(self, message: str) -> NoReturn:
        usage = Evidence(_("Usage"), self.format_usage().strip())
        if self.silent:
            raise Trouble(Problem.BAD_INPUT, hint=_no_key_here(), evidence=(usage,))
        raise Trouble(Problem.BAD_INPUT, evidence=(Evidence(_("The command line"), redact(message)), usage))


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Reads the command line; ``command`` is "" for the full-screen wizard.

    Chooses the language on the way, so that help and errors are in it. Raises ``Trouble(BAD_INPUT)``, and
    SystemExit after ``--help`` and ``--version``.
    """
    own, rest = _split(words)
    i18n.use(_language(own))
    explains = _command(own) == "explain"
    if not explains and any(redact(word) != word for word in own):
        raise Trouble(Problem.BAD_INPUT, hint=_no_key_here())
    parser = _build()
    options, unknown = parser.parse_known_args(_as_text(_with_machine(own)) if explains else _with_machine(own))
    if unknown:
        parser.silent = options.command == "key"
        parser.error(_("not understood: {words}").format(words=" ".join(unknown)))
    if rest is not None:
        if options.command == "explain":
            options.text = [*options.text, *rest]
        elif options.command in ("shell", "train"):
            options.words = tuple(rest)
        else:
            parser.error(_('"--" is only for the commands "shell" and "train"'))
    if options.command == "train" and (alone := _only_exported(options)):
        parser.error(_("{option} is only for --export").format(option=alone))
    if options.command == "train" and options.port is not None and not options.tensorboard:
        parser.error(_("{option} is only for {other}").format(option="--port", other="--tensorboard"))
    if options.command == "train" and options.skip and not options.tests:
        parser.error(_("{option} is only for {other}").format(option="--skip", other="--tests"))
    if options.lang:
        i18n.use(options.lang)
    return options


def _no_key_here() -> str:
    return _(
        "A key never goes on the command line: the list of processes and the shell's history would show it to others."
        ' Type "{command}" and give it when asked, or use --stdin. Nothing was used, and nothing is repeated here.'
    ).format(command=f"{PROGRAM} key set")


def _split(words: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """Our own words, and those after the first ``--`` (None without one), which are nobody's business but the
    command's in the container.
    """
    if "--" not in words:
        return list(words), None
    place = list(words).index("--")
    return list(words[:place]), list(words[place + 1 :])


def _language(words: Sequence[str]) -> str:
    """The language of ``--lang``, or of the locale; a wrong one is refused later, in English."""
    chosen = ""
    for place, word in enumerate(words):
        if word == "--lang" and place + 1 < len(words):
            chosen = words[place + 1]
        elif word.startswith("--lang="):
            chosen = word.partition("=")[2]
    if chosen:
        return chosen if chosen in i18n.LANGUAGES else "en"
    return i18n.preferred()


def _with_machine(words: Sequence[str]) -> list[str]:
    """``--demo`` without a machine's name gets the usual one, so that the next word stays what it is."""
    result: list[str] = []
    for place, word in enumerate(words):
        following = words[place + 1] if place + 1 < len(words) else "-"
        bare = word == "--demo" and (following.startswith("-") or following in _COMMANDS)
        result.append(f"--demo={DEMO}" if bare else word)
    return result


def _command(words: Sequence[str]) -> str:
    """The command that was typed, "" for none."""
    valued = ("--demo", "--lang", "--log-file")
    for place, word in enumerate(words):
        if word in _COMMANDS and (place == 0 or words[place - 1] not in valued or words[place - 1] == "--demo"):
            return word
    return ""


def _as_text(words: Sequence[str]) -> list[str]:
    """An error text may hold words that look like options (``unknown flag: --gpus``): what is none of ours gets a
    blank in front, so that it is read as text.
    """
    ours = ("--json", "--no-probe", "--help", "-h", "--demo", "--lang", "--log-file", "-")
    return [f" {word}" if word.startswith("-") and word.partition("=")[0] not in ours else word for word in words]


def _build() -> _Parser:
    parser = _Parser(
        prog=PROGRAM,
        description=_(
            "Takes you from a Linux machine with an NVIDIA GPU to a shell in the NGC TensorFlow container,"
            " step by step. Without a command: the full-screen wizard."
        ),
        epilog=_(
            "Exit codes: 0 fine, 1 problems found, 2 wrong usage, 3 a person is needed, 4 a step failed,"
            " 5 network, registry or key, 130 interrupted."
        ),
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    _add_common(parser, None)
    parser.set_defaults(command="", json=False)
    commands = parser.add_subparsers(title=_("commands"), metavar=_("COMMAND"))

    doctor = _add(commands, "doctor", _("look at this machine; changes nothing"))
    doctor.add_argument("--check", metavar="ID", nargs="+", action="extend", help=_("only these checks"))
    doctor.add_argument("--list", action="store_true", help=_("the checks that there are"))
    _add_json(doctor)

    explain = _add(commands, "explain", _("what an error text means, whether it is so on this machine, and what helps"))
    explain.add_argument(
        "text", metavar="TEXT", nargs="*", help=_('the text, best in quotes; without it or with "-", standard input')
    )
    explain.add_argument("--no-probe", action="store_true", help=_("only read the text; do not look at this machine"))
    _add_json(explain)

    fix = _add(commands, "fix", _("show a repair, ask, make it, and check that it worked"))
    fix.add_argument("ids", metavar="ID", nargs="*", help=_("repairs; without one, those that the check-up suggests"))
    fix.add_argument("--dry-run", action="store_true", help=_("only show; changes nothing"))
    fix.add_argument("--yes", action="store_true", help=_("do not ask; only for repairs that are named"))
    _add_json(fix)

    undo = _add(commands, "undo", _("take a repair back"))
    undo.add_argument("receipt", metavar="RECEIPT", nargs="?", help=_("which one; without it, the last"))
    undo.add_argument("--list", action="store_true", help=_("what was repaired"))
    undo.add_argument("--yes", action="store_true", help=_("do not ask"))
    _add_json(undo)

    _add_key(commands)

    image = _add(commands, "image", _("which image fits this GPU and driver, and why"))
    image.add_argument("--list", action="store_true", help=_("every image that is known"))
    image.add_argument("--capability", metavar="7.5", help=_("for a GPU of this compute capability"))
    image.add_argument("--driver", metavar="535.54", help=_("for this version of the NVIDIA driver"))
    image.add_argument("image", metavar="IMAGE", nargs="?", help=_("whether this one fits; without it, which one does"))
    image.add_argument("--test", action="store_true", help=_("test TensorFlow in the container that was made from it"))
    image.add_argument("--name", metavar="NAME", help=_("the container's name, for the test"))
    _add_json(image)

    pull = _add(commands, "pull", _("download the image"))
    pull.add_argument("image", metavar="IMAGE", nargs="?", help=_("without it, the one that fits this machine"))
    _add_pull(pull)
    pull.add_argument("--detach", action="store_true", help=_("leave it to a process in the background"))
    pull.add_argument("--stop", action="store_true", help=_("end the download of that image, whoever began it"))
    pull.add_argument("--yes", action="store_true", help=_("do not ask"))
    _add_json(pull)

    up = _add(commands, "up", _("make the container, or find it again"))
    up.add_argument("--name", metavar="NAME", help=_("the container's name"))
    up.add_argument("--data", metavar="DIR", help=_("the data folder, which is /data in the container"))
    up.add_argument("--image", metavar="IMAGE", help=_("without it, the one that fits this machine"))
    up.add_argument("--gpus", metavar="all|none|0,1", help=_("which GPUs the container gets"))
    _add_json(up)

    shell = _add(commands, "shell", _("a shell in the container, or one command: shell -- COMMAND"))
    shell.add_argument("--name", metavar="NAME", help=_("the container's name"))
    shell.set_defaults(words=())

    _add_data(commands)
    _add_train(commands)

    run = _add(commands, "run", _("the whole wizard with no questions, from an answers file"))
    run.add_argument("answers", metavar="ANSWERS.toml")
    run.add_argument("--yes", action="store_true", help=_("make the repairs that the file accepts"))
    _add_json(run)

    report = _add(commands, "report", _("a bug report without secrets; shown before it is written"))
    report.add_argument("--stdout", action="store_true", help=_("only print it"))
    report.add_argument("--yes", action="store_true", help=_("write it without asking"))
    return parser


def _add_train(commands: argparse._SubParsersAction[_Parser]) -> None:
    train = _add(
        commands, "train", _("train in the container; the training goes on when this program ends: train -- OPTIONS")
    )
    train.add_argument(
        "config", metavar="CONFIG", nargs="?", help=_("a configuration of OpenSeq2Seq; without it, Jasper Mini")
    )
    train.add_argument("--name", metavar="NAME", help=_("the container's name"))
    what = train.add_mutually_exclusive_group()
    what.add_argument(
        "--rehearsal",
        action="store_true",
        help=_("the whole way in minutes, on a few recordings"),
    )
    what.add_argument("--list", action="store_true", help=_("the configurations that there are, and what fits here"))
    what.add_argument("--detach", action="store_true", help=_("begin, and do not wait"))
    what.add_argument("--evaluate", action="store_true", help=_("measure the last checkpoint"))
    what.add_argument("--say", metavar="FILE", help=_("let the last checkpoint write down a recording of yours"))
    what.add_argument("--tests", action="store_true", help=_("run OpenSeq2Seq's own tests"))
    what.add_argument(
        "--tensorboard", action="store_true", help=_("start TensorBoard in the container, and say where it is")
    )
    what.add_argument(
        "--stop",
        choices=("now", "checkpoint", "tensorboard"),
        help=_("stop the training that runs: now, or when the next checkpoint is written; or end TensorBoard"),
    )
    what.add_argument(
        "--export", choices=("slurm", "kubernetes"), help=_("write a job for this scheduler instead of training here")
    )
    train.add_argument(
        "--code", metavar="COPY", default="", help=_("a clone, mirror, archive or address of OpenSeq2Seq to use")
    )
    train.add_argument(
        "--skip",
        action="append",
        default=[],
        choices=("toy-data", "unit-tests", "small-models", "jasper"),
        help=_("a part of OpenSeq2Seq's tests to leave out; may be given several times"),
    )
    train.add_argument("--port", metavar="N", type=_port, help=_("TensorBoard's port; without it, a free one"))
    train.set_defaults(words=())
    _add_export(train)
    _add_json(train)


def _add_export(train: _Parser) -> None:
    """What only a job for a scheduler has. Without ``--export`` each of these is wrong: see ``_only_exported``."""
    group = train.add_argument_group(_("with --export"))
    group.add_argument("--data", metavar="DIR", help=_("the data folder, which is /data in the container"))
    group.add_argument("--image", metavar="IMAGE", help=_("without it, the one that fits this machine"))
    group.add_argument(
        "--containers",
        choices=("pyxis", "docker"),
        help=_("Slurm: what runs containers on its nodes; pyxis without it"),
    )
    group.add_argument("--nodes", metavar="N", type=int, help=_("machines to train on; 1 without it"))
    group.add_argument("--gpus-per-node", metavar="N", type=int, help=_("GPUs of each; 0 for the processor"))
    group.add_argument("--time-limit", metavar="2-00:00:00", help=_("how long it may run"))
    group.add_argument("--queue", metavar="NAME", help=_("Slurm's partition, or the queue of Kueue"))
    group.add_argument(
        "--claim", metavar="NAME", help=_("Kubernetes: the volume claim that is /data, instead of a folder")
    )
    group.add_argument("--pull-secret", metavar="NAME", help=_("Kubernetes: the secret with the registry's key"))
    group.add_argument("--output", metavar="FILE", help=_("write it there; without it, it is printed"))
    group.add_argument("--yes", action="store_const", const=True, help=_("write over a file that is there"))


def _only_exported(options: argparse.Namespace) -> str:
    """The first option that was given and means nothing without ``--export``; "" for none."""
    names = ("data", "image", "containers", "nodes", "gpus_per_node", "time_limit", "queue", "claim", "pull_secret")
    given = (name for name in (*names, "output", "yes") if getattr(options, name) is not None)
    return "" if options.export else next((f"--{name.replace('_', '-')}" for name in given), "")


def _add_pull(pull: _Parser) -> None:
    pull.add_argument(
        "--via",
        choices=("engine", "download"),
        default="",
        help=_(
            "who downloads: the Docker service, which starts again from zero when it is stopped, or this program, which"
            " goes on where it was; without it, this program for large images where there is room"
        ),
    )
    pull.add_argument(
        "--mirror", metavar="HOST", default="", help=_("download from this registry instead; it never gets your key")
    )
    pull.add_argument(
        "--from",
        dest="file",
        metavar=_("FILE"),
        default="",
        help=_("take the image from this archive (docker save or OCI; plain, gzip or zstd); needs no network"),
    )
    pull.epilog = _('To make an archive on another machine: "docker pull IMAGE", then "docker save -o FILE.tar IMAGE".')
    pull.add_argument(
        "--limit", metavar=_("RATE"), type=_rate, help=_("bytes a second at most, for example 5M or 500K")
    )
    pull.add_argument(
        "--connections", metavar="N", type=_connections, help=_("connections at the same time, at most; 16 without it")
    )
    pull.add_argument("--keep", action="store_true", help=_("keep the downloaded layers after Docker has the image"))
    pull.add_argument(
        "--clean", action="store_true", help=_("remove downloaded layers that are kept, and say how much")
    )


def _rate(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?)b?(?:/s)?", text.strip().lower())
    rate = int(float(match[1]) * {"": 1, "k": 1000, "m": 1_000_000, "g": 1_000_000_000}[match[2]]) if match else 0
    if rate < 1:
        raise argparse.ArgumentTypeError(_("not a speed: {text}. Examples: 5M, 500K.").format(text=text))
    return rate


def _port(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(_("not a port, a number from 1 to 65535: {text}").format(text=text))
    return int(text)


def _connections(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 32:
        raise argparse.ArgumentTypeError(_("not a number from 1 to 32: {text}").format(text=text))
    return int(text)


def _add_key(commands: argparse._SubParsersAction[_Parser]) -> None:
    key = _add(commands, "key", _("the NGC API key: give it, check it, forget it"))
    key.silent = True
    actions = key.add_subparsers(title=_("what to do"), metavar="set|check|forget|where", dest="action", required=True)
    for name, help_text in (
        ("set", _("give a key; it is asked for and not shown")),
        ("check", _("ask the registry whether it accepts the key")),
        ("forget", _("remove the key wherever this program put it")),
        ("where", _("where a key is looked for, and where there is one")),
    ):
        action = _add(actions, name, help_text, command="key")
        action.silent = True
        _add_json(action)
        if name == "set":
            source = action.add_mutually_exclusive_group()
            source.add_argument("--stdin", action="store_true", help=_("read the key from standard input"))
            source.add_argument("--ngc-cli", action="store_true", help=_("take the key that NGC CLI keeps"))
            action.add_argument(
                "--store",
                choices=STORES,
                default="keyring",
                help=_("where to keep it: the password store, pass, or a file"),
            )
        elif name == "check":
            action.add_argument("--image", metavar="IMAGE", help=_("the image that the key is wanted for"))


def _add_data(commands: argparse._SubParsersAction[_Parser]) -> None:
    data = _add(commands, "data", _("the data to train on: LibriSpeech, or your own recordings"))
    names = "list|fetch|use|add|check"
    actions = data.add_subparsers(title=_("what to do"), metavar=names, dest="action", required=True)
    _add_action(actions, "list", _("the parts of LibriSpeech, their sizes, and what is here"))

    fetch = _add_action(actions, "fetch", _("download parts of LibriSpeech and make them ready"))
    fetch.add_argument("parts", metavar="PART", nargs="*", help=_('without one: enough to begin with; "all" for all'))
    fetch.add_argument("--keep-archives", action="store_true", help=_("keep what was downloaded after it is converted"))
    fetch.add_argument("--mirror", metavar="URL", default="", help=_("another server that has the same archives"))
    fetch.add_argument("--yes", action="store_true", help=_("do not ask"))

    use = _add_action(actions, "use", _("LibriSpeech that is on this machine already"))
    use.add_argument("folder", metavar="FOLDER")
    use.add_argument("--yes", action="store_true", help=_("do not ask"))

    add = _add_action(actions, "add", _("your own recordings: a folder of wav, flac or mp3, and their texts"))
    add.add_argument("folder", metavar="FOLDER")
    add.add_argument("--as", metavar="NAME", dest="called", default="", help=_("what to call them"))
    add.add_argument("--yes", action="store_true", help=_("do not ask"))

    check = _add_action(actions, "check", _("look for what would stop the training"))
    check.add_argument("lists", metavar="CSV", nargs="*", help=_("without one: every list that is here"))


def _add_action(actions: argparse._SubParsersAction[_Parser], name: str, help_text: str) -> _Parser:
    """One of the things that ``data`` does."""
    action = _add(actions, name, help_text, command="data")
    action.add_argument("--name", metavar="NAME", help=_("the container's name"))
    _add_json(action)
    return action


def _add(
    commands: argparse._SubParsersAction[_Parser], name: str, help_text: str, command: str | None = None
) -> _Parser:
    parser = commands.add_parser(name, help=help_text, description=help_text, allow_abbrev=False)
    parser.set_defaults(command=command or name)
    _add_common(parser, argparse.SUPPRESS)
    return parser


def _add_common(parser: _Parser, default: str | None) -> None:
    """The options of every command. They may stand before and after it: a command's own default would hide what was
    said before.
    """
    group = parser.add_argument_group(_("everywhere"))
    group.add_argument("--demo", metavar=_("MACHINE"), default=default, help=_("a simulated machine"))
    group.add_argument("--lang", choices=tuple(i18n.LANGUAGES), default=default, help=_("the language"))
    group.add_argument("--log-file", metavar=_("FILE"), default=default, help=_("where the log goes"))


def _add_json(parser: _Parser) -> None:
    parser.add_argument("--json", action="store_true", help=_("data instead of words"))
