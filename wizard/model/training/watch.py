"""What the program does when it says nothing, in words."""

from __future__ import annotations

from wizard.model.i18n import N_, _
from wizard.model.training.events import Doing

_WHY = {
    Doing.STARTING: N_(
        "Python and TensorFlow are being loaded, and the lists of the data are read. Nothing is printed until then: "
        "half a minute is usual."
    ),
    Doing.BUILDING: N_(
        "The model is being built, layer by layer. This takes from some seconds to a few minutes, and prints little."
    ),
    Doing.PREPARING: N_(
        "The model is put on the GPU and the first utterances are read. The first step takes much longer than all "
        "later ones, and nothing is printed before it is done."
    ),
    Doing.VALIDATING: N_(
        "The model is measured on the whole validation set before the training goes on. With dev-clean these are "
        "2703 utterances: minutes without a line are usual, also before the first step."
    ),
    Doing.TRAINING: N_("The model is learning. A line comes only every few steps."),
    Doing.EVALUATING: N_("The model is measured on the validation set."),
    Doing.INFERRING: N_("The model writes down what it hears."),
    Doing.ENDING: N_("The last checkpoint is being written."),
}

_TITLES = {
    Doing.STARTING: N_("starting"),
    Doing.BUILDING: N_("building the model"),
    Doing.PREPARING: N_("preparing the first step"),
    Doing.VALIDATING: N_("measuring on the validation set"),
    Doing.TRAINING: N_("training"),
    Doing.EVALUATING: N_("evaluating"),
    Doing.INFERRING: N_("transcribing"),
    Doing.ENDING: N_("writing the last files"),
}


def title(doing: Doing) -> str:
    """What the program does, in a few words."""
    return _(_TITLES[doing])


def explained(doing: Doing) -> str:
    """Why nothing is printed meanwhile, and how long that may last."""
    return _(_WHY[doing])
