#!/usr/bin/env python3
"""What a command in `sluice run` meets outside. `outbound.py serve` is the outside, `outbound.py` the command."""
import errno, hashlib, os, selectors, socket, struct, sys, threading

HOST, PORT, UDP_PORT, RESET_PORT = "192.0.2.1", 7100, 7101, 7102


def serve():
    """Echoes what comes, to the end of it; UDP twice as long; and resets who comes to the third port."""
    listener = socket.create_server((HOST, PORT), backlog=4096)
    resetting = socket.create_server((HOST, RESET_PORT))
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind((HOST, UDP_PORT))

    def reset():
        while True:
            peer, _ = resetting.accept()
            peer.recv(1)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()

    def answer():
        while True:
            data, peer = datagrams.recvfrom(65536)
            datagrams.sendto(data * 2, peer)

    for body in (reset, answer):
        threading.Thread(target=body, daemon=True).start()
    print("ready", flush=True)
    loop = selectors.DefaultSelector()
    listener.setblocking(False)
    loop.register(listener, selectors.EVENT_READ)
    held = {}
    while True:
        for key, events in loop.select():
            if key.fileobj is listener:
                peer, _ = listener.accept()
                peer.setblocking(False)
                held[peer] = [bytearray(), False]
                loop.register(peer, selectors.EVENT_READ)
                continue
            peer, (waiting, ended) = key.fileobj, held[key.fileobj]
            try:
                if events & selectors.EVENT_READ:
                    piece = peer.recv(65536)
                    waiting += piece
                    if not piece:
                        held[peer][1] = ended = True
                if waiting:
                    del waiting[: peer.send(waiting)]
            except BlockingIOError:
                pass
            except OSError:
                ended, waiting = True, bytearray()
            if ended and not waiting:
                loop.unregister(peer)
                del held[peer]
                peer.close()
                continue
            # Who takes nothing is not read.
            wanted = selectors.EVENT_WRITE if waiting else 0
            if not ended and len(waiting) < 1 << 20:
                wanted |= selectors.EVENT_READ
            loop.modify(peer, wanted)


def expect(condition, what):
    if not condition:
        sys.exit("not so: " + what)


def failure(address, timeout=10):
    try:
        socket.create_connection(address, timeout=timeout).close()
    except OSError as error:
        return error.errno
    return 0


def exchange(number, size, failures):
    data = hashlib.sha256(str(number).encode()).digest() * (size // 32)
    try:
        stream = socket.create_connection((HOST, PORT), timeout=60)
        sender = threading.Thread(target=lambda: (stream.sendall(data), stream.shutdown(socket.SHUT_WR)))
        sender.start()
        digest, count = hashlib.sha256(), 0
        while piece := stream.recv(65536):
            digest.update(piece)
            count += len(piece)
        sender.join()
        stream.close()
        if digest.digest() != hashlib.sha256(data).digest():
            failures.append(f"{number}: {count} of {size}")
    except OSError as error:
        failures.append(f"{number}: {error}")


def command():
    failures = []
    exchange(0, 4 << 20, failures)
    expect(not failures, f"4 MiB come back, half closed: {failures}")
    expect(failure((HOST, 1)) == errno.ECONNREFUSED, "a refusal")
    expect(failure(("203.0.113.1", 80)) in (errno.ENETUNREACH, errno.EHOSTUNREACH), "no way to a network")
    expect(failure(("198.51.100.1", 80)) in (errno.EHOSTUNREACH, errno.EACCES), "what --deny names")
    expect(failure(("10.0.2.2", 22)) == errno.ECONNREFUSED, "the host's loopback")
    stream = socket.create_connection((HOST, RESET_PORT))
    stream.send(b"x")
    try:
        expect(stream.recv(1) and False, "a reset")
    except ConnectionResetError:
        pass
    threads = [threading.Thread(target=exchange, args=(n, 64 << 10, failures)) for n in range(1, 1001)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect(not failures, f"1,000 connections at once: {failures[:3]}")
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.settimeout(10)
    datagrams.connect((HOST, UDP_PORT))
    for size in (0, 1, 700):
        datagrams.send(b"d" * size)
        expect(datagrams.recv(65536) == b"d" * 2 * size, f"a datagram of {size} bytes")
    nobody = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    nobody.settimeout(10)
    nobody.connect((HOST, 9))
    nobody.send(b"x")
    try:
        nobody.recv(1)
        expect(False, "a datagram to nobody")
    except ConnectionRefusedError:
        pass
    expect(socket.gethostbyname("db.test") == "192.0.2.7", "a name that --host gave")
    expect(open("/etc/resolv.conf").readline() == "nameserver 10.0.2.3\n", "the command's resolver")


serve() if sys.argv[1:] == ["serve"] else command()
