"""Runs inside the container, with the Python that the image has (3.5 or newer): recordings in, wav files and lists out.

Standard input is a tar archive, packed or not, with recordings (flac, wav, mp3) and what is said in them: LibriSpeech's
``*.trans.txt``, or ``manifest.json``. Each recording becomes 16 kHz, mono, 16 bit by sox. A wav file gets its name when
it is whole, and one that is whole is not made again, so a run that was ended is simply started again. The lists are
written last. Files belong to whoever owns the folder.

Standard output is lines of JSON: ``{"recordings": n}`` now and then, at the end ``{"finished": ...}`` or
``{"error": kind, "text": ..., "failed": [[name, reason]]}``.
"""

import contextlib
import csv
import errno
import fcntl
import json
import os
import subprocess
import sys
import tarfile
import threading
import time
import unicodedata
import wave
from concurrent.futures import ThreadPoolExecutor

AUDIO = (".flac", ".wav", ".mp3")
BETWEEN_LINES = 0.5
LARGE = 64 * 1024 * 1024
LOCK_SECONDS = 30.0
SHOWN = 50
RATE, CHANNELS, WIDTH = 16000, 1, 2


class Stop(Exception):
    """The run cannot go on."""

    def __init__(self, kind, text="", failed=()):
        Exception.__init__(self, kind, text)
        self.kind = kind
        self.text = text
        self.failed = list(failed)[:SHOWN]


def say(line):
    """One line of JSON."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def become_owner(data, folders):
    """Goes on as the owner of the data folder, so that nothing belongs to root on the other side of the mount."""
    found = os.stat(data)
    if os.geteuid() != 0 or found.st_uid == 0:
        return
    for folder in folders:
        if os.path.isdir(folder):
            # A server that does not listen to this root has given its files to the owner already.
            with contextlib.suppress(OSError):
                os.chown(folder, found.st_uid, found.st_gid)
    os.setgroups([])
    os.setgid(found.st_gid)
    os.setuid(found.st_uid)


def lock(path):
    """Keeps other runs out of the folder; one that was just ended gets a moment to go."""
    handle = open(path, "w")  # held until the end
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                return handle  # a file system without locks
            if time.monotonic() > until:
                raise Stop("busy") from error
            time.sleep(0.1)


def is_whole(path):
    """Whether a wav file is there with everything that its head promises."""
    try:
        with open(path, "rb") as file:
            head = file.read(8)
        return head[:4] == b"RIFF" and int.from_bytes(head[4:8], "little") + 8 == os.path.getsize(path)
    except OSError:
        return False


def convert(data, kind, target):
    """Makes the wav file ``target``; returns why it could not, or an empty text."""
    folder, name = os.path.split(target)
    unfinished = os.path.join(folder, "." + name + ".part")
    argv = ["sox", "-V1", "-R", "-t", kind, "-", "-t", "wav", "-e", "signed-integer", "-b", str(8 * WIDTH)]
    argv += ["-r", str(RATE), "-c", str(CHANNELS), unfinished]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = process.communicate(data)[1].decode("utf-8", "replace").strip()
    if process.returncode == 0:
        try:
            with wave.open(unfinished, "rb") as made:
                if made.getnframes() == 0:
                    said = "there is no sound in it"
        except (OSError, EOFError, wave.Error) as error:
            said = str(error) or "it could not be converted"
    if process.returncode == 0 and not said and is_whole(unfinished):
        os.rename(unfinished, target)
        return ""
    free = os.statvfs(folder)
    with contextlib.suppress(OSError):
        os.unlink(unfinished)
    if "No space left" in said or free.f_bavail * free.f_frsize < len(data):
        raise Stop("disk-full", said)
    return said or "sox ended with {}".format(process.returncode)


def ascii_of(text):
    """A transcript as OpenSeq2Seq's own script keeps it: lower case, and letters without their accents."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    return plain.lower().strip()


class Run:
    """One archive."""

    def __init__(self, options):
        self.wav = os.path.join(options["root"], options["wav"])
        self.root = options["root"]
        self.options = options
        self.seen = {}
        self.texts = {}
        self.lists = {}
        self.failed = []
        self.stopped = None
        self.told = 0.0
        self.guard = threading.Lock()

    def read(self, stream):
        """Takes the archive to its end."""
        jobs = options_jobs(self.options)
        waiting = threading.Semaphore(jobs * 2)
        with ThreadPoolExecutor(jobs) as pool, tarfile.open(fileobj=stream, mode="r|*") as archive:
            for member in archive:
                if self.stopped is not None:
                    break
                self.member(archive, member, pool, waiting)
        if self.stopped is not None:
            raise self.stopped

    def member(self, archive, member, pool, waiting):
        """Deals with one file of the archive."""
        name = os.path.basename(member.name)
        stem, ending = os.path.splitext(name)
        if not member.isfile() or name.startswith("."):
            return
        if name == "manifest.json":
            self.lists = json.loads(archive.extractfile(member).read().decode("utf-8"))
        elif name.endswith(".trans.txt"):
            for line in archive.extractfile(member).read().decode("utf-8", "replace").splitlines():
                key, _blank, text = line.strip().partition(" ")
                if key:
                    self.texts[key] = ascii_of(text)
        elif ending.lower() in AUDIO:
            target = os.path.join(self.wav, stem + ".wav")
            if is_whole(target):
                self.done(stem, "")
                return
            data = archive.extractfile(member).read()
            waiting.acquire()
            job = pool.submit(self.work, data, ending.lower()[1:], target, stem, waiting)
            if len(data) > LARGE:
                job.result()

    def work(self, data, kind, target, stem, waiting):
        """One conversion, in a thread of its own: sox is the process that works."""
        try:
            self.done(stem, convert(data, kind, target))
        except Stop as stop:
            self.stopped = stop
        except OSError as error:
            self.stopped = stop_of(error)
        finally:
            waiting.release()

    def done(self, stem, why):
        """Notes a recording, and says so now and then."""
        with self.guard:
            self.seen[stem] = why
            if why:
                self.failed.append([stem, why])
            if time.monotonic() - self.told >= BETWEEN_LINES:
                self.told = time.monotonic()
                say({"recordings": len(self.seen)})

    def finish(self):
        """Writes the lists. Raises ``Stop`` where something is missing that should be there."""
        say({"recordings": len(self.seen)})
        if len(self.seen) < self.options["expected"]:
            raise Stop("cut-off", "{} of {}".format(len(self.seen), self.options["expected"]))
        good = {stem for stem, why in self.seen.items() if not why}
        lists = self.lists or {self.options["csv"]: sorted(self.texts.items())}
        named = {key for rows in lists.values() for key, _text in rows}
        if self.options["strict"]:
            self.failed += [[key, "there is no text for it"] for key in sorted(good - named)]
            self.failed += [[key, "there is no recording of it"] for key in sorted(named - set(self.seen))]
            if self.failed:
                raise Stop("failed", "", sorted(self.failed))
        os.sync()
        written = {}
        for path, rows in sorted(lists.items()):
            written[path] = self.write(path, [row for row in rows if row[0] in good])
        say({"finished": {"rows": written, "recordings": len(self.seen), "failed": sorted(self.failed)}})

    def write(self, path, rows):
        """One list, in one step. Returns its number of rows."""
        target = os.path.join(self.root, path)
        unfinished = target + ".part"
        with open(unfinished, "w", encoding="utf-8", newline="") as file:
            out = csv.writer(file, lineterminator="\n")
            out.writerow(["wav_filename", "wav_filesize", "transcript"])
            for key, text in rows:
                wav = os.path.join(self.wav, key + ".wav")
                out.writerow([wav, os.path.getsize(wav), text])
            file.flush()
            os.fsync(file.fileno())
        os.rename(unfinished, target)
        return len(rows)


def options_jobs(options):
    """How many conversions at a time."""
    return options.get("jobs") or len(os.sched_getaffinity(0))


def stop_of(error):
    """The kind of an operating system's error."""
    kinds = {errno.ENOSPC: "disk-full", errno.EDQUOT: "disk-full", errno.EROFS: "read-only"}
    kinds.update({errno.EACCES: "permission", errno.EPERM: "permission"})
    return Stop(kinds.get(error.errno, "internal"), str(error))


def sox_is_here():
    """Whether sox can be started at all."""
    try:
        subprocess.check_output(["sox", "--version"], stderr=subprocess.STDOUT)
    except OSError:
        return False
    return True


def main(options):
    """Returns the exit status."""
    try:
        if not sox_is_here():
            raise Stop("sox")
        root, wav = options["root"], os.path.join(options["root"], options["wav"])
        os.umask(0o022)
        become_owner(options["data"], [root, os.path.dirname(wav), wav])
        os.makedirs(wav, exist_ok=True)
        held = lock(os.path.join(root, ".s2s-wizard.lock"))
        for name in os.listdir(wav):
            if name.startswith(".") and name.endswith(".part"):
                os.unlink(os.path.join(wav, name))
        run = Run(options)
        run.read(sys.stdin.buffer)
        run.finish()
        held.close()
        return 0
    except Stop as stop:
        say({"error": stop.kind, "text": stop.text, "failed": stop.failed})
    except OSError as error:
        say({"error": stop_of(error).kind, "text": str(error), "failed": []})
    except (tarfile.TarError, EOFError, ValueError) as error:
        say({"error": "cut-off", "text": str(error), "failed": []})
    return 1


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
