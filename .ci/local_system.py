"""The local system for the checks from outside: started on free ports, ended afterwards."""

import contextlib
import os
import re
import socket
import subprocess
import threading


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def free_pair():
    """A free port whose neighbour is free too: the simulator takes the next one."""
    while True:
        port = free_port()
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port + 1))
            return port


@contextlib.contextmanager
def local_system(*arguments, data=None):
    """Gives what the local system prints at its start, by name: Console, API, digi.me, Pages, AWS, Key and more. It keeps its
    data in the folder `data`, if one is given.
    """
    storage = ["--data-dir", str(data)] if data else ["--ephemeral"]
    command = ["target/debug/local", *storage, "--port", "0", *arguments]
    # Without the line of each request.
    environment = {"RUST_LOG": "warn", **os.environ}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as system:
        try:
            addresses = {}
            for line in system.stdout:
                if "Ctrl-C" in line:
                    break
                name, address = re.match(r"(\S+) +(\S+)", line).groups()
                addresses.setdefault(name, address)
            # A line for each event follows. Unread, they would fill the pipe.
            threading.Thread(target=system.stdout.read, daemon=True).start()
            yield addresses
        finally:
            system.terminate()
            system.wait(10)
