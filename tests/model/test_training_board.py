from __future__ import annotations

import pytest

from wizard.model.training import board

TABLE = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1776 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 20101 1
   1: 0200A8C0:1777 0300A8C0:D2F0 01 00000000:00000000 00:00000000 00000000     0        0 20102 1
  sl  local_address                         remote_address                        st tx_queue rx_queue
  10: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000
"""


def test_the_ports_on_which_somebody_listens() -> None:
    assert board.listening(TABLE) == {6006, 8080}, "6007 is only a connection"
    assert board.listening("") == frozenset()


def test_a_free_port() -> None:
    assert board.free_port(frozenset()) == 6006
    assert board.free_port(frozenset({6006, 6007, 6009})) == 6008
    assert board.free_port(frozenset(range(65536))) is None


def test_its_own_words() -> None:
    assert board.ready("W0612 static assets\nTensorBoard 1.15.0 at http://172.17.0.2:6006/ (Press CTRL+C to quit)\n")
    assert not board.ready("TensorBoard could not bind to port 6006, it was already in use\n")
    assert board.port_taken("ERROR: TensorBoard could not bind to port 6006, it was already in use")
    assert board.port_taken("httpd: bind: Address already in use")
    assert not board.port_taken("ImportError: cannot import name 'notf'")


@pytest.mark.parametrize(
    ("address", "connection", "expected"),
    [
        ("172.17.0.2", "", "ssh -N -L 6006:172.17.0.2:6006 mei@gpu-box"),
        ("172.17.0.2", "10.0.0.5 51234 10.0.0.9 22", "ssh -N -L 6006:172.17.0.2:6006 mei@10.0.0.9"),
        ("127.0.0.1", "10.0.0.5 51234 10.0.0.9 2222", "ssh -N -p 2222 -L 6006:127.0.0.1:6006 mei@10.0.0.9"),
        ("fd00::2", "half", "ssh -N -L 6006:[fd00::2]:6006 mei@gpu-box"),
    ],
)
def test_the_way_from_another_computer(address: str, connection: str, expected: str) -> None:
    assert board.tunnel(address, 6006, "mei", "gpu-box", connection) == expected


def test_addresses_for_a_browser() -> None:
    assert board.url("172.17.0.2", 6007) == "http://172.17.0.2:6007/"
    assert board.url("fd00::2", 6006) == "http://[fd00::2]:6006/"
