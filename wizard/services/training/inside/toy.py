"""Runs in the container, in the root of the clone: makes archives in the shape of LibriSpeech's from the clone's own toy
recordings, so that the real import script finds them instead of downloading. Valid Python 3.5.
"""

import csv
import io
import os
import shutil
import sys
import tarfile

FOLDER = sys.argv[1]
SOURCE = "open_seq2seq/test_utils/toy_speech_data/toy_data.csv"
SPLITS = (
    ("train-clean-100", 4),
    ("train-clean-360", 2),
    ("train-other-500", 2),
    ("dev-clean", 2),
    ("dev-other", 1),
    ("test-clean", 2),
    ("test-other", 1),
)


def unique(rows):
    seen = {}
    for row in rows:
        seen.setdefault(row["wav_filename"], row["transcript"])
    # The shortest first: they take least time and memory.
    return sorted(seen.items(), key=lambda item: os.path.getsize(item[0]))


def archive(split, number, utterances):
    speaker, chapter = str(100 + number), "1"
    inside = "LibriSpeech/{}/{}/{}".format(split, speaker, chapter)
    words = io.StringIO()
    # Written beside and renamed: a half archive is never taken for a whole one.
    name = os.path.join(FOLDER, split + ".tar.gz")
    with tarfile.open(name + ".part", "w:gz") as tar:
        for place, (wav, transcript) in enumerate(utterances):
            label = "{}-{}-{:04d}".format(speaker, chapter, place)
            flac = os.path.join(FOLDER, label + ".flac")
            if os.spawnlp(os.P_WAIT, "sox", "sox", wav, flac) != 0:
                sys.exit("sox cannot convert " + wav)
            tar.add(flac, "{}/{}.flac".format(inside, label))
            os.remove(flac)
            words.write("{} {}\n".format(label, transcript.upper()))
        data = words.getvalue().encode("utf-8")
        member = tarfile.TarInfo("{}/{}-{}.trans.txt".format(inside, speaker, chapter))
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    os.rename(name + ".part", name)


shutil.rmtree(FOLDER, ignore_errors=True)
os.makedirs(FOLDER)
with io.open(SOURCE, encoding="utf-8") as file:
    recordings = unique(csv.DictReader(file))
for number, (split, count) in enumerate(SPLITS):
    start = number % 3 if count < len(recordings) - 3 else 0
    archive(split, number, recordings[start : start + count])
    print("{}.tar.gz: {} utterances".format(split, count))
