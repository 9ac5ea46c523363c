"""Logs of OpenSeq2Seq that are made up: any length, any task, in the formats of its source at commit 8681d381."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

CONFIG = """\
{{'batch_size_per_gpu': {batch},
 'data_layer': <class 'open_seq2seq.data.speech2text.speech2text.Speech2TextDataLayer'>,
 'data_layer_params': {{'augmentation': {{'n_freq_mask': 2}},
                       'dataset_files': ['/data/librispeech/librivox-train-clean-100.csv',
                                         '/data/librispeech/librivox-train-clean-360.csv'],
                       'max_duration': 16.7}},
 'eval_steps': {eval_steps},
 'iter_size': 1,
 'logdir': '/data/jasper_log_folder/logs',
 'num_epochs': {epochs},
 'num_gpus': 1,
 'print_loss_steps': {print_steps},
 'print_samples_steps': {eval_steps},
 'save_checkpoint_steps': {checkpoint_steps},
 'use_horovod': {horovod},
 'use_xla_jit': False}}
"""
CPP = "2026-11-22 15:06:06.335159: I tensorflow/core/platform/cpu_feature_guard.cc:141] Your CPU supports\n"
MPI = "[vm:01034] Read -1, expected 262144, errno = 1\n"


@dataclass
class Clock:
    """Seconds that the made-up program has run for."""

    now: float = 0.0


@dataclass(frozen=True)
class Made:
    """A training that is made up. Times are seconds; ``noise`` is by how much a step differs from ``step``."""

    rows: int = 28_539
    batch: int = 32
    epochs: int = 2
    begin: int = 0
    print_steps: int = 10
    eval_steps: int = 220
    checkpoint_steps: int = 110
    step: float = 0.5
    noise: float = 0.2
    evaluation: float = 90.0
    checkpoint: float = 3.0
    start: float = 60.0
    horovod: bool = False
    seed: int = 0

    @property
    def steps_in_epoch(self) -> int:
        return self.rows // self.batch

    @property
    def total(self) -> int:
        return self.epochs * self.steps_in_epoch

    def head(self) -> str:
        """Everything before the first step."""
        begun = (
            f"*** Restored checkpoint from /data/jasper_log_folder/logs/model.ckpt-{self.begin}. Resuming training\n"
            if self.begin
            else "*** Starting training from scratch\n"
        )
        config = CONFIG.format(
            batch=self.batch,
            epochs=self.epochs,
            print_steps=self.print_steps,
            eval_steps=self.eval_steps,
            checkpoint_steps=self.checkpoint_steps,
            horovod=self.horovod,
        )
        graph = "*** Building graph in Horovod rank: 0\n" if self.horovod else "*** Building graph on GPU:0\n"
        return (
            f"{'*** Using horovod' + chr(10) if self.horovod else ''}{begun}*** Training config:\n{config}"
            f"*** Evaluation config:\n{config}{graph}*** Trainable variables:\n"
            "***   ForwardPass/w2l_encoder/conv11/kernel:0\n***     shape: (11, 64, 256), <dtype: 'float32_ref'>\n"
            f"*** Total trainable parameters: 8192733\n{graph}"
        )

    def pieces(self, clock: Clock) -> Iterator[str]:
        """The log as it comes; ``clock`` is where the program's time stands when a piece is printed."""
        dice = random.Random(self.seed)
        yield self.head()
        clock.now += self.start
        reported = clock.now - self.start
        for step in range(self.begin + 1, self.total + 1):
            clock.now += self.step * (1 + dice.uniform(-self.noise, self.noise))
            if (step - self.begin - 1) % self.eval_steps == 0 or step == self.total - 1:
                yield "*** Running evaluation on a validation set:\n"
                clock.now += self.evaluation
                yield f"***     Validation loss: {900 / step:.4f} \n***     Validation WER:  {1 / step:.4f}\n"
            if step % self.checkpoint_steps == 0:
                clock.now += self.checkpoint
            if (step - self.begin - 1) % self.print_steps == 0:
                seconds = (clock.now - reported) / self.print_steps
                reported = clock.now
                minutes, seconds = divmod(seconds, 60)
                hours, minutes = divmod(minutes, 60)
                yield (
                    f"*** Epoch {step // self.steps_in_epoch}, global step {step}: "
                    f"***     Train loss: {800 / step:.4f} \n"
                    f"time per step = {int(hours)}:{int(minutes):02}:{seconds:.3f}\n"
                )
        yield "*** Finished training\n*** Avg time per step: 0.500s\n*** Avg objects per second: 5502.586\n"


def made(training: Made) -> str:
    """A whole log."""
    return "".join(training.pieces(Clock()))


LANGUAGE_MODEL = """\
*** Starting training from scratch
*** Building graph on GPU:0
*** Total trainable parameters: 6000000
*** Epoch 0, global step 1: Train loss: 10.4080 | ppl = 33125.5312 | bpc = 15.0156, time per step = 0:00:1.689
***     Train Source[0]:     the game of
***     Train Target[0]:     game of chess
*** Running evaluation on a validation set:
***     *****EVAL Source[0]:     the game
***     *****EVAL Target[0]:     game of
***     *****EVAL Prediction[0]: the of
*** Validation loss: 6.1200 | ppl = 454.8647 | bpc = 8.8293
*** Epoch 0, global step 11: Train loss: 7.0000 | ppl = 1096.6332 | bpc = 10.0989, time per step = 0:00:0.250
*** Finished training
""".replace("*** Validation loss", "***     Validation loss")

TRANSLATION = """\
*** Starting training from the base model
*** Building graph on GPU:0
*** Building graph on GPU:1
*** Global step 1: ***     Train loss: 9.1234\x20
time per step = 0:00:4.100
***     Train Source[0]:     a b c
***     Train Target[0]:     c b a
***     Train Prediction[0]: c c c
*** Running evaluation on a validation set:
***     *****EVAL Source[0]:     d e
***     *****EVAL Target[0]:     e d
***     *****EVAL Prediction[0]: e e
***     Validation loss: 8.0000\x20
***     Eval BLUE score: 0.1234
*** Global step 101: ***     Train loss: 3.0000\x20
time per step = 0:00:0.100
*** Finished training
"""

COMMANDS = """\
*** Starting training from scratch
*** Epoch 0, global step 1: ***     Train loss: 3.4000\x20
time per step = 0:00:9.000
***     Train batch top-1: 0.0300
***     Train batch top-5: 0.2000
*** Running evaluation on a validation set:
***     Validation loss: 3.3000\x20
***     Validation top-1: 0.0400
***     Validation top-5: 0.1900
*** Finished training
"""
