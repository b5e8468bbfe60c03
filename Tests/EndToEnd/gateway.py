#!/usr/bin/env python3
"""`sluice gateway` and a namespace as a container has one. `gateway.py SLUICE USER CHECK`, as root, in a network of its own.

`gateway.py inner` is a server inside: it echoes on port 80, TCP and UDP, both families. `gateway.py relay SOCKET` is what a
virtual machine's QEMU is for `sluice gateway --qemu`: an interface vm0 inside whose frames go to that socket."""
import contextlib, fcntl, hashlib, http.server, json, os, select, signal, socket, struct, subprocess, sys, tempfile, threading, time

OUTSIDE = "192.0.2.1"


def serve_echo(address, port):
    """TCP and UDP, until this process ends."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    datagrams = socket.socket(family, socket.SOCK_DGRAM)
    for each in (listener, datagrams):
        if family == socket.AF_INET6:
            each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        each.bind((address, port))
    listener.listen(64)

    def echo(stream):
        with stream:
            while piece := stream.recv(65536):
                stream.sendall(piece)

    def accept():
        while True:
            threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()

    def answer():
        while True:
            data, peer = datagrams.recvfrom(65536)
            datagrams.sendto(data, peer)

    for body in (accept, answer):
        threading.Thread(target=body, daemon=True).start()


if sys.argv[1:] == ["inner"]:
    for inner in ("0.0.0.0", "::"):
        with contextlib.suppress(OSError):
            serve_echo(inner, 80)
    print("ready", flush=True)
    signal.pause()

if sys.argv[1:2] == ["relay"]:
    tap = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tap, 0x400454CA, struct.pack("16sH22x", b"vm0", 0x1002))  # TUNSETIFF: a TAP without headers
    place = sys.argv[2]
    is_stream = not place.startswith("dgram:")
    if place.startswith("fd:"):
        wire = socket.socket(fileno=int(place[3:]))  # connected outside
    else:
        wire = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM if is_stream else socket.SOCK_DGRAM)
        if not is_stream:
            wire.bind(place[6:] + f".{os.getpid()}")
        wire.connect(place.removeprefix("dgram:"))

    def outwards():
        while frame := os.read(tap, 65536):
            wire.sendall(struct.pack("!I", len(frame)) + frame if is_stream else frame)

    threading.Thread(target=outwards, daemon=True).start()
    print("ready", flush=True)
    held = b""
    while piece := wire.recv(65536):
        if not is_stream:
            os.write(tap, piece)
            continue
        held += piece
        while len(held) >= 4 and len(held) >= 4 + struct.unpack("!I", held[:4])[0]:
            end = 4 + struct.unpack("!I", held[:4])[0]
            with contextlib.suppress(OSError):  # the interface is down still
                os.write(tap, held[4:end])
            held = held[end:]
    sys.exit(0)

SLUICE, USER, CHECK = sys.argv[1], int(sys.argv[2]), sys.argv[3]
AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--inh-caps=-all"]


def expect(condition, what):
    if not condition:
        sys.exit("not so: " + what)


def word(stream, process, seconds=20):
    """The next line, which `process` writes there."""
    ready, _, _ = select.select([stream], [], [], seconds)
    expect(ready, f"a word of {process.args} within {seconds} seconds")
    return os.read(stream.fileno(), 4096).decode()


@contextlib.contextmanager
def running(arguments, **options):
    process = subprocess.Popen(arguments, **options)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@contextlib.contextmanager
def container():
    """A process with a user and a network namespace of its own; its process id."""
    script = "echo $$; exec sleep 600"
    arguments = [*AS_USER, "unshare", "--user", "--map-root-user", "--net", "--mount", "sh", "-c", script]
    with running(arguments, stdout=subprocess.PIPE) as process:
        yield int(word(process.stdout, process)), process


def enter(pid, *command):
    return [*AS_USER, "nsenter", f"--target={pid}", "--user", "--preserve-credentials", "--net", "--", *command]


def inside(pid, *command, check=True):
    done = subprocess.run(enter(pid, *command), capture_output=True, text=True, timeout=60)
    expect(done.returncode == 0 or not check, f"{command}: {done.stdout} {done.stderr}")
    return done.stdout if check else done.returncode


@contextlib.contextmanager
def gateway(*options, name=None, stdout=None):
    """Runs it as an ordinary user, until the block or its exit descriptor ends it. Yields the process and what closes that."""
    ready, ready_end = os.pipe()
    exit_side, exit_end = os.pipe()
    os.set_inheritable(ready_end, True)
    os.set_inheritable(exit_side, True)
    program = [name] if name else [SLUICE, "gateway"]
    line = [*AS_USER, *program, f"--ready-fd={ready_end}", f"--exit-fd={exit_side}", *map(str, options)]
    with running(line, pass_fds=(ready_end, exit_side), text=True, stdout=stdout) as process:
        os.close(ready_end)
        os.close(exit_side)
        with os.fdopen(ready) as readable:
            word_of_it = word(readable, process)
            expect(word_of_it == "1", f"ready, with {word_of_it!r} and status {process.poll()}")
            yield process, lambda: os.close(exit_end)


def ends(process, status=0, seconds=20):
    try:
        got = process.wait(seconds)
    except subprocess.TimeoutExpired:
        sys.exit(f"not so: {process.args} ends")
    expect(got == status, f"it ends with {status}, not {got}")


TALK = """
import socket, sys
kind, host, port, text = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4].encode()
for family, type, _, _, name in socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM):
    stream = socket.socket(family, type)
    stream.settimeout(15)
    try:
        stream.connect(name)
        stream.send(text)
        sys.exit(0 if stream.recv(100) == text else 3)
    except OSError as error:
        print(error)
        sys.exit(error.errno or 4)
"""


def talks(pid, kind, host, port):
    """0: what is sent comes back; else an errno."""
    return inside(pid, "python3", "-c", TALK, kind, host, str(port), "hello", check=False)


def asks(kind, host, port):
    done = subprocess.run(["python3", "-c", TALK, kind, host, str(port), "hello"], timeout=60)
    return done.returncode


def until(condition, what, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        expect(time.monotonic() < end, what)
        time.sleep(0.05)


def documented():
    """The example of slirp4netns(1), its descriptors, and what a container finds."""
    serve_echo(OUTSIDE, 7200)
    serve_echo("127.0.0.1", 7201)
    with container() as (pid, _), gateway("--configure", "--mtu=65520", pid, "tap0") as (process, close):
        addresses = json.loads(inside(pid, "ip", "-json", "address", "show", "tap0"))[0]
        expect(any(a["local"] == "10.0.2.100" and a["prefixlen"] == 24 for a in addresses["addr_info"]), "10.0.2.100/24")
        expect(not any(a["local"].startswith("fd00") for a in addresses["addr_info"]), "no IPv6 unless asked for")
        expect("UP" in addresses["flags"], "tap0 is up")
        expect("10.0.2.2" in inside(pid, "ip", "route", "show", "default"), "a default route")
        expect("UP" in inside(pid, "ip", "link", "show", "lo"), "lo is up")
        for kind in ("tcp", "udp"):
            expect(talks(pid, kind, OUTSIDE, 7200) == 0, f"{kind} to the outside")
            expect(talks(pid, kind, "10.0.2.2", 7201) == 0, f"{kind} to this host's loopback")
        inside(pid, "ping", "-c", "2", "-W", "5", "10.0.2.2")
        close()
        ends(process)


def restricted():
    """--disable-host-loopback, --cidr, --macaddress, --netns-type=path, --enable-ipv6, --outbound-addr, --disable-dns."""
    serve_echo(OUTSIDE, 7200)
    serve_echo("127.0.0.1", 7201)
    listener = socket.create_server((OUTSIDE, 7202))
    with container() as (pid, _):
        options = ["-c6", "--disable-host-loopback", "--cidr=10.0.3.0/24", "--macaddress=02:00:00:00:00:07"]
        options += ["--netns-type=path", "--outbound-addr=192.0.2.9", "--disable-dns", "--enable-sandbox"]
        with gateway(*options, f"/proc/{pid}/ns/net", "tap0") as (process, close):
            link = json.loads(inside(pid, "ip", "-json", "address", "show", "tap0"))[0]
            local = [a["local"] for a in link["addr_info"]]
            expect("10.0.3.100" in local and any(a.startswith("fd00:") for a in local), f"{local}")
            expect(link["address"] == "02:00:00:00:00:07", link["address"])
            expect(talks(pid, "tcp", OUTSIDE, 7200) == 0, "tcp to the outside")
            expect(talks(pid, "tcp", "10.0.3.2", 7201) == 111, "this host's loopback is refused")
            talk = subprocess.Popen(enter(pid, "python3", "-c", TALK, "tcp", OUTSIDE, "7202", "hello"))
            stream, peer = listener.accept()
            stream.sendall(stream.recv(10))
            expect(talk.wait(20) == 0 and peer[0] == "192.0.2.9", f"from {peer}")
            expect(inside(pid, "ping", "-c", "1", "-W", "1", "10.0.3.3", check=False) != 0, "no name server")
            close()
            ends(process)


def api(path, request):
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(20)
        stream.connect(path)
        stream.sendall(json.dumps(request).encode())
        stream.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := stream.recv(65536):
            answer += piece
        return json.loads(answer)


def api_socket():
    """slirp4netns' API and `sluice forward`: forwards come and go, TCP and UDP."""
    folder = tempfile.mkdtemp(dir=".")
    os.chmod(folder, 0o777)
    path = folder + "/api.sock"
    with container() as (pid, _), gateway("-c", "--api-socket", path, pid, "tap0") as (process, close):
        with running(enter(pid, "python3", __file__, "inner"), stdout=subprocess.PIPE) as server:
            word(server.stdout, server)
            expect(api(path, {"execute": "list_hostfwd"}) == {"return": {"entries": []}}, "no forwards")
            names = {}
            for kind in ("tcp", "udp"):
                arguments = {"proto": kind, "host_addr": "127.0.0.1", "host_port": 8080, "guest_port": 80}
                names[kind] = api(path, {"execute": "add_hostfwd", "arguments": arguments})["return"]["id"]
                expect(asks(kind, "127.0.0.1", 8080) == 0, f"{kind} comes in")
            again = api(path, {"execute": "add_hostfwd", "arguments": arguments})
            expect("desc" in again["error"], f"a port that is taken: {again}")
            entries = api(path, {"execute": "list_hostfwd"})["return"]["entries"]
            expect(entries[0] == {"id": names["tcp"], "proto": "tcp", "host_addr": "127.0.0.1", "host_port": 8080,
                                  "guest_addr": "10.0.2.100", "guest_port": 80}, f"{entries}")
            removed = api(path, {"execute": "remove_hostfwd", "arguments": {"id": names["tcp"]}})
            expect(removed == {"return": {}}, f"{removed}")
            expect(asks("tcp", "127.0.0.1", 8080) == 111, "nobody listens any more")
            forward = [*AS_USER, SLUICE, "forward"]
            subprocess.run([*forward, "add", "--control", path, "8081:80", "127.0.0.1:8090-8091:80-81/udp"], check=True)
            expect(asks("tcp", "127.0.0.1", 8081) == 0, "a forward by `sluice forward`")
            listed = subprocess.run([*forward, "list", "--control", path], check=True, capture_output=True, text=True)
            rows = [line.split("\t") for line in listed.stdout.splitlines()]
            expect([row[1:] for row in rows] == [
                ["udp", "127.0.0.1:8080", "10.0.2.100:80"], ["tcp", "*:8081", "10.0.2.100:80"],
                ["udp", "127.0.0.1:8090", "10.0.2.100:80"], ["udp", "127.0.0.1:8091", "10.0.2.100:81"]], f"{rows}")
            subprocess.run([*forward, "remove", "--control", path, *(row[0] for row in rows)], check=True)
            expect(api(path, {"execute": "list_hostfwd"}) == {"return": {"entries": []}}, "no forwards")
            wrong = subprocess.run([*forward, "remove", "--control", path, "99"], capture_output=True, text=True)
            expect(wrong.returncode == 125 and "arguments.id" in wrong.stderr, wrong.stderr)
        close()
        ends(process)
        expect(not os.path.exists(path), "the socket is gone")


def own_form():
    """--pid with -p: services, both families, and the end with the process."""
    with container() as (pid, process_inside):
        options = ["--pid", pid, "-p", "127.0.0.1:8080:80", "-p", "[::1]:8080:80", "-p", "8080-8082:80-82/udp"]
        with gateway(*options, "--limit=64") as (process, _):
            with running(enter(pid, "python3", __file__, "inner"), stdout=subprocess.PIPE) as server:
                word(server.stdout, server)
                for kind, host in (("tcp", "127.0.0.1"), ("tcp", "::1"), ("udp", "127.0.0.1"), ("udp", "::1")):
                    expect(asks(kind, host, 8080) == 0, f"{kind} by {host} comes in")
                page = inside(pid, "curl", "-sS", "-m", "10", "http://10.0.2.2/stats.json")
                expect(json.loads(page)["forwards"]["listeners"] == 8, "its listeners are counted")
                inside(pid, "curl", "-sS", "-g", "-m", "10", "http://[fd00:2::2]/")
            process_inside.kill()
            ends(process)


def made_before():
    """An interface that is there, configured by hand inside, as in slirp4netns(1)'s older examples; by the name slirp4netns."""
    serve_echo(OUTSIDE, 7200)
    folder = tempfile.mkdtemp(dir=".")
    os.chmod(folder, 0o755)
    os.symlink(SLUICE, folder + "/slirp4netns")
    with container() as (pid, _):
        inside(pid, "ip", "tuntap", "add", "name", "tap0", "mode", "tap")
        with gateway(pid, "tap0", name=folder + "/slirp4netns") as (process, close):
            expect(talks(pid, "tcp", OUTSIDE, 7200) == 101, "there is no route yet")
            for line in ("link set tap0 up", "address add 10.0.2.100/24 dev tap0", "route add default via 10.0.2.2"):
                inside(pid, "ip", *line.split())
            expect(talks(pid, "tcp", OUTSIDE, 7200) == 0, "tcp to the outside")
            process.send_signal(signal.SIGTERM)
            ends(process)
        # It outlives the gateway, and another one serves it.
        with gateway(pid, "tap0") as (process, close):
            expect(talks(pid, "tcp", OUTSIDE, 7200) == 0, "tcp to the outside, again")
            close()
            ends(process)


def veth():
    """Where no TAP may be made."""
    serve_echo(OUTSIDE, 7200)
    with container() as (pid, _), gateway("--pid", pid, "--link=veth", "--no-offload") as (process, close):
        for kind in ("tcp", "udp"):
            expect(talks(pid, kind, OUTSIDE, 7200) == 0, f"{kind} to the outside")
        close()
        ends(process)


@contextlib.contextmanager
def machine(place, number):
    """A namespace that plugs in at a socket, as a virtual machine does; the process id of its first process."""
    wire = None
    if place.startswith("tcp:"):
        wire = socket.create_connection(("127.0.0.1", int(place.rsplit(":", 1)[1])))
        place = f"fd:{wire.fileno()}"
    with container() as (pid, _):
        inherited = (wire.fileno(),) if wire else ()
        relay = enter(pid, "python3", __file__, "relay", place)
        with running(relay, stdout=subprocess.PIPE, pass_fds=inherited) as relay:
            if wire:
                wire.close()
            word(relay.stdout, relay)
            inside(pid, "ip", "link", "set", "lo", "up")
            inside(pid, "ip", "link", "set", "vm0", "address", f"02:00:00:00:01:{number:02x}", "up")
            for line in (f"address add 10.0.2.{number}/24 dev vm0", f"address add fd00:2::{number}/64 dev vm0 nodad",
                         "route add default via 10.0.2.2"):
                inside(pid, "ip", *line.split())
            yield pid


def guests():
    """--qemu: guests on one switch, by streams and datagrams; forwards to one; a guest that comes again."""
    serve_echo(OUTSIDE, 7200)
    folder = tempfile.mkdtemp(dir="/tmp")
    os.chmod(folder, 0o777)
    stream, datagrams, control = folder + "/q", "dgram:" + folder + "/d", folder + "/c"
    options = ["--qemu", stream, "--qemu", datagrams, "--qemu", "tcp:127.0.0.1:7300", "--control", control]
    try:
        with gateway(*options, "-p", "127.0.0.1:8080:80") as (process, close):
            with machine(stream, 100) as one, machine(datagrams, 50) as two, machine("tcp:127.0.0.1:7300", 51) as three:
                with running(enter(one, "python3", __file__, "inner"), stdout=subprocess.PIPE) as server:
                    word(server.stdout, server)
                    for pid in (one, two, three):
                        for kind in ("tcp", "udp"):
                            expect(talks(pid, kind, OUTSIDE, 7200) == 0, f"{kind} to the outside")
                        expect(talks(pid, "tcp", "10.0.2.100", 80) == 0, "guests reach one another")
                        expect(talks(pid, "tcp", "fd00:2::100", 80) == 0, "by IPv6 as well")
                    expect(asks("tcp", "127.0.0.1", 8080) == 0, "tcp comes in")
                    switch = json.loads(inside(two, "curl", "-sS", "-m", "10", "http://10.0.2.2/stats.json"))["switch"]
                    expect(switch["ports"] == 3 and switch["forged"] == 0 and switch["full"] == 0, f"{switch}")
            with machine(stream, 60) as again:
                expect(talks(again, "tcp", OUTSIDE, 7200) == 0, "who comes later is served")
            close()
            ends(process)
        expect(not os.path.exists(stream), "the socket is gone")
    finally:
        subprocess.run(["rm", "-rf", folder])


def emulated(netdev, address, size, *more, device="virtio-net"):
    """Boots a Linux that downloads a file by an interface as `netdev` and `more` say; what it wrote to its console."""
    words = f"console=ttyS0 quiet panic=-1 url=http://{OUTSIDE}:7400/{size}" + (f" address={address}" if address else "")
    line = ["qemu-system-x86_64", "-M", "pc", "-accel", "tcg", "-m", "192", "-display", "none", "-serial", "stdio"]
    line += ["-no-reboot", "-kernel", "emulated/kernel", "-initrd", "emulated/initrd", "-append", words]
    line += [*more, "-netdev", netdev, "-device", f"{device},netdev=n,romfile="]
    done = subprocess.run([*AS_USER, *line], capture_output=True, text=True, timeout=100, stdin=subprocess.DEVNULL)
    expect(done.returncode == 0, f"{line}: {done.stdout} {done.stderr}")
    return done.stdout


@contextlib.contextmanager
def served(body):
    """So many bytes of it by HTTP, as the path says."""

    class Files(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            part = body[: int(self.path[1:])]
            self.send_response(200)
            self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            self.wfile.write(part)

    with http.server.ThreadingHTTPServer((OUTSIDE, 7400), Files) as files:
        threading.Thread(target=files.serve_forever, daemon=True).start()
        yield
        files.shutdown()


def qemu():
    """A small Linux under emulation, which `machine` made in emulated/, plugs in by a stream and asks for its address; then another by datagrams."""
    body = hashlib.shake_256(b"sluice").digest(8 << 20)
    folder = tempfile.mkdtemp(dir="/tmp")
    os.chmod(folder, 0o777)
    try:
        with served(body), gateway("--qemu", folder + "/q", "--qemu", "dgram:" + folder + "/d") as (process, close):
            stream = f"stream,id=n,server=off,addr.type=unix,addr.path={folder}/q"
            datagrams = f"dgram,id=n,local.type=unix,local.path={folder}/o,remote.type=unix,remote.path={folder}/d"
            for netdev, address, size in ((stream, None, 8 << 20), (datagrams, "10.0.2.51/24", 2 << 20)):
                console = emulated(netdev, address, size)
                digest = hashlib.sha256(body[:size]).hexdigest()
                expect(address or "LEASE 10.0.2.15" in console, f"an address by DHCP: {console}")
                expect(f"DIGEST {digest}" in console, f"the file arrives whole: {console}")
            close()
            ends(process)
    finally:
        subprocess.run(["rm", "-rf", folder])


def vhost():
    """The same machine, whose memory is the link; then what the gateway counted of it."""
    body = hashlib.shake_256(b"sluice").digest(8 << 20)
    folder = tempfile.mkdtemp(dir="/tmp")
    os.chmod(folder, 0o777)
    try:
        with served(body), open(folder + "/said", "w+") as said:
            with gateway("--quiet", "--vhost-user", folder + "/v", stdout=said) as (process, close):
                memory = ["-object", "memory-backend-memfd,id=m,size=192M,share=on", "-machine", "memory-backend=m"]
                memory += ["-chardev", f"socket,id=c,path={folder}/v"]
                # QEMU 7.2 crashes where an emulated machine with MSI-X vectors starts a vhost device.
                device = "virtio-net-pci,vectors=0"
                console = emulated("vhost-user,id=n,chardev=c", None, len(body), *memory, device=device)
                digest = hashlib.sha256(body).hexdigest()
                expect("LEASE 10.0.2.15" in console, f"an address by DHCP: {console}")
                expect(f"DIGEST {digest}" in console, f"the file arrives whole: {console}")
                process.send_signal(signal.SIGUSR1)
                while not (text := open(folder + "/said").read()).endswith("\n"):
                    expect(process.poll() is None, "it answers")
                    time.sleep(0.05)
                report = json.loads(text)
                counts = report["vhostUser"]
                expect(counts["frontEnds"] == 1 and counts["left"] == 1 and counts["broken"] == 0, f"{counts}")
                expect(counts["brokenRings"] == 0 and counts["malformed"] == 0, f"{counts}")
                close()
                ends(process)
            expect(not os.path.exists(folder + "/v"), "the socket is gone")
    finally:
        subprocess.run(["rm", "-rf", folder])


def refused(words, *options):
    done = subprocess.run([*AS_USER, SLUICE, "gateway", *map(str, options)], capture_output=True, text=True, timeout=60)
    expect(done.returncode == 125 and words in done.stderr, f"{options}: {done.returncode} {done.stderr}")


def refusals():
    """What cannot be is said, in words that help."""
    refused("no process", "--pid", 2**22 + 5)
    refused("no network namespace at", "--netns", "/no/such/file")
    refused("something else there", "--netns", "/proc/self/ns/user")
    refused("this process's own", "--netns", "/proc/self/ns/net")
    # Root's, which is nobody else's to enter.
    open("root.netns", "w").close()
    subprocess.run(["unshare", "--net", "mount", "--bind", "/proc/self/ns/net", "root.netns"], check=True)
    refused("may not be entered", "--netns", "root.netns")
    subprocess.run(["umount", "root.netns"], check=True)
    with container() as (pid, _):
        refused("no user namespace at", "--pid", pid, "--userns-path", "/no/such/file")
        refused("is not open", "--pid", pid, "--exit-fd", 77)
        refused("cannot listen for", "--pid", pid, "-p", "192.0.2.77:8080:80")
        refused("guests cannot plug in", "--qemu", "/no/such/folder/socket")
        refused("no control socket at", "--pid", pid, "--control", "/no/such/folder/socket")


for command in ("ip link set lo up", f"ip address add {OUTSIDE}/32 dev lo", "ip address add 192.0.2.9/32 dev lo"):
    subprocess.run(command.split(), check=True)
{
    "documented": documented, "restricted": restricted, "api": api_socket, "own": own_form,
    "made-before": made_before, "veth": veth, "guests": guests, "qemu": qemu, "vhost": vhost, "refusals": refusals,
}[CHECK]()
