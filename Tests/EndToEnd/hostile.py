#!/usr/bin/env python3
"""What a hostile command sends through its own interface, what it gets, and which counter moves: rows of
Documentation/Security.md, by their names there.

hostile.py outside    what it must not reach: a service of this host's loopback interface, and one that never answers
hostile.py            the command, as root in its own network, of a `sluice run --dhcp --deny 198.51.100.0/24`
"""
import http.client, json, select, socket, struct, sys, time

OUTSIDE, OUTSIDE6, DENIED = "192.0.2.1", "2001:db8::1", "198.51.100.1"
SILENT, PRIVATE = 7301, 7302

if sys.argv[1:] == ["outside"]:
    # Its queue has room for one connection, and nobody takes that: whoever comes later waits.
    silent = socket.create_server((OUTSIDE, SILENT), backlog=0)
    private = socket.create_server(("127.0.0.1", PRIVATE))
    print("ready", flush=True)
    while True:
        private.accept()[0].close()
        print("reached", flush=True)

GATEWAY, GATEWAY6, MINE, MINE6 = "10.0.2.2", "fd00:2::2", "10.0.2.100", "fd00:2::100"
LINK, GATEWAY_LINK = bytes.fromhex("02000a000264"), bytes.fromhex("02000a000202")
STRANGER, EVERYBODY = bytes.fromhex("020000000099"), b"\xff" * 6
ALL_NODES = bytes.fromhex("333300000001")
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
link.bind(("sluice0", 0))


# ---- frames ------------------------------------------------------------------------------------------


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(kind, payload, to=GATEWAY_LINK, source=LINK):
    return to + source + struct.pack("!H", kind) + payload


def packet4(source, to, number, payload, offset=0, more=False, ttl=64, options=b"", identification=1):
    words = (0x45 + len(options) // 4, 0, 20 + len(options) + len(payload), identification, offset // 8 | more << 13, ttl, number, 0)
    header = struct.pack("!BBHHHBBH4s4s", *words, socket.inet_aton(source), socket.inet_aton(to)) + options
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def ip4(source, to, number, payload, station=GATEWAY_LINK, sender=LINK, **more):
    return ethernet(0x0800, packet4(source, to, number, payload, **more), station, sender)


def name6(text):
    return socket.inet_pton(socket.AF_INET6, text)


def sum6(source, to, number, payload, at):
    """With the checksum of an upper layer's payload, at this place of it."""
    pseudo = name6(source) + name6(to) + struct.pack("!II", len(payload), number)
    return payload[:at] + struct.pack("!H", checksum(pseudo + payload)) + payload[at + 2 :]


def ip6(source, to, number, payload, hops=255, station=GATEWAY_LINK, chain=b""):
    """`chain`: extension headers, of which the first is of destination options."""
    header = struct.pack("!IHBB", 0x60000000, len(chain + payload), 60 if chain else number, hops)
    return ethernet(0x86DD, header + name6(source) + name6(to) + chain + payload, station)


def udp(source, to, data=b""):
    return struct.pack("!HHHH", source, to, 8 + len(data), 0) + data


def udp6(source, to, address, data=b"\0"):
    return ip6(MINE6, address, 17, sum6(MINE6, address, 17, udp(source, to, data), 6))


def syn(source, to, source_address=MINE, address=GATEWAY, flags=2):
    header = struct.pack("!HHIIBBHHH", source, to, 1, 0, 0x50, flags, 65535, 0, 0)
    if ":" in address:
        return ip6(MINE6, address, 6, sum6(MINE6, address, 6, header, 16))
    pseudo = socket.inet_aton(source_address) + socket.inet_aton(address) + struct.pack("!HH", 6, len(header))
    sealed = header[:16] + struct.pack("!H", checksum(pseudo + header)) + header[18:]
    return ip4(source_address, address, 6, sealed)


def ping(to, identifier, station=GATEWAY_LINK, kind=8, ttl=64):
    message = struct.pack("!BBHHH", kind, 0, 0, identifier, 1) + b"hostile!"
    message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
    return ip4(MINE, to, 1, message, station, ttl=ttl)


def icmp6(kind, body, to=GATEWAY6, source=MINE6, code=0, **more):
    return ip6(source, to, 58, sum6(source, to, 58, struct.pack("!BBH", kind, code, 0) + body, 2), **more)


def advertises(target, station=LINK, **more):
    """A neighbour advertisement."""
    return icmp6(136, b"\x20\0\0\0" + name6(target) + b"\x02\x01" + station, **more)


def routes(**more):
    """A router advertisement."""
    return icmp6(134, struct.pack("!BBHII", 64, 0, 1800, 0, 0), to="ff02::1", station=ALL_NODES, **more)


def arp(sender, station=LINK, frame=LINK):
    body = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 2, station, socket.inet_aton(sender), GATEWAY_LINK, socket.inet_aton(GATEWAY))
    return ethernet(0x0806, body, source=frame)


def dhcp(station, sender=LINK, kind=1):
    bootp = struct.pack("!BBBBIHH16s", 1, 1, 6, 0, 0x1234, 0, 0x8000, b"") + station + bytes(10 + 192)
    asked = udp(68, 67, bootp + bytes.fromhex("63825363") + bytes([53, 1, kind, 255]))
    return ip4("0.0.0.0", "255.255.255.255", 17, asked, EVERYBODY, sender)


def piece(at, data, more=True, identification=77, source=MINE):
    return ip4(source, GATEWAY, 17, data, offset=at, more=more, identification=identification)


NOTHING_TO_SAY = b"\x3a\0\1\4\0\0\0\0"  # destination options, with ICMPv6 behind them


# ---- what is tried -----------------------------------------------------------------------------------

# Name, counter, frames, how often the counter moves at least, and what the gateway says, once at least: the kinds below.
# A counter is looked for in /stats.json as it stands, or among drops and protocols.
ATTACKS = [
    ("a source address of another network", "ingressForgedSource", [ip4("8.8.8.8", GATEWAY, 17, udp(41000, 7))], 1, ""),
    ("the same by IPv6", "ingressForgedSource", [ip6("2001:db8:9::9", GATEWAY6, 17, udp(41000, 7))], 1, ""),
    ("the gateway's own address as source", "ipv4MartianSource", [ip4(GATEWAY, "10.0.2.3", 17, udp(41000, 53))], 1, ""),
    ("the gateway's own IPv6 address as source", "ipv6MartianSource", [ip6(GATEWAY6, "fd00:2::3", 17, udp(41000, 53))], 1, ""),
    ("a SYN from the gateway's address and port to itself", "ipv4MartianSource", [syn(80, 80, GATEWAY, GATEWAY)], 1, ""),
    ("no source address, or the broadcast one", "ipv4MartianSource", [ip4(a, GATEWAY, 17, udp(41000, 7)) for a in ("0.0.0.0", "255.255.255.255")], 2, ""),
    ("ARP: the gateway's address is mine", "ingressForgedNeighbor", [arp(GATEWAY)], 1, ""),
    ("ARP: an address of another network is mine", "ingressForgedNeighbor", [arp("8.8.8.8")], 1, ""),
    ("ARP: an address is at another station than the frame's", "ingressForgedNeighbor", [arp("10.0.2.50", STRANGER)], 1, ""),
    ("a neighbour advertisement: the gateway's address is mine", "ingressForgedNeighbor", [advertises(GATEWAY6)], 1, ""),
    ("a neighbour advertisement of another station", "ingressForgedNeighbor", [advertises("fd00:2::50", STRANGER)], 1, ""),
    ("neighbour discovery behind extension headers", "ndInvalid", [advertises("fd00:2::50", STRANGER, chain=NOTHING_TO_SAY)], 1, ""),
    ("an answer of a DHCP server", "ingressRogueServer", [ip4(MINE, "255.255.255.255", 17, udp(67, 68, b"\x02"), EVERYBODY)], 1, ""),
    ("an answer of a DHCPv6 server", "ingressRogueServer", [ip6(MINE6, GATEWAY6, 17, udp(547, 546, b"\x02"))], 1, ""),
    ("a DHCP question in another station's name", "ingressForgedNeighbor", [dhcp(STRANGER)], 1, ""),
    ("a router advertisement", "ingressRogueRouter", [routes()], 1, ""),
    ("a router advertisement behind extension headers", "ingressRogueRouter", [routes(chain=NOTHING_TO_SAY)], 1, ""),
    ("a redirect", "ingressRogueRouter", [icmp6(137, bytes(4) + name6(MINE6) + name6(OUTSIDE6))], 1, ""),
    ("a source route", "ipv4SourceRoute", [ip4(MINE, OUTSIDE, 17, udp(41000, 7), options=bytes([131, 7, 4, 10, 0, 2, 1, 0]))], 1, ""),
    ("an IPv6 route of the sender's", "ipv6BadExtension", [ip6(MINE6, OUTSIDE6, 17, udp(41000, 7), chain=b"\x2b\0\1\4\0\0\0\0" + b"\x11\0\0\1\0\0\0\0")], 1, "problem"),
    ("chains of extension headers without end", "ipv6BadExtension", [ip6(MINE6, GATEWAY6, 17, b"", chain=b"\x3c\0\1\4\0\0\0\0" * 170)], 1, "?"),
    ("a frame of a VLAN", "unknownVLAN", [ethernet(0x8100, b"\0\7\x08\0" + packet4(MINE, GATEWAY, 17, udp(41000, 7)))], 1, ""),
    ("the host's loopback address", "ipv4MartianDestination", [ip4(MINE, "127.0.0.1", 17, udp(41000, PRIVATE)), syn(41000, PRIVATE, MINE, "127.0.0.1")], 2, ""),
    ("the host's IPv6 loopback address", "ipv6MartianDestination", [udp6(41000, PRIVATE, "::1"), udp6(41000, PRIVATE, "::ffff:127.0.0.1"), syn(41000, PRIVATE, MINE, "::1")], 3, ""),
    ("no destination address", "ipv4MartianDestination", [ip4(MINE, "0.0.0.0", 17, udp(41000, PRIVATE)), syn(41000, PRIVATE, MINE, "0.0.0.0")], 2, ""),
    ("a cloud's metadata at 169.254.169.254", "ipv4NotForUs", [syn(41000, 80, MINE, "169.254.169.254"), ip4(MINE, "169.254.169.254", 17, udp(41000, 80))], 2, ""),
    ("the host's loopback interface by the gateway's address", "outbound.denied", [syn(41000, PRIVATE)], 1, "reset"),
    ("the same by UDP", "datagrams.denied", [ip4(MINE, GATEWAY, 17, udp(41000, PRIVATE))], 1, "unreachable"),
    ("what is not DNS at the name server's address", "outbound.denied", [syn(41001, 81, MINE, "10.0.2.3")], 1, "reset"),
    ("a network that is denied", "outbound.denied", [syn(41002, 80, MINE, DENIED)], 1, "prohibited"),
    ("a network that is denied, by UDP", "datagrams.denied", [ip4(MINE, DENIED, 17, udp(41003, 53))], 1, "prohibited"),
    ("a network that is denied, by ping", "echoes.denied", [ping(DENIED, 41004)], 1, "prohibited"),
    ("a network that is denied, in an address of NAT64, 6to4 or Teredo", "outbound.denied", [
        syn(41005 + n, 80, MINE, a) for n, a in enumerate(("64:ff9b::c633:6401", "2002:c633:6401::1", "2001:0:1::39cc:9bfe"))], 3, "prohibited6"),
    ("the host's loopback address in an address of NAT64", "datagrams.denied", [udp6(41009, PRIVATE, "64:ff9b::7f00:1")], 1, "prohibited6"),
    ("a hop limit of 1", "transparentHopsExceeded", [ping(OUTSIDE, 41010, ttl=1)], 1, "exceeded"),
    ("broadcast and multicast pings", "icmpEchoIgnored", [ping("10.0.2.255", 41011, EVERYBODY), ping("255.255.255.255", 41011, EVERYBODY), ping("224.0.0.1", 41011, bytes.fromhex("01005e000001"))], 3, ""),
    ("ICMP for others that is no ping", "transparentEchoesIgnored", [ping(OUTSIDE, 41012, kind=15)], 1, ""),
    ("ICMP errors about what nobody sent", "icmpErrorsIgnored", [ip4(MINE, GATEWAY, 1, b"\3\1" + struct.pack("!H", checksum(b"\3\1\0\0\0\0\0\0" + q)) + bytes(4) + q)
                                                            for q in [packet4(OUTSIDE, MINE, 6, bytes(8))]], 1, ""),
    ("fragments that overlap", "fragmentOverlap", [piece(0, udp(41000, 7, bytes(1000))), piece(992, bytes(992))], 1, ""),
    ("a fragment beyond 65,535 bytes", "fragmentMalformed", [piece(65528, bytes(16), more=False)], 1, ""),
    ("fragments without end", "fragmentOverflow", [piece(0, udp(41000, 7, bytes(64)), identification=1000 + n) for n in range(200)], 130, ""),
    ("pings without end", "echoes.evicted", [ping(OUTSIDE, 42000 + n) for n in range(200)], 130, "?"),
    ("UDP flows without end", "datagrams.evicted", [ip4(MINE, OUTSIDE, 17, udp(43000 + n, 7303)) for n in range(1200)], 170, "?"),
    ("more DHCP questions than there are addresses", "dhcp.exhausted", [
        dhcp(s, s) for s in (b"\x02\0\0\0\1" + bytes([n]) for n in range(256))], 16, "?"),
    ("SYNs without end", "transparentOverflows", [syn(45000 + n, SILENT, MINE, OUTSIDE) for n in range(1300)], 200, "?"),
]


# ---- what comes of it --------------------------------------------------------------------------------


class Page:
    """The stack's own account of itself, always over the same connection."""

    def __init__(self):
        self.connection = http.client.HTTPConnection(GATEWAY, timeout=20)

    def count(self, name):
        self.connection.request("GET", "/stats.json")
        page = json.load(self.connection.getresponse())
        if "." in name:
            group, name = name.split(".")
            return page[group][name]
        return page["protocols"]["internet"].get(name, page["protocols"]["sockets"].get(name))


def kind(frame):
    """What a frame of the gateway's says to the attacks above; nothing if it is the network's daily life."""
    if frame[6:12] != GATEWAY_LINK:
        return ""
    ether, rest = frame[12:14], frame[14:]
    if ether == b"\x08\x06":
        return ""
    if ether == b"\x08\0":
        number, upper = rest[9], rest[20:]
        if number == 6:
            ports = struct.unpack("!HH", upper[:4])
            return "" if ports[0] == 80 else "reset" if upper[13] & 4 else f"TCP {ports}"
        if number == 17:
            return "UDP"
        return {(3, 13): "prohibited", (3, 3): "unreachable", (11, 0): "exceeded", (0, 0): "echo"}.get((upper[0], upper[1]), f"ICMP {upper[:2]}")
    if ether == b"\x86\xdd":
        upper = rest[40:]
        if rest[6] == 6:
            return "reset" if upper[13] & 4 else "TCP"
        if rest[6] != 58:
            return "UDP"
        known = {(134, 0): "", (135, 0): "", (136, 0): "", (1, 1): "prohibited6", (4, 0): "problem"}
        return known.get((upper[0], upper[1]), f"ICMPv6 {upper[:2]}")
    return "?"


def said(marker):
    """What the gateway says until it answers the ping of this number, which comes behind all that was sent before."""
    heard, end = [], time.monotonic() + 20
    link.send(ping(GATEWAY, marker))
    while time.monotonic() < end:
        if not select.select([link], [], [], 1)[0]:
            link.send(ping(GATEWAY, marker))  # it was lost among many
            continue
        frame, address = link.recvfrom(65536)
        if address[2] == socket.PACKET_OUTGOING:
            continue
        if kind(frame) == "echo" and frame[38:40] == struct.pack("!H", marker):
            return [word for word in heard if word]
        heard.append(kind(frame))
    sys.exit("the gateway does not answer any more")


page = Page()
page.count("ingressForgedSource")
# The gateway knows us by both families, and asks nobody while it is attacked.
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as known:
    known.settimeout(10)
    known.sendto(b"x", (GATEWAY6, 7))
    known.recv(10)
said(1999)

failed = []
for number, (name, counter, frames, times, wanted) in enumerate(ATTACKS):
    before = page.count(counter)
    for at, frame in enumerate(frames):
        link.send(frame)
        if at % 32 == 31:  # the ring between us has an end
            said(40000 - at)
    # What is answered from behind the gateway's own threads is waited for.
    heard, end = said(2000 + number), time.monotonic() + 20
    while (moved := page.count(counter) - before) < times and time.monotonic() < end:
        time.sleep(0.02)
    while wanted not in ("", "?") and wanted not in heard and time.monotonic() < end:
        heard += said(2000 + number)
    right = moved >= times and (wanted == "?" or (wanted in heard if wanted else not heard))
    outcome = f"{name}: {counter} +{moved}, said: {sorted(set(heard))}"
    if right:
        print("ok", outcome)
    else:
        failed.append(outcome)

# What is served goes on being served, and nothing beyond the limits is kept.
for path, most in (("echoes.open", 64), ("datagrams.flows", 1024), ("outbound.open", 1100)):
    if (there := page.count(path)) > most:
        failed.append(f"{path} is {there}")
# The socket for reports, and all others of the host's, are of the host's network alone.
if seen := [place for place in open("/proc/net/unix") if "@sluice/" in place]:
    failed.append(f"the socket for reports is seen: {seen}")
print(*(f"FAILED {outcome}" for outcome in failed), sep="\n")
sys.exit(1 if failed else 0)
