# SPDX-License-Identifier: Apache-2.0
"""What guests talk to in the network rows: a server on the host's loopback. A number
is answered by as many bytes, all else is read to its end and answered by "done"."""
import contextlib
import re
import socket
import threading

BLOCK = bytes(1 << 20)


class Server:
    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            peer, _ = self.socket.accept()
            threading.Thread(target=serve, args=(peer,), daemon=True).start()


def serve(peer):
    with contextlib.suppress(OSError), peer:
        data = peer.recv(len(BLOCK))
        if re.fullmatch(rb"\d+\n", data):
            left = int(data)
            while left > 0:
                peer.sendall(BLOCK[:left])
                left -= len(BLOCK)
            return
        while data:
            data = peer.recv(len(BLOCK))
        peer.sendall(b"done\n")
