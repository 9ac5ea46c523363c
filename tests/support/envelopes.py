"""What terminals, programs and people put around an error text. Each envelope takes a text and returns it wrapped."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable

Envelope = Callable[[str], str]

STAMP = "2026-11-22T12:00:01.123456789Z"
SYSLOG = "Nov 22 12:00:01 gpu-box dockerd[812]: "
NOISE = (
    "Step {0}/52 : RUN apt-get install -y --no-install-recommends libsndfile1 sox",
    "Get:{0} http://archive.ubuntu.com/ubuntu jammy/main amd64 libfoo{0} amd64 1.2.{0}-1 [12.3 kB]",
    'time="2026-11-22T11:59:{0:02}Z" level=info msg="Loading containers: start."',
    "Nov 22 11:59:{0:02} gpu-box systemd[1]: Started Session {0} of user ada.",
    "[    {0}.123456] usb 1-1: new high-speed USB device number {0} using xhci_hcd",
    "  warning: variable 'x{0}' set but not used [-Wunused-but-set-variable] in a line of more than 80 columns",
)


def core(text: str) -> str:
    """The sentence without what a terminal shows around it."""
    text = re.sub(r"^(docker: )?(Error response from daemon: )?", "", text)
    return re.sub(r"(: unknown)?\.?$", "", text)


def _noise(count: int, start: int) -> str:
    return "".join(NOISE[number % len(NOISE)].format(number % 60) + "\n" for number in range(start, start + count))


def _each_line(prefix: str) -> Envelope:
    return lambda text: "".join(f"{prefix}{line}\n" for line in text.split("\n"))


def _colours(text: str) -> str:
    words = text.split(" ")
    return "\x1b[1;31m" + " ".join(f"\x1b[38;5;{n % 255}m{word}\x1b[0m" for n, word in enumerate(words)) + "\x1b[K\n"


def _message(text: str) -> str:
    return json.dumps({"message": core(text)})


def _field(text: str) -> str:
    return json.dumps(core(text), ensure_ascii=False)


def hard(width: int, *, keep: bool = True) -> Envelope:
    """Lines cut at a width wherever that falls; without ``keep``, blanks at a line's end are lost in copying."""

    def wrapped(text: str) -> str:
        rows = [line[at : at + width] for line in text.split("\n") for at in range(0, max(1, len(line)), width)]
        return "\n".join(row if keep else row.rstrip(" ") for row in rows)

    return wrapped


def soft(width: int, *, hyphens: bool) -> Envelope:
    """Lines broken between words, as mail programs do."""
    return lambda text: "\n".join(
        row for line in text.split("\n") for row in textwrap.wrap(line, width, break_on_hyphens=hyphens) or [""]
    )


ENVELOPES: dict[str, Envelope] = {
    "as it is": lambda text: text,
    "run, to 27": lambda text: (
        f"docker: Error response from daemon: {core(text)}: unknown.\nSee 'docker run --help'.\n"
    ),
    "run, from 28": lambda text: (
        f"docker: Error response from daemon: {core(text)}\n\nRun 'docker run --help' for more information\n"
    ),
    "help in the same line": lambda text: f"docker: {core(text)}. See 'docker run --help'.",
    "plain": core,
    "api": _message,
    "api, pretty": lambda text: json.dumps({"code": 500, "message": core(text)}, indent=2),
    "curl": lambda text: (
        "HTTP/1.1 500 Internal Server Error\r\nApi-Version: 1.43\r\nContent-Type: application/json\r\n\r\n"
        f"{_message(text)}\r\n"
    ),
    "json in json": lambda text: json.dumps({"error": _message(text)}),
    "json in json in json": lambda text: json.dumps({"log": json.dumps({"error": _message(text)})}),
    "ascii json": lambda text: json.dumps({"message": core(text)}).replace("<", "\\u003c").replace("'", "\\u0027"),
    "compose": lambda text: (
        " ✔ Network wiz_default  Created  0.1s\n ✘ Container wiz-tf-1  Error   0.3s\n"
        f"Error response from daemon: {core(text)}\n"
    ),
    "compose, one line": lambda text: f" ✘ Container wiz-tf-1 Error response from daemon: {core(text)}\n",
    "compose logs": _each_line("wiz-tf-1  | "),
    "journal": lambda text: f'{SYSLOG}time="{STAMP}" level=error msg={_field(text)}\n',
    "journal, error field": lambda text: (
        f'{SYSLOG}time="{STAMP}" level=error msg="Handler for POST /v1.43/containers/x/start returned error"'
        f" error={_field(text)} spanID=1f2e traceID=9a8b\n"
    ),
    "journal, handler": lambda text: (
        f'time="{STAMP}" level=error msg="Handler for POST /v1.41/containers/x/start returned error: {_field(text)[1:]}'
    ),
    "journal, lines": _each_line(SYSLOG),
    "journal, iso": _each_line("2026-11-22T12:00:01+0100 gpu-box dockerd[812]: "),
    "old logrus": lambda text: f"ERRO[0003] {core(text)} \n",
    "runc of 19.03": lambda text: (
        "docker: Error response from daemon: OCI runtime create failed: container_linux.go:349: starting container "
        f'process caused "process_linux.go:449: container init caused {json.dumps(_field(text))}": unknown.'
    ),
    "colours": _colours,
    "colours as text": lambda text: "".join(f"^[[31m{line}^[[0m\n" for line in text.split("\n")),
    "noise": lambda text: f"{_noise(60, 0)}{text}\n{_noise(40, 17)}",
    "much noise": lambda text: f"{_noise(150, 0)}{text}\n{_noise(150, 17)}",
    "windows": lambda text: text.replace("\n", "\r\n") + "\r\n",
    "hard 80": hard(80),
    "hard 80, copied": hard(80, keep=False),
    "hard 100": hard(100),
    "hard 132, copied": hard(132, keep=False),
    "soft 80": soft(80, hyphens=False),
    "soft 80, hyphens": soft(80, hyphens=True),
    "soft 72": soft(72, hyphens=False),
    "bom": lambda text: f"\ufeff{text}",
    "nuls": lambda text: "".join(f"{letter}\0" for letter in text),
    "not utf-8": lambda text: f"Schl\ufffd\ufffdssel \udce4 {text} \ufffd",
    "mail": _each_line("> "),
    "indented": _each_line("        "),
    "markdown": lambda text: f"I get this:\n```\n$ docker run --gpus all x\n{text}\n```\nWhat can I do?",
    "blog": lambda text: re.sub(r'"([^"\n]*)"', "“\\1”", text).replace(" ", "\u00a0"),
}

COMBINED: dict[str, Envelope] = {
    f"{outer} ({inner})": (lambda text, o=outer, i=inner: ENVELOPES[o](ENVELOPES[i](text)))  # type: ignore[misc]
    for inner, outer in (
        ("run, to 27", "hard 80, copied"),
        ("run, from 28", "soft 80"),
        ("run, to 27", "colours"),
        ("run, to 27", "much noise"),
        ("runc of 19.03", "hard 80"),
        ("runc of 19.03", "api"),
        ("runc of 19.03", "journal"),
        ("api", "hard 80, copied"),
        ("api, pretty", "soft 80, hyphens"),
        ("json in json", "hard 80"),
        ("journal", "hard 80"),
        ("journal", "hard 100"),
        ("journal", "noise"),
        ("journal, error field", "soft 80, hyphens"),
        ("compose", "windows"),
        ("compose", "hard 80, copied"),
        ("journal, lines", "hard 80"),
        ("hard 80", "noise"),
        ("hard 80, copied", "much noise"),
        ("soft 80", "noise"),
        ("hard 80", "mail"),
        ("soft 80", "windows"),
        ("colours", "nuls"),
        ("json in json in json", "hard 80"),
    )
}
