"""The code, what it needs, and the preflight, on a simulated machine."""

from __future__ import annotations

import ast
import json
import posixpath
from dataclasses import replace
from pathlib import Path

import pytest
import vermin

from tests.services.training.conftest import MINI, NAME, Bench
from wizard.model.container_job import Job, from_text, process, to_text
from wizard.model.errors import Problem, Trouble
from wizard.model.event import Cancel, Line
from wizard.model.gpu import GpuReading
from wizard.model.training.events import Silence, Step
from wizard.model.training.plan import Standing
from wizard.services.training import code, dependencies, inside, job, place, preflight, training_run
from wizard.services.training.dependencies import Inside
from wizard.services.training.preflight import Wanted

INSIDE = Path(inside.__file__).parent


# --- what runs in the container ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["look", "config", "toy", "convert"])
def test_what_runs_in_the_container_is_python_3_5(name: str) -> None:
    """Its grammar, and every module, function and argument of the standard library."""
    text = inside.text(name)
    ast.parse(text, feature_version=(3, 5))
    assert vermin.detect(text)[1] <= (3, 5)


def test_every_program_for_the_container_is_looked_at() -> None:
    assert {path.stem for path in INSIDE.glob("*.py")} == {"__init__", "look", "config", "toy", "convert"}


# --- jobs --------------------------------------------------------------------------------------------------------


def test_a_job_is_read_as_it_was_written() -> None:
    written = Job("0007-train", "train", "box", "abc", "/d/j", "/data/j", ("python", "ü"), "/data", 12.5, {"rows": "3"})
    assert from_text(to_text(written), "0007-train", "/d/j", "/data/j") == written
    assert written.number == 7


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"kind": "train"}', json.dumps({"argv": 3})])
def test_half_a_job_is_no_job(text: str) -> None:
    assert from_text(text, "0001-train", "/d", "/data") is None


@pytest.mark.parametrize(("text", "found"), [("12 880", ("12", "880")), ("12", None), ("", None), ("12 x", None)])
def test_a_process_is_a_pid_and_its_beginning(text: str, found: tuple[str, str] | None) -> None:
    assert process(text) == found


def test_jobs_are_numbered_whatever_the_clock(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for now in (2e9, 1e9, 0.0):  # set back by decades, twice
        monkeypatch.setattr("time.time", lambda now=now: now)
        job.run(bench.host, bench.place, "try", ("true",), cancel=Cancel())
    assert [found.id for found in job.all_of(bench.host, bench.place)] == ["0001-try", "0002-try", "0003-try"]


def test_a_training_whose_clock_is_set_back_is_followed_to_its_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.furnish()
    clock = iter(range(2_000_000_000, 0, -100_000))
    monkeypatch.setattr("time.time", lambda: float(next(clock)))
    assert bench.train("--num_epochs=2").fine
    again = training_run.latest(bench.host, bench.place)
    assert bench.train("--num_epochs=3").fine
    assert training_run.latest(bench.host, bench.place) != again
    steps = [event for event in bench.of(Step) if isinstance(event, Step)]
    assert all((event.eta_seconds or 0) >= 0 and (event.seconds_per_step or 0) >= 0 for event in steps)
    assert all(event.seconds >= 0 for event in bench.of(Silence) if isinstance(event, Silence))


def test_paths_inside_and_outside(bench: Bench) -> None:
    here = bench.place
    assert here.outside("/data/a/../b") == f"{bench.data}/b"
    assert here.inside(f"{bench.data}/b/c") == "/data/b/c"
    assert here.inside(bench.host.home) is None
    with pytest.raises(Trouble) as caught:
        here.outside("/raid/data")
    assert caught.value.kind is Problem.BAD_INPUT


def test_a_container_without_a_data_folder(bench: Bench) -> None:
    with pytest.raises(Trouble) as caught:
        place.find(bench.host, "group-notebook")
    assert caught.value.kind is Problem.NO_DATA_FOLDER


# --- the code ----------------------------------------------------------------------------------------------------


def test_the_code_is_fetched_once_and_its_commit_is_told(bench: Bench) -> None:
    first = code.ensure(bench.host, bench.place, emit=bench.events.append)
    assert (first.path, first.already, len(first.commit)) == ("/data/OpenSeq2Seq", False, 40)
    again = code.ensure(bench.host, bench.place)
    assert again.already
    assert again.commit == first.commit


def test_a_copy_that_is_there_is_never_changed(bench: Bench) -> None:
    code.ensure(bench.host, bench.place)
    bench.write("OpenSeq2Seq/run.py", "# mine\n")
    code.ensure(bench.host, bench.place, "https://git.example.org/other.git")
    found = bench.host.files.read(f"{bench.data}/OpenSeq2Seq/run.py")
    assert found is not None
    assert found.data == b"# mine\n"


def test_a_copy_elsewhere_in_the_data_folder_is_used_where_it_is(bench: Bench) -> None:
    for name in ("run.py", "open_seq2seq/a", "example_configs/b"):
        bench.write(f"mine/{name}", "")
    assert code.ensure(bench.host, bench.place, f"{bench.data}/mine").path == "/data/mine"


def test_something_else_in_its_place_is_left_alone(bench: Bench) -> None:
    bench.write("OpenSeq2Seq/thesis.tex", "")
    with pytest.raises(Trouble) as caught:
        code.ensure(bench.host, bench.place)
    assert caught.value.kind is Problem.CODE_UNUSABLE
    assert bench.host.files.names(f"{bench.data}/OpenSeq2Seq") == ("thesis.tex",)


def test_a_plain_web_server_gives_the_code_as_a_whole(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def run(_host: object, _place: object, _kind: str, argv: tuple[str, ...], **_more: object) -> object:
        asked.append(argv[7:])
        return (128, ("fatal: dumb http transport does not support shallow capabilities",)) if argv[7:] else (0, ())

    monkeypatch.setattr(job, "run", run)
    with pytest.raises(Trouble):  # nothing has brought anything
        code.ensure(bench.host, bench.place, "http://127.0.0.1/OpenSeq2Seq.git")
    assert asked == [("--depth", "1"), ()]


@pytest.mark.parametrize(
    ("files", "commit"),
    [
        ({"HEAD": "1234abc\n"}, "1234abc"),
        ({"HEAD": "ref: refs/heads/master\n", "refs/heads/master": "5678\n"}, "5678"),
        ({"HEAD": "ref: refs/heads/master\n", "packed-refs": "# pack\n9abc refs/heads/master\n"}, "9abc"),
        ({"HEAD": "ref: refs/heads/master\n"}, ""),
        ({}, ""),
    ],
)
def test_the_commit_is_read_from_gits_files(bench: Bench, files: dict[str, str], commit: str) -> None:
    for name, text in files.items():
        bench.write(f"clone/.git/{name}", text)
    assert code.commit(bench.host, f"{bench.data}/clone") == commit


# --- what the code needs -----------------------------------------------------------------------------------------


def has(python: tuple[int, ...], *missing: str) -> Inside:
    modules = frozenset((*dependencies.PINS, "tensorflow", "numpy")) - set(missing)
    return Inside(python, modules, frozenset(), {})


def test_only_what_lacks_is_installed() -> None:
    assert dependencies.requirements(has((3, 5))) == ()
    assert dependencies.requirements(has((3, 5), "tqdm", "sox")) == ("tqdm==4.64.1", "sox==1.3.7")


def test_old_librosa_gets_an_old_numba() -> None:
    wanted = dependencies.requirements(has((3, 6), "librosa", "resampy"))
    assert wanted == ("resampy==0.2.2", "librosa==0.6.3", "numba<0.50", "llvmlite<0.33")


def test_a_newer_python_gets_packages_that_know_it() -> None:
    assert dependencies.requirements(has((3, 8), "pandas", "joblib")) == ("pandas==1.0.5", "joblib==0.14.1")
    assert dependencies.requirements(has((3, 6), "pandas")) == ("pandas==0.23.0",)


def test_nothing_that_the_image_has_is_ever_asked_for() -> None:
    everything = dependencies.requirements(has((3, 6), *dependencies.PINS))
    assert not [word for word in everything if word.startswith(("numpy", "tensorflow", "horovod", "mpi4py"))]


def test_what_lacks_is_installed_and_looked_at_again(bench: Bench) -> None:
    before = dependencies.look(bench.host, bench.place)
    assert before.missing == ("tqdm", "sox")
    after = dependencies.ensure(bench.host, bench.place, bench.events.append)
    assert after.missing == ()
    assert any(isinstance(event, Line) and "tqdm" in event.text for event in bench.events)


# --- the preflight -----------------------------------------------------------------------------------------------


def check(bench: Bench, *options: str, config: str = MINI, mode: str = "train_eval") -> preflight.Ready:
    return preflight.check(bench.host, bench.place, Wanted(config, options, mode), bench.events.append)


def refused(bench: Bench, *options: str, config: str = MINI, mode: str = "train_eval") -> Trouble:
    with pytest.raises(Trouble) as caught:
        check(bench, *options, config=config, mode=mode)
    return caught.value


def test_the_customers_own_command_is_the_default(bench: Bench) -> None:
    bench.furnish()
    ready = check(bench)
    assert ready.argv == ("python", "run.py", f"--config_file={MINI}", "--mode=train_eval", "--enable_logs")
    assert ready.logdir == "/data/OpenSeq2Seq/jasper_log_folder"
    assert ready.total_steps == 50 * (3 * 64 // 32)


def test_a_gpu_that_others_use_is_named(bench: Bench) -> None:
    bench.furnish()
    assert not any("GPU 0" in note for note in check(bench).notes)
    gpu = bench.host.gpus.readings()[0]
    assert gpu.memory_total is not None

    class Taken:
        report = bench.host.gpus.report

        def readings(self) -> tuple[GpuReading, ...]:
            return (replace(gpu, memory_used=7_500_000_000), replace(gpu, index=1, memory_used=None))

    bench.host = replace(bench.host, gpus=Taken())
    (note,) = (note for note in check(bench).notes if "Other programs" in note)
    assert f"7.5 of the {gpu.memory_total / 1e9:.1f} GB of GPU 0" in note


@pytest.mark.parametrize(
    "name", [MINI, "jasper-Mini-for-Jetson", "jasper-Mini-for-Jetson.py", f"/data/OpenSeq2Seq/{MINI}"]
)
def test_a_configuration_may_be_named_in_short(bench: Bench, name: str) -> None:
    bench.furnish()
    assert posixpath.basename(check(bench, config=name).config.path) == posixpath.basename(MINI)


@pytest.mark.parametrize("name", ["jasper", "/etc/passwd", "../../etc/passwd.py", "", "no/such.py"])
def test_a_configuration_that_is_not_there(bench: Bench, name: str) -> None:
    bench.furnish()
    assert refused(bench, config=name).kind is Problem.CONFIG_UNUSABLE


def test_data_that_is_not_there_is_named(bench: Bench) -> None:
    trouble = refused(bench)
    assert trouble.kind is Problem.TRAINING_DATA
    assert trouble.subject == "/data/librispeech/librivox-train-clean-100.csv"
    assert trouble.evidence[0].text.count("\n") == 3


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("wav_filename,wav_filesize,transcript\n/data/no.wav,1,hello\n", "not there"),
        ("wav_filename,wav_filesize,transcript\n/home/me/a.wav,1,hello\n", "container does not have"),
        ("wav_filename;wav_filesize;transcript\n/data/train-clean-100-1.wav;1;hello\n", "separated by commas"),
        ("/data/train-clean-100-1.wav,1,a\n/data/train-clean-100-2.wav,1,b\n", "name the columns"),
        ("wav_filename,wav_filesize,transcript\n/data/train-clean-100-1.wav,1,HELLO\n", "capital"),
        ("wav_filename,wav_filesize,transcript\n/data/train-clean-100-1.wav,1,caf\u00e9\n", "vocabulary"),
        ("wav_filename,wav_filesize,transcript\n/data/song.wav,1,hello\n", "not wav files"),
    ],
)
def test_a_list_at_which_the_training_would_stop(bench: Bench, text: str, wrong: str) -> None:
    bench.furnish(rows=4)
    bench.write("song.wav", "ID3 this is an mp3")
    bench.write("librispeech/librivox-train-clean-100.csv", text)
    trouble = refused(bench)
    assert trouble.kind is Problem.TRAINING_DATA
    assert wrong in trouble.hint
    assert "librivox-train-clean-100" in trouble.subject


@pytest.mark.parametrize(
    "options",
    [
        ("--no_such=1",),
        ("--num_epochs=many",),
        ("--use_horovod=true",),
        ("num_epochs=3",),
        ("--num_epochs",),
        ("--mode=fly",),
        ("--data_layer_params/dataset_files=/data/x.csv",),
    ],
)
def test_an_option_that_run_py_would_refuse(bench: Bench, options: tuple[str, ...]) -> None:
    bench.furnish()
    assert refused(bench, *options).kind is Problem.OPTION_UNUSABLE


def test_options_are_passed_on_and_the_folder_decides_its_own(bench: Bench) -> None:
    bench.furnish()
    ready = check(bench, "--num_epochs=3", "--use_xla_jit", "--continue_learning", "--enable_logs")
    assert "--num_epochs=3" in ready.argv
    assert ready.argv[-1] == "--use_xla_jit"
    assert ready.argv.count("--enable_logs") == 1
    assert "--continue_learning" not in ready.argv


def test_a_batch_larger_than_the_data_is_made_smaller(bench: Bench) -> None:
    bench.furnish(rows=5)
    assert "--batch_size_per_gpu=15" in check(bench).argv


def test_a_batch_that_was_asked_for_is_not(bench: Bench) -> None:
    bench.furnish(rows=5)
    trouble = refused(bench, "--batch_size_per_gpu=16")
    assert (trouble.kind, trouble.subject) == (Problem.OPTION_UNUSABLE, "--batch_size_per_gpu")


def test_without_a_checkpoint_there_is_nothing_to_measure(bench: Bench) -> None:
    bench.furnish()
    assert refused(bench, mode="eval").kind is Problem.NO_CHECKPOINT


def checkpoint(bench: Bench, step: int) -> None:
    bench.write("OpenSeq2Seq/jasper_log_folder/logs/checkpoint", f'model_checkpoint_path: "model.ckpt-{step}"\n')
    bench.write(f"OpenSeq2Seq/jasper_log_folder/logs/model.ckpt-{step}.index", "")


def test_the_log_folder_decides(bench: Bench) -> None:
    bench.furnish()
    assert check(bench).folder.standing is Standing.FRESH
    bench.write("OpenSeq2Seq/jasper_log_folder/stdout.log", "")
    assert check(bench).folder.standing is Standing.DIRTY
    checkpoint(bench, 100)
    ready = check(bench)
    assert ready.folder.standing is Standing.RESUME
    assert "--continue_learning" in ready.argv
    checkpoint(bench, 300)
    assert check(bench).folder.standing is Standing.FINISHED


def test_a_log_folder_with_the_training_of_another_configuration(bench: Bench) -> None:
    bench.furnish()
    training_run.run(bench.host, NAME, Wanted(MINI, ("--num_epochs=1",)))
    bench.write("OpenSeq2Seq/example_configs/speech2text/quartznet15x5_LibriSpeech.py", "# another\n")
    trouble = refused(bench, config="quartznet15x5_LibriSpeech")
    assert trouble.kind is Problem.CONFIG_UNUSABLE
    assert "--logdir=/data/quartznet15x5_LibriSpeech" in trouble.hint
    assert check(bench, "--logdir=/data/mine", config="quartznet15x5_LibriSpeech").logdir == "/data/mine"


def test_a_training_by_hand_counts_like_our_own(bench: Bench) -> None:
    bench.furnish()
    checkpoint(bench, 100)
    folder = "OpenSeq2Seq/jasper_log_folder/cmd-args_2026-11-2"
    bench.write(f"{folder}1_09-00-00.log", f"run.py --config_file={MINI} --mode=train_eval --enable_logs")
    bench.write(f"{folder}2_09-00-00.log", "run.py --config_file=example_configs/w2l_large.py --mode=train")
    bench.write(f"{folder}3_09-00-00.log", f"run.py --config_file={MINI} --mode=eval --enable_logs")
    assert "example_configs/w2l_large.py" in refused(bench).hint
    bench.write(f"{folder}4_09-00-00.log", f"run.py --config_file={MINI} --mode=train --enable_logs")
    assert check(bench).folder.standing is Standing.RESUME


def test_a_full_disk_is_said_before(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.furnish()
    monkeypatch.setattr(preflight, "SMALLEST_DISK", 10**15)
    assert refused(bench).kind is Problem.DISK_FULL


def test_the_name_of_the_container_is_what_counts(bench: Bench) -> None:
    assert bench.place.container.name == NAME
