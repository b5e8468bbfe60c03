#!/usr/bin/env python3
"""One transfer with the kernel's TCP, timed from connect to the arrival of the last byte.

serve PORT                takes connections one after the other, reads each to its end, says how much it was
upload HOST PORT BYTES CC  uploads BYTES with the congestion control CC; prints seconds and bits per second
"""
import socket
import sys
import time


def serve(port):
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    listener.bind(("", port))
    listener.listen(8)
    while True:
        connection, _ = listener.accept()
        count = 0
        while piece := connection.recv(1 << 16):
            count += len(piece)
        # When all has arrived, by the clock that both sides have: they are on one machine.
        arrived = time.monotonic_ns()
        connection.sendall(count.to_bytes(8, "big") + arrived.to_bytes(8, "big"))
        connection.close()


def upload(host, port, size, control):
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.setsockopt(socket.IPPROTO_TCP, 13, control.encode())  # TCP_CONGESTION
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    before = time.monotonic()
    connection.connect((host, port))
    connection.sendall(bytes(size))
    connection.shutdown(socket.SHUT_WR)
    answer = b""
    while piece := connection.recv(16 - len(answer)):
        answer += piece
    count = int.from_bytes(answer[:8], "big")
    if count != size:
        sys.exit(f"{count} of {size} bytes arrived")
    seconds = int.from_bytes(answer[8:], "big") / 1e9 - before
    print(f"{seconds:.3f} {size * 8 / seconds:.0f}")


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
else:
    upload(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
