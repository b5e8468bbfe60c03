"""chargen.py BYTES FIRST: the character generator's stream (RFC 864) that begins with the character FIRST."""

import sys

count, first = int(sys.argv[1]), ord(sys.argv[2])
# 95 printing characters; each line has 72 of them and begins one further than the line before.
ring = bytes(range(0x20, 0x7F))
start = ring.index(first)
lines = b"".join((ring * 2)[(start + line) % 95 :][:72] + b"\r\n" for line in range(95))
block = lines * 150
while count > 0:
    piece = block[: min(count, len(block))]
    sys.stdout.buffer.write(piece)
    count -= len(piece)
