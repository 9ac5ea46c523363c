"""What decides how long a training is: the values of its configuration and the rows of its data.

OpenSeq2Seq never prints the number of steps. It counts ``epochs * (rows // batch // workers // iter_size)`` (its
``models/model.py``), rows before any of them is dropped for its length, or takes ``max_steps`` as it stands.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """The values of a training's configuration that matter for its length and its reports; None where not set."""

    batch_size_per_gpu: int | None = None
    num_epochs: int | None = None
    max_steps: int | None = None
    num_gpus: int | None = None
    use_horovod: bool = False
    iter_size: int = 1
    print_loss_steps: int | None = None
    print_samples_steps: int | None = None
    eval_steps: int | None = None
    save_checkpoint_steps: int | None = None
    logdir: str = ""
    dataset_files: tuple[str, ...] = ()

    def workers(self, ranks: int = 1) -> int:
        """Into how many parts each batch of the data is divided: Horovod's processes, or the GPUs of one process."""
        return max(1, ranks if self.use_horovod else self.num_gpus or 1)

    def steps_in_epoch(self, rows: int, ranks: int = 1) -> int | None:
        """Steps of one epoch over ``rows`` rows; 0 when the batch is too big for the data, None when not known."""
        if not self.batch_size_per_gpu:
            return None
        return rows // self.batch_size_per_gpu // self.workers(ranks) // max(1, self.iter_size)

    def total_steps(self, rows: int | None, ranks: int = 1) -> int | None:
        """The step that the training ends at; None when something for it is missing."""
        if self.max_steps:
            return self.max_steps
        if rows is None or not self.num_epochs:
            return None
        steps = self.steps_in_epoch(rows, ranks)
        return self.num_epochs * steps if steps else None
