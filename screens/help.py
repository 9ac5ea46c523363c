"""Help: what this step is for, and the words that a newcomer meets."""

from __future__ import annotations

from screens.dialogs import Dialog
from screens.layout import Block, Facts, Gap, Para
from screens.session import Session
from screens.widgets import Choice
from wizard.model.i18n import N_, _
from wizard.model.journey import Step

STEPS = {
    Step.WELCOME: N_("The start. Choose what you want to do. Nothing on this page changes your computer."),
    Step.ACCOUNT: N_(
        "NVIDIA's registry, the place where the images come from, is called NGC. Most images there"
        " are public and need no"
        " account. Some need an API key: a long password that NVIDIA makes for you on its web page."
    ),
    Step.CHECKUP: N_(
        "The wizard looks at this computer: the GPU and its driver, Docker, and the disk. Looking changes nothing."
        " Open a line to read what it means and what exactly was seen."
    ),
    Step.REPAIRS: N_(
        "One repair at a time. You see exactly what would change before anything happens, and you"
        " decide. Every repair"
        " can be taken back."
    ),
    Step.IMAGE: N_(
        "There are many versions of NVIDIA's TensorFlow image. The right one depends on your GPU and its driver; the"
        " wizard recommends one and says why."
    ),
    Step.PULL: N_(
        "The image comes in parts, called layers. They are downloaded and unpacked. You may leave this page, quit the"
        " wizard or lose the connection: the download goes on, and the wizard finds it again."
    ),
    Step.WORKSPACE: N_(
        "A container is thrown away easily, your data must not be. The data folder is a folder on"
        " your own disk that the"
        " container sees as /data. What you put there stays, whatever happens to the container."
    ),
    Step.CONTAINER: N_("Here the container is made from the image, with your GPU and your data folder."),
    Step.SHELL: N_(
        "A shell is a command line. This one is inside the container. Type commands there; type exit to come back."
    ),
    Step.TRAIN: N_(
        "A training shows the model recordings and their texts until it can write down speech by itself. The loss says"
        " how far it is from the texts: it should fall. It runs inside the container and goes on when you leave this"
        " page or quit the wizard, which finds it again."
    ),
    Step.FINISH: N_("What was done, how to come back tomorrow, and how to take it all back."),
}

GLOSSARY = {
    "container": (
        N_("What is a container?"),
        N_(
            "A container is a closed room on your computer in which programs run. It brings its own"
            " files and libraries, so it"
            " cannot disturb the rest of your system, and the rest cannot disturb it.\n\nIt is not a"
            " second computer: it"
            " uses your GPU at full speed. You can remove it at any time; what lies in your data folder stays."
        ),
    ),
    "image": (
        N_("What is an image?"),
        N_(
            "An image is the box that containers are made from: all files of a ready-made system,"
            " packed once by somebody who"
            " knows how. NVIDIA packs one with TensorFlow, CUDA and everything that OpenSeq2Seq"
            " needs.\n\nAn image never"
            " changes. You download it once, and can make many containers from it."
        ),
    ),
    "why": (
        N_("Why not install TensorFlow directly?"),
        N_(
            "OpenSeq2Seq needs an old TensorFlow, which needs an old CUDA, an old Python and old"
            " compilers. On a new system they"
            " cannot be installed side by side without trouble, and every update may break"
            " them.\n\nIn the container these"
            " versions are already together and tested. Your system keeps its own, new ones."
        ),
    ),
    "docker": (
        N_("What are Docker and the Docker service?"),
        N_(
            "Docker is the program that downloads images and runs containers. The Docker service is"
            " its part that works in the"
            " background; the command docker, and this wizard, only ask it to do things."
        ),
    ),
    "runtime": (
        N_("What is a runtime?"),
        N_(
            "The runtime is the small program that the Docker service uses to start a container. The"
            ' runtime "nvidia" starts it'
            " with your GPU inside. It comes with the NVIDIA Container Toolkit, and Docker has to be"
            " told that it is there."
        ),
    ),
    "keys": (N_("All keys"), ""),
}


class HelpDialog(Dialog):
    """What the step is for; from there to the words."""

    def __init__(self, session: Session, step: Step, topic: str = "") -> None:
        self._step = step
        title, blocks, choices = self._contents() if not topic else self._entry(topic)
        super().__init__(session, title, blocks, choices)

    def picked(self, choice: str) -> None:
        if not choice:
            self.dismiss("")
        elif choice == "contents":
            self.read(*self._contents())
        else:
            self.read(*self._entry(choice))

    def _contents(self) -> tuple[str, list[Block], list[Choice]]:
        choices = [Choice(name, _(title)) for name, (title, _text) in GLOSSARY.items()]
        return _("Help"), [Para(_(STEPS[self._step]))], [*choices, Choice("", _("Close"))]

    def _entry(self, topic: str) -> tuple[str, list[Block], list[Choice]]:
        title, blocks = entry(topic)
        following = list(GLOSSARY)[(list(GLOSSARY).index(topic) + 1) % len(GLOSSARY)]
        choices = [
            Choice(following, _("Next: {title}").format(title=_(GLOSSARY[following][0]))),
            Choice("contents", _("All of the help")),
            Choice("", _("Close")),
        ]
        return title, blocks, choices


def entry(topic: str) -> tuple[str, list[Block]]:
    """Title and text of one entry of the glossary."""
    title, text = GLOSSARY[topic]
    if topic == "keys":
        return _(title), [
            Facts(
                [
                    (_("Up, Down"), _("move; also from one part of the page to the next")),
                    (_("Enter"), _("do what the pointer > stands on")),
                    (_("Tab"), _("to the next part of the page")),
                    (_("Page Up, Page Down"), _("scroll a long text")),
                    (_("Esc"), _("back, or close")),
                    ("s", _("skip this step, where that is possible")),
                    ("c", _("copy the text of the page")),
                    ("e", _("explain an error message")),
                    ("l", _("what the wizard did so far")),
                    (_("? or F1"), _("help")),
                    (_("q or Ctrl-C"), _("quit; asks first")),
                ]
            )
        ]
    blocks: list[Block] = []
    for part in _(text).split("\n\n"):
        blocks += [Para(part), Gap()]
    return _(title), blocks[:-1]
