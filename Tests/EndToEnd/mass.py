#!/usr/bin/env python3
"""Very many connections of `sluice run`, out and in, and what they leave behind.

mass.py serve SLUICE-BINARY                   the outside, which also tells what that binary's process occupies
mass.py command AT-ONCE BYTES IN-A-ROW [settle]   the command: connections at once, the bytes of each, each way; connections
                                              in a row; and whether it waits until the memory has gone back, too
"""
import collections, errno, hashlib, http.client, json, os, re, resource, selectors, socket, subprocess, sys, time

HOST = "192.0.2.1"
ECHO, SOURCE, LATER, CONTROL, INBOUND = 7201, 7202, 7203, 7204, 7205
PIECE = 1 << 16
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


def expect(condition, *what):
    if not condition:
        sys.exit("not so: " + " ".join(map(str, what)))


def pattern(number, size):
    """Bytes of connection `number`."""
    block = hashlib.shake_256(str(number).encode()).digest(8192)
    return (block * (size // len(block) + 1))[:size]


class Loop:
    """Sockets, and who talks on each: `ready(events)` returns which events it wants further; None: it is over."""

    def __init__(self):
        self.selector = selectors.DefaultSelector()

    def add(self, sock, talk, events):
        sock.setblocking(False)
        self.selector.register(sock, events, talk)

    def turn(self):
        for key, events in self.selector.select():
            wanted = key.data.ready(events)
            if wanted is None:
                self.selector.unregister(key.fileobj)
                key.fileobj.close()
            elif wanted != key.events:
                self.selector.modify(key.fileobj, wanted, key.data)


class Listener:
    """Takes connections; `make` returns who talks, and what of."""

    def __init__(self, loop, address, make):
        self.sock, self.loop, self.make = socket.create_server(address, backlog=4096), loop, make
        loop.add(self.sock, self, READ)

    def ready(self, _):
        try:
            for _ in range(64):
                sock, _ = self.sock.accept()
                talk = self.make(sock)
                if talk:
                    self.loop.add(sock, talk, talk.first)
        except BlockingIOError:
            pass
        return READ


class Echo:
    """What comes goes back, to its end. Who takes nothing is not read."""

    first = READ

    def __init__(self, sock):
        self.sock, self.waiting = sock, b""

    def ready(self, _):
        try:
            if not self.waiting:
                self.waiting = self.sock.recv(PIECE)
                if not self.waiting:
                    return None
            self.waiting = self.waiting[self.sock.send(self.waiting) :]
        except BlockingIOError:
            pass
        except OSError:
            return None
        return WRITE if self.waiting else READ


class Source:
    """Bytes without an end."""

    first = WRITE

    def __init__(self, sock):
        self.sock, self.text, self.offset = sock, pattern(0, 8192) * 9, 0

    def ready(self, _):
        try:
            sent = self.sock.send(memoryview(self.text)[self.offset : self.offset + PIECE])
        except BlockingIOError:
            sent = 0
        except OSError:
            return None
        self.offset = (self.offset + sent) % 8192
        return WRITE


class Sink:
    """Reads everything, and tells how much it was and its digest."""

    first = READ

    def __init__(self, sock):
        self.sock, self.digest, self.count = sock, hashlib.sha256(), 0

    def ready(self, _):
        piece = self.sock.recv(PIECE)
        if piece:
            self.digest.update(piece)
            self.count += len(piece)
            return READ
        self.sock.sendall(json.dumps([self.count, self.digest.hexdigest()]).encode())
        return None


class Client:
    """Sends its pattern, half closes, and wants it back."""

    first = READ | WRITE

    def __init__(self, number, size, address, outcome):
        self.outcome, self.text, self.sent, self.got = outcome, pattern(number, size), 0, 0
        self.digest = hashlib.sha256()
        self.sock = socket.create_connection(address, timeout=60)

    def ready(self, events):
        try:
            if events & WRITE and self.sent < len(self.text):
                self.sent += self.sock.send(memoryview(self.text)[self.sent : self.sent + PIECE])
                if self.sent == len(self.text):
                    self.sock.shutdown(socket.SHUT_WR)
            if events & READ:
                piece = self.sock.recv(PIECE)
                if not piece:
                    right = self.got == len(self.text) and self.digest.digest() == hashlib.sha256(self.text).digest()
                    self.outcome["right" if right else "wrong"] += 1
                    return None
                self.got += len(piece)
                self.digest.update(piece)
        except BlockingIOError:
            pass
        except OSError as error:
            self.outcome[errno.errorcode[error.errno]] += 1
            return None
        return READ | (WRITE if self.sent < len(self.text) else 0)


def at_once(count, size, address):
    """All are connected before the first says anything. How they ended, counted."""
    outcome, loop, clients = collections.Counter(), Loop(), []
    for number in range(count):
        try:
            clients.append(Client(number, size, address, outcome))
        except OSError as error:
            outcome[f"connect: {error}"] += 1
    for client in clients:
        loop.add(client.sock, client, client.first)
    while sum(outcome.values()) < count:
        loop.turn()
    return outcome


def in_a_row(count, address):
    """One after the other, a few bytes each."""
    outcome = collections.Counter()
    for number in range(count):
        try:
            with socket.create_connection(address, timeout=60) as sock:
                sock.sendall(b"%032d" % number)
                got = b""
                while len(got) < 32 and (piece := sock.recv(32 - len(got))):
                    got += piece
            outcome["right" if got == b"%032d" % number else "wrong"] += 1
        except OSError as error:
            outcome[str(error)] += 1
    return outcome


# ---- the outside -------------------------------------------------------------------------------------


def occupied(binary):
    """What the oldest process that runs `binary` has: KiB of its own, and descriptors."""
    process = subprocess.run(["pgrep", "-of", f"^{binary} run"], stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
    rollup = dict(line.split(":", 1) for line in open(f"/proc/{process}/smaps_rollup") if "kB" in line)
    return {"anonymous": int(rollup["Anonymous"].split()[0]), "descriptors": len(os.listdir(f"/proc/{process}/fd"))}


class Control:
    first = READ

    def __init__(self, sock, loop, binary, waiting):
        self.sock, self.loop, self.binary, self.waiting = sock, loop, binary, waiting

    def ready(self, _):
        words = self.sock.recv(100).decode().split()
        if not words:
            return None
        if words[0] == "occupied":
            answer = occupied(self.binary)
        elif words[0] == "read":
            answer = len(self.waiting)
            for sock in self.waiting:
                self.loop.add(sock, Sink(sock), READ)
            self.waiting.clear()
        else:  # to the command, by what -p publishes
            answer = at_once(int(words[1]), int(words[2]), ("127.0.0.1", INBOUND))
        self.sock.sendall(json.dumps(answer).encode() + b"\n")
        return READ


def serve(binary):
    loop, waiting = Loop(), []
    Listener(loop, (HOST, ECHO), Echo)
    Listener(loop, (HOST, SOURCE), Source)
    Listener(loop, (HOST, LATER), waiting.append)
    Listener(loop, (HOST, CONTROL), lambda sock: Control(sock, loop, binary, waiting))
    print("ready", flush=True)
    while True:
        loop.turn()


# ---- the command -------------------------------------------------------------------------------------


class Outside:
    def __init__(self):
        self.sock = socket.create_connection((HOST, CONTROL))
        self.lines = self.sock.makefile()

    def ask(self, *words):
        self.sock.sendall(" ".join(map(str, words)).encode())
        return json.loads(self.lines.readline())


class Page:
    """The stack's own account of itself, always over the same connection."""

    def __init__(self):
        self.connection = http.client.HTTPConnection("10.0.2.2", timeout=30)

    def state(self):
        self.connection.request("GET", "/stats.json")
        return json.load(self.connection.getresponse())


def resting(outside):
    """What there is when nothing is carried but the conversation with the outside, and of all others at most the memory
    that they were there (TIME-WAIT) is left."""
    page = Page()
    for _ in range(300):
        now = page.state()
        gone = now["tcp"]["timeWait"]
        if now["outbound"]["open"] == 1 and now["forwards"]["open"] == 0 and now["sockets"]["connections"] - gone == 2:
            pools = {name: pool["inUse"] for name, pool in now["pools"].items() if not name.startswith("connections")}
            pools["connections"] = sum(pool["inUse"] for name, pool in now["pools"].items() if re.match("connections[0-9]", name)) - gone
            return now, pools, outside.ask("occupied")
        time.sleep(0.1)
    sys.exit(f"it does not come to rest: {now['tcp']} {now['outbound']} {now['forwards']}")


def stalled(outside, count, size):
    """Two that take nothing, one on each side, while others go on."""
    lazy = socket.create_connection((HOST, SOURCE))
    full = socket.create_connection((HOST, LATER))
    full.setblocking(False)
    digest, pushed, text = hashlib.sha256(), 0, pattern(1, PIECE)

    def push():
        nonlocal pushed
        try:
            while pushed < 1 << 28:
                sent = full.send(text[pushed % PIECE :])
                digest.update(text[pushed % PIECE :][:sent])
                pushed += sent
        except BlockingIOError:
            return

    for _ in range(3):
        push()
        outcome = at_once(count, size, (HOST, ECHO))
        expect(outcome == {"right": count}, "beside two that stand still:", outcome)
    expect(pushed < 1 << 26, "what nobody reads is", pushed, "bytes")
    # They go on where they stood.
    expect(outside.ask("read") == 1, "the one that was not read")
    full.setblocking(True)
    full.shutdown(socket.SHUT_WR)
    got = json.loads(full.makefile().read())
    expect(got == [pushed, digest.hexdigest()], "what was pushed arrives:", got, pushed)
    full.close()
    got, block = 0, pattern(0, 8192) * 9
    while got < 1 << 24:
        piece = lazy.recv(PIECE)
        expect(piece == block[got % 8192 :][: len(piece)] and piece, "the source goes on at", got)
        got += len(piece)
    lazy.close()
    return pushed


def load(outside, count, size, row):
    """Out and in at once, beside two that stand still, and in a row."""
    began = time.monotonic()
    outcome = at_once(count, size, (HOST, ECHO))
    expect(outcome == {"right": count}, "out at once:", outcome)
    outcome = outside.ask("inbound", count, size)
    expect(outcome == {"right": count}, "in at once:", outcome)
    print(f"{count} connections at once with {size} bytes each way, out and in: {time.monotonic() - began:.1f} s")
    print("beside them stood still:", stalled(outside, min(count, 50), size), "bytes")
    began = time.monotonic()
    outcome = in_a_row(row, (HOST, ECHO))
    expect(outcome == {"right": row}, "in a row:", outcome)
    print(f"{row} in a row: {time.monotonic() - began:.1f} s")


def settled(outside, bound):
    """What the process has when its memory has gone back to `bound` KiB: TIME-WAIT lasts its minute, half a minute later
    what is free is given to the system."""
    for _ in range(300):
        now = outside.ask("occupied")
        if now["anonymous"] <= bound:
            return print("later:", now)
        time.sleep(0.5)
    pools = {name: pool["capacity"] for name, pool in Page().state()["pools"].items()}
    sys.exit(f"not so: the memory goes back to {bound} KiB: {now} {pools}")


def command(count, size, row, settles):
    listener = Loop()
    Listener(listener, ("0.0.0.0", INBOUND), Echo)
    if os.fork() == 0:
        while True:
            listener.turn()
    outside = Outside()
    in_a_row(100, (HOST, ECHO))
    at_once(20, 1 << 18, (HOST, ECHO))
    before, pools, memory = resting(outside)
    print("before:", memory)
    # A slab of packets more or less, and pages of the heap that are not free as a whole; the second load adds nothing.
    bound = memory["anonymous"] + 1024
    for _ in range(2 if settles else 1):
        load(outside, count, size, row)
        after, left, now = resting(outside)
        print("after:", now, {name: pool["capacity"] for name, pool in after["pools"].items()})
        expect(now["descriptors"] <= memory["descriptors"], "descriptors", now, memory)
        expect(after["memory"]["used"] == before["memory"]["used"], "memory", after["memory"], before["memory"])
        for name in pools:
            expect(left[name] <= pools[name], "pool", name, left[name], pools[name])
        expect(after["wakeups"]["wasted"] == 0, "wasted wake-ups", after["wakeups"])
        if settles:
            settled(outside, bound)


resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
if sys.argv[1] == "serve":
    serve(sys.argv[2])
else:
    command(*map(int, sys.argv[2:5]), sys.argv[5:] == ["settle"])
