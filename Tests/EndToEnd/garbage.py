"""garbage.py GATEWAY GATEWAY6: frames that no stack should have to see, sent from inside the namespace.

Random bytes, headers cut short at every length, frames above the MTU, wrong checksums, lies about lengths.
"""

import random
import socket
import struct
import subprocess
import sys

gateway, gateway6 = sys.argv[1:3]
chance = random.Random(20240229)


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


device = output("ip", "-o", "route", "get", gateway).split(" dev ")[1].split()[0]
subprocess.run(["ping", "-c", "1", "-W", "2", gateway], stdout=subprocess.DEVNULL, check=True)
neighbour = output("ip", "neigh", "show", gateway, "dev", device).split("lladdr ")[1].split()[0]
own4 = output("ip", "-o", "-4", "addr", "show", "dev", device).split("inet ")[1].split("/")[0]
own6 = [a.split("/")[0] for a in output("ip", "-o", "-6", "addr", "show", "dev", device).split("inet6 ")[1:]]
own6 = next(a for a in own6 if not a.startswith("fe80"))
station = bytes.fromhex(neighbour.replace(":", ""))
own_link = output("ip", "-o", "link", "show", "dev", device).split("link/ether ")[1].split()[0]
own_station = bytes.fromhex(own_link.replace(":", ""))

source4, target4 = socket.inet_aton(own4), socket.inet_aton(gateway)
source6, target6 = socket.inet_pton(socket.AF_INET6, own6), socket.inet_pton(socket.AF_INET6, gateway6)


def ethernet(kind, payload, target=station):
    return target + own_station + struct.pack("!H", kind) + payload


def ipv4(protocol, payload, **lie):
    length = lie.get("length", 20 + len(payload))
    head = struct.pack(
        "!BBHHHBBH4s4s", lie.get("version", 0x45), 0, length, chance.randrange(65536), lie.get("fragment", 0),
        lie.get("ttl", 64), protocol, 0, lie.get("source", source4), target4)
    sum_now = lie.get("checksum", checksum(head))
    return head[:10] + struct.pack("!H", sum_now) + head[12:] + payload


def ipv6(protocol, payload, **lie):
    length = lie.get("length", len(payload))
    return struct.pack("!IHBB", 0x6 << 28, length, protocol, lie.get("ttl", 64)) + source6 + target6 + payload


def pseudo(six, protocol, payload):
    if six:
        return source6 + target6 + struct.pack("!II", len(payload), protocol)
    return source4 + target4 + struct.pack("!BBH", 0, protocol, len(payload))


def transport(six, protocol, payload, offset, spoil):
    """Fills in the checksum at `offset`, or a wrong one."""
    base = b"" if protocol == 1 else pseudo(six, protocol, payload)
    value = checksum(base + payload) ^ (0x5555 if spoil else 0)
    payload = payload[:offset] + struct.pack("!H", value) + payload[offset + 2 :]
    return ethernet(0x86DD, ipv6(protocol, payload)) if six else ethernet(0x0800, ipv4(protocol, payload))


def tcp(flags=2, port=80, options=b"", data=b"", offset=None):
    words = 5 + len(options) // 4 if offset is None else offset
    return struct.pack(
        "!HHIIBBHHH", chance.randrange(1024, 65536), port, chance.randrange(1 << 32), chance.randrange(1 << 32),
        words << 4, flags, 65535, 0, 0) + options + data


def udp(data=b"", port=7, length=None):
    return struct.pack("!HHHH", chance.randrange(1024, 65536), port, 8 + len(data) if length is None else length, 0) + data


def echo(kind):
    return struct.pack("!BBHHH", kind, 0, 0, 1, 1) + b"echo data"


def frames():
    whole = [
        transport(six, protocol, payload, offset, spoil=False)
        for six in (False, True)
        for protocol, payload, offset in (
            (6, tcp(), 16), (6, tcp(options=b"\2\4\5\264\1\3\3\7"), 16), (17, udp(b"x" * 40), 6),
            (58, echo(128), 2) if six else (1, echo(8), 2))
    ]
    arp = ethernet(0x0806, struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + own_station + source4 + b"\0" * 6 + target4)
    advertisement = ethernet(
        0x86DD, ipv6(58, struct.pack("!BBHI", 136, 0, 0, 0x60000000) + target6 + b"\2\1" + own_station, ttl=255))
    whole += [arp, advertisement]

    for _ in range(2000):  # random bytes, some below a true Ethernet header
        body = chance.randbytes(chance.randrange(0, 1500))
        yield ethernet(chance.choice((0x0800, 0x86DD, 0x0806, 0x8100, chance.randrange(65536))), body)
    for _ in range(500):  # random frames to and from anyone
        yield chance.randbytes(chance.randrange(14, 1514))
    for frame in whole:  # cut short at every length
        for end in range(14, len(frame)):
            yield frame[:end]
    for frame in whole * 20:  # single bytes changed
        spoiled = bytearray(frame)
        for _ in range(chance.randrange(1, 4)):
            spoiled[chance.randrange(14, len(spoiled))] = chance.randrange(256)
        yield bytes(spoiled)
    for _ in range(50):  # wrong checksums in everything that has one
        for six in (False, True):
            yield transport(six, 6, tcp(), 16, spoil=True)
            yield transport(six, 17, udp(b"data"), 6, spoil=True)
        yield transport(True, 58, echo(128), 2, spoil=True)
        yield transport(False, 1, echo(8), 2, spoil=True)
        yield ethernet(0x0800, ipv4(17, udp(b"data"), checksum=0x1234))
    for length in (0, 1, 19, 20, 21, 1400, 65535):  # lies about lengths
        yield ethernet(0x0800, ipv4(17, udp(b"data"), length=length))
        yield ethernet(0x86DD, ipv6(17, udp(b"data"), length=length))
        yield transport(False, 17, udp(b"data", length=length), 6, spoil=False)
    for version in (0x40, 0x41, 0x4F, 0x55, 0x65, 0x05):
        yield ethernet(0x0800, ipv4(6, tcp(), version=version))
    for offset in (0, 1, 4, 6, 15):
        yield transport(False, 6, tcp(offset=offset), 16, spoil=False)
        yield transport(True, 6, tcp(offset=offset), 16, spoil=False)
    for options in (b"\2\1\0\0", b"\2\0\0\0", b"\3\xff\1\1", b"\5\x0a\0\0", b"\x08\x0a\0\0", b"\xff\xff\xff\xff"):
        yield transport(False, 6, tcp(options=options), 16, spoil=False)
    for fragment in (0x2000, 0x1FFF, 0x3FFF, 0x8000):
        yield ethernet(0x0800, ipv4(17, b"x" * 32, fragment=fragment))
    for source in (b"\0" * 4, b"\xff" * 4, b"\x7f\0\0\1", b"\xe0\0\0\1", target4):
        yield ethernet(0x0800, ipv4(1, echo(8), source=source))
    for kind in range(0, 256, 5):  # extension headers without an end
        yield ethernet(0x86DD, ipv6(kind, bytes([kind, 0]) * 40))
    for flags in range(256):  # every combination of flags, at an open and at a closed port
        yield transport(False, 6, tcp(flags=flags), 16, spoil=False)
        yield transport(True, 6, tcp(flags=flags, port=4), 16, spoil=False)


with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
    link.bind((device, 0))
    sent = refused = 0

    def send(frame):
        global sent, refused
        try:
            link.send(frame)
            sent += 1
        except OSError:  # the kernel itself will not carry it, or has no room just now
            refused += 1

    for frame in frames():
        send(frame)
    # Above the MTU: the device carries what its own end is set to.
    subprocess.run(["ip", "link", "set", device, "mtu", "9000"], check=False, stderr=subprocess.DEVNULL)
    for size in (1515, 1519, 2000, 2048, 2049, 4000, 9000):
        send(ethernet(0x0800, ipv4(17, udp(b"x" * (size - 42)))))
        send(ethernet(0x86DD, chance.randbytes(size - 14)))
    subprocess.run(["ip", "link", "set", device, "mtu", "1500"], check=False, stderr=subprocess.DEVNULL)

# Some of it claimed our own address for another station, which no neighbour can tell from the truth. The kernel
# asks again, and says with it who it is.
subprocess.run(["ip", "neigh", "flush", "dev", device], check=True)
print(f"{sent} frames sent, {refused} refused by the kernel")
sys.exit(0 if sent > 3000 else 1)
