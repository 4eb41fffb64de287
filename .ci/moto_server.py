"""moto, an implementation of AWS that is not this project's, started on a free port and ended afterwards."""

import contextlib
import pathlib
import socket
import subprocess
import sys
import time

from local_system import free_port

SERVER = pathlib.Path(__file__).with_name("serial_moto.py")
# In seconds.
READY = 30


def wait_until_it_listens(port, server):
    deadline = time.monotonic() + READY
    while time.monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit("moto_server does not come up")


@contextlib.contextmanager
def moto():
    """Gives the address of a new moto."""
    port = free_port()
    # Without the folder of the script, in which moto.py is another module.
    command = [sys.executable, "-P", SERVER, "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_until_it_listens(port, server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(60)
