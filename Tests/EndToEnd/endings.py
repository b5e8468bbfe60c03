#!/usr/bin/env python3
"""How connections of a command in `sluice run` begin and end: what the host's socket meets, the command's meets.

`endings.py serve` is the outside, as root in a network of its own, which has 192.0.2.1 already; `endings.py command` the command. The outside has
192.0.2.1, 192.0.2.77 and the same of IPv6, networks that it has no way for, a host that is away, and one that never answers.
"""
import errno, os, socket, struct, subprocess, sys, threading

FAMILIES = (("192.0.2.{}", "203.0.113.{}", "198.18.0.{}"), ("2001:db8::{}", "2001:db8:1::{}", "2001:db8:2::{}"))
RESET, TALK, WATCH, ECHO, CONTROL = range(7300, 7305)
TEXT = bytes(range(256)) * 1000


def expect(condition, *what):
    if not condition:
        sys.exit("not so: " + " ".join(map(str, what)))


def name(error):
    return errno.errorcode.get(error.errno, str(error)) if isinstance(error, OSError) else str(error)


def read(sock):
    """All up to the end, and how it ended."""
    got = b""
    try:
        while piece := sock.recv(65536):
            got += piece
    except OSError as error:
        return got, name(error)
    return got, "end"


# ---- outside -----------------------------------------------------------------------------------------

# How what came to WATCH, TALK and ECHO ended, by the number that the command sent first.
ended, told = {}, threading.Condition()


def note(number, *what):
    with told:
        ended[number] = " ".join(map(str, what))
        told.notify_all()


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def serve_reset(sock, number):
    """Says something, and resets when that was heard."""
    sock.sendall(b"last words")
    sock.recv(1)
    reset(sock)


def serve_talk(sock, number):
    """Half closes first, and still listens."""
    sock.sendall(TEXT)
    sock.shutdown(socket.SHUT_WR)
    got, how = read(sock)
    note(number, len(got), got == TEXT, how)
    sock.close()


def serve_watch(sock, number):
    got, how = read(sock)
    note(number, len(got), how)
    sock.close()


def serve_echo(sock, number):
    """Answers when the command has half closed."""
    got, how = read(sock)
    sock.sendall(got)
    sock.close()


def serve_control(sock, number):
    for line in sock.makefile():
        words = line.split()
        if words[0] == "ended":
            with told:
                told.wait_for(lambda: words[1] in ended, 20)
                answer = ended.get(words[1], "nothing yet")
        else:  # the host with this address falls silent
            version, length = ("-6", 128) if ":" in words[1] else ("-4", 32)
            for change in (f"address del {words[1]}/{length} dev lo", f"route add blackhole {words[1]}/{length}"):
                subprocess.run(["ip", version, *change.split()], check=True)
            answer = "silent"
        sock.sendall(answer.encode() + b"\n")


def serve():
    def run(command):
        subprocess.run(["ip", *command.split()], check=True)

    run("link add near type veth peer name far")
    for link in ("near", "far"):
        run(f"link set {link} up")
    for address in ("192.0.2.77/32", "2001:db8::1/128", "2001:db8::77/128"):
        run(f"address add {address} dev lo" + (" nodad" if ":" in address else ""))
    run("address add 203.0.113.1/24 dev near")
    run("address add 2001:db8:1::1/64 dev near nodad")
    # Nobody has this station: what is sent there is never answered. (8 has none, and is found to be away.)
    for address in ("203.0.113.9", "2001:db8:1::9"):
        run(f"neigh add {address} lladdr 02:00:00:00:00:09 dev near nud permanent")
    run("route add prohibit 198.18.0.0/24")
    run("-6 route add prohibit 2001:db8:2::/64")
    for setting, value in (("tcp_syn_retries", 2), ("tcp_retries2", 3)):
        open(f"/proc/sys/net/ipv4/{setting}", "w").write(str(value))

    def listen(port, talk):
        listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)

        def take(sock):
            number = ""
            try:
                if port != CONTROL:
                    # Says that it has heard who it is: what comes now cannot overtake that.
                    number = sock.recv(4).decode()
                    sock.sendall(b"!")
                talk(sock, number)
            except OSError as error:
                note(number, name(error))

        def accept():
            while True:
                threading.Thread(target=take, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()

    for port, talk in ((RESET, serve_reset), (TALK, serve_talk), (WATCH, serve_watch), (ECHO, serve_echo), (CONTROL, serve_control)):
        listen(port, talk)
    print("ready", flush=True)
    threading.Event().wait()


# ---- the command -------------------------------------------------------------------------------------

numbers = iter(range(1000, 10000))


def connect(address, port):
    """A connection, and the number by which the outside knows it."""
    sock = socket.create_connection((address, port), timeout=30)
    number = str(next(numbers))
    sock.sendall(number.encode())
    expect(sock.recv(1) == b"!", "the outside knows", number)
    return sock, number


def failure(address, port):
    """What connect ends with. A SYN is sent twice, within three seconds."""
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1 if port == 9 else 4)
    sock.settimeout(60)
    with sock:
        try:
            sock.connect((address, port))
        except OSError as error:
            return name(error)
    return "connected"


class Control:
    def __init__(self):
        self.sock = socket.create_connection(("192.0.2.1", CONTROL), timeout=60)
        self.lines = self.sock.makefile()

    def ask(self, *words):
        self.sock.sendall((" ".join(words) + "\n").encode())
        return self.lines.readline().strip()


def endings(family, control):
    local, near, forbidden = family
    host = local.format(1)
    is_six = ":" in host

    # Beginnings that fail.
    for address, port, error in (
        (host, 1, "ECONNREFUSED"),
        (("2001:db8:3::{}" if is_six else "203.0.114.{}").format(1), 80, "ENETUNREACH"),
        (near.format(8), 80, "EHOSTUNREACH"),
        (forbidden.format(1), 80, "EACCES" if is_six else "EHOSTUNREACH"),
        (near.format(9), 9, "ETIMEDOUT"),
    ):
        got = failure(address, port)
        expect(got == error, "connecting to", address, port, "ends with", got, "and not", error)

    # The outside ends its direction first, and the command goes on.
    sock, number = connect(host, TALK)
    got, how = read(sock)
    expect((got, how) == (TEXT, "end"), "the outside half closes:", len(got), how)
    sock.sendall(TEXT)
    sock.shutdown(socket.SHUT_WR)
    got = control.ask("ended", number)
    expect(got == f"{len(TEXT)} True end", "and hears the rest:", got)

    # The command ends its direction first, and is answered.
    sock, number = connect(host, ECHO)
    sock.sendall(TEXT)
    sock.shutdown(socket.SHUT_WR)
    got, how = read(sock)
    expect((got, how) == (TEXT, "end"), "the command half closes:", len(got), how)

    # The outside resets: what it said before is heard first.
    sock, number = connect(host, RESET)
    expect(sock.recv(10) == b"last words", "last words")
    sock.sendall(b"x")
    got, how = read(sock)
    expect((got, how) == (b"", "ECONNRESET"), "the outside resets:", got, how)

    # The command resets, by intent, and by closing what it has not read.
    sock, number = connect(host, WATCH)
    sock.sendall(b"x" * 1000)
    reset(sock)
    got = control.ask("ended", number)
    expect(got in ("1000 ECONNRESET", "0 ECONNRESET"), "the command resets:", got)
    sock, number = connect(host, TALK)
    sock.recv(1)
    sock.close()
    got = control.ask("ended", number)
    # A reset that came between two calls is the second's ENOTCONN or EPIPE.
    expect(got.endswith("ECONNRESET") or got in ("EPIPE", "ENOTCONN"), "the command closes with something unread:", got)

    # Nothing is said, and it ends in order.
    sock, number = connect(host, WATCH)
    sock.close()
    expect(control.ask("ended", number) == "0 end", "an end in order")

    # The host's peer falls silent: the host gives up, and the command hears of it.
    silent = local.format(77)
    sock, number = connect(silent, WATCH)
    expect(control.ask("silence", silent) == "silent", "silence")
    sock.settimeout(60)
    sock.sendall(b"is anybody there?")
    got, how = read(sock)
    expect((got, how) == (b"", "ECONNRESET"), "the host's peer falls silent:", got, how)


def command():
    # Both families at once: most of the time is spent waiting for what gives up.
    children = []
    for place, family in enumerate(FAMILIES):
        if child := os.fork():
            children.append(child)
            continue
        for _ in range(place * 1000):
            next(numbers)
        endings(family, Control())
        sys.exit(0)
    sys.exit(any([os.waitpid(child, 0)[1] for child in children]))


serve() if sys.argv[1] == "serve" else command()
