#!/usr/bin/env python3
"""A running stack, watched.

live.py page FOLDER           in `sluice run`: the status page in a browser while bytes pass; figures, and a picture in FOLDER
live.py traffic               in `sluice run`: bytes pass until standard input ends
live.py reports SLUICE PID    outside: `sluice ss`, `stat` and `top` of that process, which carries bytes
"""
import base64, fcntl, json, os, pty, re, select, socket, struct, subprocess, sys, threading, urllib.request, zlib

GATEWAY = "10.0.2.2"


def expect(condition, *what):
    if not condition:
        sys.exit("not so: " + " ".join(map(str, what)))


def traffic():
    """Bytes to the gateway's discard service, until the process ends."""
    sock = socket.create_connection((GATEWAY, 9))
    piece = bytes(1 << 16)

    def send():
        while True:
            sock.sendall(piece)

    threading.Thread(target=send, daemon=True).start()


class Browser:
    """Chromium without a window, told what to do by its debugging protocol over two pipes."""

    def __init__(self, folder):
        def high(descriptors):
            made = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10) for descriptor in descriptors]
            for descriptor in descriptors:
                os.close(descriptor)
            return made

        commands, answers = high(os.pipe()), high(os.pipe())

        def place():
            os.dup2(commands[0], 3)
            os.dup2(answers[1], 4)

        self.said = open(os.path.join(folder, "browser-said"), "wb")
        self.process = subprocess.Popen(
            ["chromium-headless-shell", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server",
             "--hide-scrollbars", "--remote-debugging-pipe", f"--user-data-dir={folder}/browser", "--window-size=900,700"],
            preexec_fn=place, pass_fds=(3, 4), stdout=self.said, stderr=self.said, env={**os.environ, "HOME": folder})
        os.close(commands[0])
        os.close(answers[1])
        self.commands, self.answers, self.number = os.fdopen(commands[1], "wb", 0), os.fdopen(answers[0], "rb"), 0
        self.session, self.events = None, set()

    def ask(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.commands.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self.hear()
            if answer.get("id") == self.number:
                expect("error" not in answer, method, answer)
                return answer["result"]

    def hear(self):
        """The next message; of one that nobody asked for the name is kept."""
        text = b""
        while not text.endswith(b"\0"):
            piece = self.answers.read(1)
            expect(piece, "the browser lives:", open(self.said.name).read()[-2000:])
            text += piece
        message = json.loads(text[:-1])
        self.events.add(message.get("method"))
        return message

    def open(self, address):
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.ask("Page.enable")
        self.ask("Page.navigate", url=address)
        while "Page.loadEventFired" not in self.events:
            self.hear()

    def evaluate(self, script):
        result = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        expect("exceptionDetails" not in result, script, result)
        return result["result"].get("value")

    def end(self):
        self.session = None
        self.ask("Browser.close")
        self.process.wait()


def colours(path):
    """Colours of a picture (PNG, 8 bits, with or without alpha), with how many points have each."""
    data = open(path, "rb").read()
    expect(data[:8] == b"\x89PNG\r\n\x1a\n", "a picture")
    place, packed, width, height, kind = 8, b"", 0, 0, 0
    while place < len(data):
        length, name = struct.unpack("!I4s", data[place : place + 8])
        body = data[place + 8 : place + 8 + length]
        if name == b"IHDR":
            width, height, depth, kind = struct.unpack("!IIBB", body[:10])
            expect(depth == 8 and kind in (2, 6), "its kind", depth, kind)
        packed += body if name == b"IDAT" else b""
        place += 12 + length
    step, raw, found = (3 if kind == 2 else 4), zlib.decompress(packed), {}
    line, before = width * step, bytearray(width * step)
    for row in range(height):
        filtering, now = raw[row * (line + 1)], bytearray(raw[row * (line + 1) + 1 : (row + 1) * (line + 1)])
        if filtering:
            for x in range(line):
                left, up = now[x - step] if x >= step else 0, before[x]
                corner = before[x - step] if x >= step else 0
                if filtering == 4:
                    guess = left + up - corner
                    nearest = min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))
                    now[x] = now[x] + nearest[2] & 255
                else:
                    now[x] = now[x] + (0, left, up, (left + up) // 2)[filtering] & 255
        for x in range(0, line, step):
            colour = bytes(now[x : x + 3])
            found[colour] = found.get(colour, 0) + 1
        before = now
    return found


# When there are so many samples, or the script has given up: what it has put where.
FIGURES = """
new Promise(resolve => {
  const look = () => {
    const live = document.getElementById("live");
    if (live && +live.dataset.samples >= 3) {
      const found = { state: document.getElementById("state").textContent, samples: +live.dataset.samples };
      for (const output of document.querySelectorAll("output"))
        found[output.id] = output.dataset.value === "" ? null : +output.dataset.value;
      found.texts = [...document.querySelectorAll("output")].map(output => output.textContent);
      found.lines = [...document.querySelectorAll("svg path")].filter(path => /L/.test(path.getAttribute("d"))).length;
      found.loaded = performance.getEntriesByType("resource").map(entry => entry.name);
      resolve(found);
    } else setTimeout(look, 100);
  };
  look();
})"""


def page(folder):
    traffic()
    browser = Browser(folder)
    browser.open(f"http://{GATEWAY}/")
    found = browser.evaluate(FIGURES)
    picture = os.path.join(folder, "page.png")
    with open(picture, "wb") as file:
        file.write(base64.b64decode(browser.ask("Page.captureScreenshot", format="png")["data"]))
    browser.end()
    print("figures:", found)
    expect(found["state"] == "live", "the stack is heard", found)
    expect(found["in"] > 1_000_000 and found["out"] > 0, "bits each way", found)
    expect(found["connections"] >= 2, "connections: of the bytes, and of the events", found)
    expect(0 < found["rtt"] <= found["worst"], "round trips", found)
    expect(found["load"] > 0 and found["waiting"] >= 0 and found["unread"] >= 0, "load and queues", found)
    expect(any("bit/s" in text for text in found["texts"]), "texts with units", found)
    expect(found["lines"] >= 5, "lines are drawn", found)
    expect(all(name == f"http://{GATEWAY}/events" for name in found["loaded"]), "nothing else is loaded", found)
    # The picture has what is drawn in it: each line's colour, lines and what explains them.
    points = colours(picture)
    drawn = [points.get(bytes.fromhex(colour), 0) for colour in ("0a7ea4", "d9822b", "7a5af0")]
    print("picture:", sum(points.values()), "points, of the lines' colours", drawn)
    expect(min(drawn) > 50, "the lines' colours", drawn)
    # It brings all it needs: nothing but its own host is named, and the server forbids the rest.
    answer = urllib.request.urlopen(urllib.request.Request(f"http://{GATEWAY}/", headers={"Accept": "text/html"}))
    text = answer.read().decode()
    expect("default-src 'none'" in answer.headers["Content-Security-Policy"], "policy", answer.headers)
    expect(not re.search(r"""(src|href)=["']?(https?:)?//""", text), "nothing from elsewhere")


def run(sluice, *words, status=0, **more):
    done = subprocess.run([sluice, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, **more)
    expect(done.returncode == status, words, "ends with", done.returncode, done.stderr)
    return done.stdout if status == 0 else done.stderr


def reports(sluice, pid):
    asked = ("--pid", pid)
    sockets = json.loads(run(sluice, "ss", "--all", "--json", *asked))
    bulk = [entry for entry in sockets if entry["local"] == f"{GATEWAY}:9" and entry["state"] == "established"]
    expect(len(bulk) == 1 and bulk[0]["bytesReceived"] > 0 and bulk[0]["congestionWindow"] > 0, "ss --json", sockets)
    expect(any(entry["state"] == "listen" for entry in sockets), "listeners", sockets)
    text = run(sluice, "ss", "--info", *asked)
    expect("rtt:" in text and f"{GATEWAY}:9" in text and "listen" not in text, "ss --info", text)
    expect("TCP/IP stack" in run(sluice, "stat", *asked), "stat")
    expect(json.loads(run(sluice, "stat", "--json", *asked))["process"]["id"] == int(pid), "stat --json")
    lines = run(sluice, "stat", "--interval", "0.5", "--count", "2", *asked).splitlines()
    expect(len(lines) == 3 and lines[0].startswith("connections"), "stat --interval", lines)
    top = json.loads(run(sluice, "top", "--once", "--json", *asked))
    row = [entry for entry in top["connections"] if entry["local"] == f"{GATEWAY}:9"]
    expect(len(row) == 1 and row[0]["bitsIn"] > 1e6 and top["rates"]["bitsIn"] > 1e6, "top --json", top)
    expect(sum(top["rates"]["loads"]) > 0, "loads", top["rates"])
    screen = run(sluice, "top", "--once", "--sort", "rateIn", *asked).splitlines()
    expect(f"run {pid}" in screen[0] and f"{GATEWAY}:9" in screen[7], "top --once", screen)
    # Of another user, of a process that has none.
    expect("runs no stack" in run(sluice, "top", "--once", "--pid", "1", status=125), "no such process")
    nobody = dict(user=65533, group=65533, extra_groups=[])
    expect("no stack of yours" in run(sluice, "ss", *asked, status=125, **nobody), "another user's")
    terminal(sluice, pid)


def terminal(sluice, pid):
    """`top` as at a terminal: a screen of its own, keys, and the terminal as it was at the end."""
    child, master = pty.fork()
    if child == 0:
        os.environ["TERM"] = "xterm"
        os.execv(sluice, [sluice, "top", "--pid", pid, "--delay", "0.5"])
    seen = b""

    def until(*words):
        nonlocal seen
        place = 0
        while not all(word in seen[place:] for word in words):
            expect(select.select([master], [], [], 30)[0], "a terminal shows", words, seen[-2000:])
            try:
                seen += os.read(master, 65536)
            except OSError:
                sys.exit(f"not so: it ended before {words}: {seen[-2000:]}")
        seen = b""

    until(b"\x1b[?1049h", f"run {pid}".encode(), b"OUT/s*")
    os.write(master, b"i")
    until(b" IN/s*", f"{GATEWAY}:9".encode())
    os.write(master, b"/nobody has this")
    until(b"filter: nobody has this_")
    os.write(master, b"\x1b")
    until(b" IN/s*", f"{GATEWAY}:9".encode())
    os.write(master, b"h")
    until(b"pause, and go on")
    os.write(master, b"q")
    until(b"\x1b[?1049l")
    expect(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "q ends it")


if sys.argv[1] == "page":
    page(sys.argv[2])
elif sys.argv[1] == "traffic":
    traffic()
    print("ready", flush=True)
    sys.stdin.read()
else:
    reports(*sys.argv[2:])
