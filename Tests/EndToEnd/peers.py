#!/usr/bin/env python3
"""Linux's own TCP as the peer of Sluice's, in the network that `peers` made.

serve LOG             Linux as server: what forwarded connections come to; writes what it saw to LOG, a line a connection
client BYTES          Linux as client of Sluice's services at 10.0.2.2
forwarded BYTES LOG   a client on the other side of `sluice run -p`: Sluice connects to the server, Linux answers
counter NAME          one of the kernel's counters in this network namespace
stat PATH…            what /stats.json has there

Prints a line a case. Fails at the first that does not hold.
"""
import errno
import hashlib
import json
import random
import select
import socket
import struct
import sys
import threading
import time

GATEWAY = "10.0.2.2"
DIGEST, SOURCE, EXCHANGE, RESETTER, WITNESS, CLOSED, TALKER, FAST = range(7001, 7009)
PATIENCE = 40
MSG_FASTOPEN = 0x20000000
TCP_FASTOPEN = 23
ECN_AGREED, ECN_SEEN = 8, 16  # of tcpi_options


# Connections that may have their SYN, or its answer, lost by the path, one after the other: what is repeated asks for no
# ECN (RFC 3168 section 6.1.1.1).
SYNS = 5


def content(count, seed=1):
    return random.Random(seed).randbytes(count)


def sha(data):
    return hashlib.sha256(data).hexdigest()


def need(holds, what):
    if not holds:
        sys.exit(f"FAILED: {what}")


def counters():
    found = {}
    for name in ("netstat", "snmp"):
        with open(f"/proc/self/net/{name}") as table:
            lines = table.read().splitlines()
        for names, values in zip(lines[::2], lines[1::2]):
            group = names.split(":")[0]
            for key, value in zip(names.split()[1:], values.split()[1:]):
                found[group + key] = int(value)
    return found


def stats(attempts=3):
    """The document, from the stack itself; a lossy link may have an attempt fail."""
    for attempt in range(attempts):
        try:
            with socket.create_connection((GATEWAY, 80), PATIENCE) as connection:
                connection.sendall(b"GET /stats.json HTTP/1.0\r\n\r\n")
                answer = read_all(connection)
            return json.loads(answer.split(b"\r\n\r\n", 1)[1])
        except OSError:
            if attempt + 1 == attempts:
                raise


def stat(path, document=None):
    node = document if document is not None else stats()
    for key in path.split("."):
        node = node[key]
    return node


def until(holds, what):
    end = time.monotonic() + PATIENCE
    while not holds():
        need(time.monotonic() < end, what)
        time.sleep(0.05)


def read_all(connection):
    pieces = []
    while piece := connection.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


def read_exactly(connection, count):
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        need(piece, f"the stream ended {count - len(data)} bytes early")
        data += piece
    return data


def connect(host, port):
    connection = socket.create_connection((host, port), PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def connect_in_vain(host, port):
    """A connection that is reset at once; None if the reset came before the system had told of the handshake."""
    try:
        return connect(host, port)
    except ConnectionResetError:
        return None


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def options_of(connection):
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[5]


def is_reset_when_talking(connection, rounds=1):
    """Whether it is reset, as who sends a byte and waits for an answer learns it. False: it was answered so often."""
    connection.settimeout(1)
    end = time.monotonic() + PATIENCE
    while rounds and time.monotonic() < end:
        try:
            connection.sendall(b"x")
            need(connection.recv(1 << 16), "an end instead of a reset")
            rounds -= 1
        except TimeoutError:
            pass
        except (ConnectionResetError, BrokenPipeError):
            return True
    return False


# ---- Linux as server ------------------------------------------------------------------------------------


def serve(path):
    log = open(path, "a", buffering=1)

    def digest(connection):
        data = read_all(connection)
        connection.sendall(sha(data).encode())
        log.write(f"digest {sha(data)} {options_of(connection)}\n")

    def source(connection):
        count, seed = struct.unpack(">II", read_exactly(connection, 8))
        connection.sendall(content(count, seed))

    def exchange(connection):
        while head := connection.recv(2, socket.MSG_WAITALL):
            connection.sendall(hashlib.sha256(read_exactly(connection, struct.unpack(">H", head)[0])).digest())

    def resetter(connection):
        connection.recv(1)
        reset(connection)

    def witness(connection):
        first = read_exactly(connection, 5)
        connection.sendall(first)
        # Who goes on talking learns of a reset that was lost.
        connection.settimeout(0.1)
        try:
            while True:
                try:
                    need(connection.recv(1 << 16), "the witness saw an end")
                except TimeoutError:
                    connection.sendall(b".")
        except (ConnectionResetError, BrokenPipeError):
            log.write("witness reset\n")

    def talker(connection):
        connection.sendall(b"all that I say")
        connection.shutdown(socket.SHUT_WR)
        log.write(f"talker {sha(read_all(connection))}\n")

    def fast(connection):
        connection.sendall(read_exactly(connection, 4))

    services = {DIGEST: digest, SOURCE: source, EXCHANGE: exchange, RESETTER: resetter, WITNESS: witness,
                TALKER: talker, FAST: fast}
    listeners = {}
    for port, service in services.items():
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN, 16)
        listener.bind(("", port))
        listener.listen(64)
        listeners[listener] = service

    def run(service, connection):
        connection.settimeout(PATIENCE)
        try:
            service(connection)
        except OSError as error:
            log.write(f"{service.__name__} failed {error}\n")
        finally:
            connection.close()

    log.write("serving\n")
    while True:
        for listener in select.select(list(listeners), [], [])[0]:
            connection, _ = listener.accept()
            threading.Thread(target=run, args=(listeners[listener], connection), daemon=True).start()


# ---- Linux as client ------------------------------------------------------------------------------------


def echoed(connection, data):
    sender = threading.Thread(target=lambda: (connection.sendall(data), connection.shutdown(socket.SHUT_WR)))
    sender.start()
    answer = read_all(connection)
    sender.join()
    return answer


def client(size):
    before, began = counters(), stats()
    data = content(size)

    with connect(GATEWAY, 7) as connection:
        answer = echoed(connection, data)
        options = options_of(connection)
    need(sha(answer) == sha(data), f"bulk: {len(answer)} of {size} bytes, or others")
    print("ok bulk", sha(answer)[:16])
    for _ in range(SYNS):
        if options & ECN_AGREED and options & ECN_SEEN:
            break
        with connect(GATEWAY, 7) as connection:
            echoed(connection, data[:100000])
            options = options_of(connection)
    now = counters()
    need(options & ECN_AGREED and options & ECN_SEEN, f"no ECN: options {options}")
    need(now["IpExtInECT0Pkts"] > before["IpExtInECT0Pkts"], "Sluice sent nothing with ECT(0)")
    print("ok ecn", now["IpExtInECT0Pkts"] - before["IpExtInECT0Pkts"], "packets with ECT(0),",
          now["IpExtInCEPkts"] - before["IpExtInCEPkts"], "with CE,",
          now["TcpExtTCPDeliveredCE"] - before["TcpExtTCPDeliveredCE"], "told to be marked")

    with connect(GATEWAY, 7) as connection:
        for number in range(40):
            question = content(1 + number * 73, number)
            connection.sendall(question)
            need(read_exactly(connection, len(question)) == question, f"exchange {number}")
    print("ok exchange")

    with connect(GATEWAY, 9) as connection:
        connection.sendall(data[:100_000])
        connection.shutdown(socket.SHUT_WR)
        need(read_all(connection) == b"", "half close: something came from discard")
    with connect(GATEWAY, 7) as connection:
        connection.sendall(data[:60_000])
        connection.shutdown(socket.SHUT_WR)
        need(read_all(connection) == data[:60_000], "half close: what came after it")
    print("ok half close")

    refused = socket.socket()
    refused.settimeout(PATIENCE)
    need(refused.connect_ex((GATEWAY, 4)) == errno.ECONNREFUSED, "a closed port did not refuse")
    # More connections than the services take at once: those beyond are reset. A reset may be lost, and is sent again to
    # who goes on talking.
    limit = began["services"]["limit"]
    until(lambda: stat("services.open") <= 1, "earlier connections stay")
    many = [connect_in_vain(GATEWAY, 7) for _ in range(limit + 1)]
    victims = [connection for connection in many if connection is None or is_reset_when_talking(connection)]
    need(len(victims) == 1, f"{len(victims)} of {limit + 1} connections were reset by Sluice")
    for connection in many:
        if connection:
            connection.close()
    until(lambda: stat("services.open") <= 1, "connections stay open after their ends")
    need(stat("services.refused") > began["services"]["refused"], "nothing was refused")
    print("ok reset")

    # To who sends without end, so that it learns of a lost reset, too.
    several = [connect(GATEWAY, 19) for _ in range(5)]
    for connection in several:
        read_exactly(connection, 100)
    resets = counters()["TcpOutRsts"]
    for connection in several:
        reset(connection)
    need(counters()["TcpOutRsts"] >= resets + 5, "linger 0 sent no resets")
    until(lambda: stat("services.open") <= 1, "linger 0: connections stay open after their resets")
    print("ok linger 0")

    # The first asks for the cookie; on a line that loses SYNs it takes some more.
    for attempt in range(12):
        text = f"fast {attempt:3}".encode()
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.sendto(text, MSG_FASTOPEN, (GATEWAY, 7))
        connection.settimeout(PATIENCE)
        need(read_exactly(connection, len(text)) == text, "Fast Open: another answer")
        connection.close()
        active = counters()["TcpExtTCPFastOpenActive"] - before["TcpExtTCPFastOpenActive"]
        if active:
            break
    passive = stat("protocols.sockets.fastOpenPassive") - stat("protocols.sockets.fastOpenPassive", began)
    need(active and passive, f"Fast Open: {active} at Linux, {passive} at Sluice")
    print("ok fast open after", attempt + 1)


# ---- Linux as server, Sluice connects -------------------------------------------------------------------


def forwarded(size, path):
    host = "127.0.0.1"
    data = content(size, 2)

    def log_has(line):
        with open(path) as log:
            return any(line in entry for entry in log)

    def digested(data):
        with connect(host, DIGEST) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            need(read_all(connection).decode() == sha(data), "bulk to Linux: another digest")
        with open(path) as log:
            return [int(line.split()[2]) for line in log if line.startswith("digest " + sha(data))][-1]

    options = digested(data)
    print("ok bulk to Linux", sha(data)[:16])
    for number in range(SYNS):
        if options & ECN_AGREED and options & ECN_SEEN:
            break
        options = digested(data[number : number + 100000])
    need(options & ECN_AGREED and options & ECN_SEEN, f"no ECN: options {options}")
    print("ok ecn")

    with connect(host, SOURCE) as connection:
        connection.sendall(struct.pack(">II", size, 3))
        need(sha(read_all(connection)) == sha(content(size, 3)), "bulk from Linux: another digest")
    print("ok bulk from Linux", sha(content(size, 3))[:16])

    with connect(host, EXCHANGE) as connection:
        for number in range(40):
            question = content(1 + number * 73, number)
            connection.sendall(struct.pack(">H", len(question)) + question)
            need(read_exactly(connection, 32) == hashlib.sha256(question).digest(), f"exchange {number}")
    print("ok exchange")

    with connect(host, TALKER) as connection:
        need(read_all(connection) == b"all that I say", "half close: what came before it")
        connection.sendall(data[:100_000])
    until(lambda: log_has("talker " + sha(data[:100_000])), "half close: what came after it did not arrive")
    print("ok half close")

    for port, what in ((RESETTER, "a reset"), (CLOSED, "a refusal")):
        connection = connect_in_vain(host, port)
        if connection:
            with connection:
                need(is_reset_when_talking(connection), f"{what} of Linux's did not arrive")
    print("ok reset")

    connection = connect(host, WITNESS)
    connection.sendall(b"hello")
    need(read_exactly(connection, 5) == b"hello", "the witness")
    reset(connection)
    until(lambda: log_has("witness reset"), "linger 0: Linux saw no reset")
    print("ok linger 0")

    # First the kernel here has a cookie, then Sluice asks for one, then it uses it.
    for attempt in range(int(sys.argv[4]) if len(sys.argv) > 4 else 4):
        text = f"{attempt:4}".encode()
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.sendto(text, MSG_FASTOPEN, (host, FAST))
        connection.settimeout(PATIENCE)
        need(read_exactly(connection, 4) == text, "Fast Open: another answer")
        connection.close()
    print("ok fast open was tried")


def main(arguments):
    if arguments[0] == "serve":
        serve(arguments[1])
    elif arguments[0] == "client":
        client(int(arguments[1]))
    elif arguments[0] == "forwarded":
        forwarded(int(arguments[1]), arguments[2])
    elif arguments[0] == "counter":
        print(counters()[arguments[1]])
    else:
        document = stats()
        print(*(stat(path, document) for path in arguments[1:]))


main(sys.argv[1:])
