"""`aws` for a shell, from one process that has loaded the AWS CLI: to start it takes a second for each command.

The commands themselves are the AWS CLI's own: the process forks for each one, which then has the arguments, variables,
folder and standard streams of the caller.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from testkit.aws.localstack import PYTHON as LOCALSTACK_PYTHON
from testkit.process import child_process

_SERVER: Final = """\
import json, os, signal, socket, sys, traceback
import awscli.clidriver, awscli.customizations.s3.subcommands, botocore.httpsession, s3transfer.manager

DATA_PATH = os.environ["AWS_DATA_PATH"]  # importing the AWS CLI has set it

def work(connection, request, streams):
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"], AWS_DATA_PATH=DATA_PATH)
    try:
        code = awscli.clidriver.create_clidriver().main(request["arguments"])
    except SystemExit as ended:
        code = ended.code or 0
    sys.stdout.flush()
    connection.send(bytes([code]))

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listening.bind(sys.argv[1])
listening.listen()
print("ready", flush=True)
while True:
    connection, _ = listening.accept()
    data, streams, _, _ = socket.recv_fds(connection, 1 << 18, 3)
    if not os.fork():
        try:
            work(connection, json.loads(data), streams)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    for stream in streams:
        os.close(stream)
    connection.close()
"""
_CLIENT: Final = """\
import json, os, socket, sys
connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
connection.connect(sys.argv[1])
request = {"folder": os.getcwd(), "environment": dict(os.environ), "arguments": sys.argv[2:]}
socket.send_fds(connection, [json.dumps(request).encode()], [0, 1, 2])
sys.exit(ord(connection.recv(1) or b"\\xff"))
"""


@contextmanager
def aws_command(folder: Path) -> Iterator[None]:
    """A program `aws` in this folder, which works while the block runs."""
    address, client, command = folder / "aws.socket", folder / "aws_client.py", folder / "aws"
    client.write_text(_CLIENT)
    words = shlex.join([sys.executable, "-S", "-E", str(client), str(address)])
    command.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    command.chmod(0o755)
    with child_process("the AWS CLI", [str(LOCALSTACK_PYTHON), "-c", _SERVER, str(address)]) as server:
        server.read_line(60)
        yield
