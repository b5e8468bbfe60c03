#!/usr/bin/env python3
"""Servers for the checks of `programs`: HTTP with git's smart protocol, and names. `programs.py FOLDER`, as root.

HTTP at port 80 serves FOLDER/www, answers an upload to /digest with the digest of what came, and hands /git/ to git
http-backend over FOLDER/git. Names at port 53, UDP and TCP: www.test, and many.test, whose addresses need TCP.
"""
import hashlib, http.server, os, socket, socketserver, struct, subprocess, sys, threading

FOLDER = sys.argv[1]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def log_message(self, *_):
        pass

    def body(self):
        """The pieces of what the client sends."""
        if "100-continue" in self.headers.get("Expect", ""):
            self.send_response_only(100)
            self.end_headers()
            self.wfile.flush()
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return
        left = int(self.headers.get("Content-Length", 0))
        while left:
            piece = self.rfile.read(min(left, 1 << 16))
            if not piece:
                raise ConnectionError
            left -= len(piece)
            yield piece

    def answer(self, status, body, kind="application/octet-stream"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path.startswith("/git/"):
            return self.git()
        path = os.path.join(FOLDER, "www", self.path.lstrip("/"))
        if not os.path.isfile(path):
            return self.answer(404, b"")
        with open(path, "rb") as file:
            self.send_response(200)
            self.send_header("Content-Length", str(os.fstat(file.fileno()).st_size))
            self.end_headers()
            self.wfile.flush()
            self.connection.sendfile(file)

    def do_PUT(self):
        digest = hashlib.sha256()
        for piece in self.body():
            digest.update(piece)
        self.answer(200, digest.hexdigest().encode())

    def do_POST(self):
        self.git()

    def git(self):
        path, _, query = self.path.removeprefix("/git").partition("?")
        body = b"".join(self.body())
        names = {"Content-Type": "CONTENT_TYPE", "Content-Encoding": "HTTP_CONTENT_ENCODING", "Git-Protocol": "GIT_PROTOCOL"}
        environment = {**os.environ, "GIT_PROJECT_ROOT": FOLDER + "/git", "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
                       "QUERY_STRING": query, "REQUEST_METHOD": self.command, "CONTENT_LENGTH": str(len(body)),
                       "REMOTE_ADDR": self.client_address[0]}
        environment.update({name: self.headers[field] for field, name in names.items() if field in self.headers})
        done = subprocess.run(["git", "http-backend"], input=body, env=environment, stdout=subprocess.PIPE, check=True)
        head, _, text = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.answer(int(fields.get("Status", "200").split()[0]), text, fields.get("Content-Type", "text/plain"))


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    request_queue_size = 1024


def reply(question, limit):
    """The answer to one question (RFC 1035), shortened to `limit` bytes."""
    identifier, flags = struct.unpack("!HH", question[:4])
    place, labels = 12, []
    while length := question[place]:
        labels.append(question[place + 1 : place + 1 + length].decode().lower())
        place += 1 + length
    kind = struct.unpack("!H", question[place + 1 : place + 3])[0]
    asked = question[12 : place + 5]
    name = ".".join(labels)
    known = {
        ("www.test", 1): [socket.inet_pton(socket.AF_INET, "192.0.2.33")],
        ("www.test", 28): [socket.inet_pton(socket.AF_INET6, "2001:db8::33")],
        ("many.test", 1): [bytes((192, 0, 2, number)) for number in range(101, 241)],
    }
    records = known.get((name, kind), [])
    code = 0 if name in ("www.test", "many.test") else 3
    body = b"".join(struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(data)) + data for data in records)
    truncated = 12 + len(asked) + len(body) > limit
    if truncated:
        records, body = [], b""
    return struct.pack("!HHHHHH", identifier, 0x8180 | code | (0x200 if truncated else 0) | flags & 0x100, 1, len(records), 0,
                       0) + asked + body


class Datagrams(socketserver.ThreadingUDPServer):
    address_family = socket.AF_INET6


class Question(socketserver.BaseRequestHandler):
    def handle(self):
        data, server = self.request
        server.sendto(reply(data, 512), self.client_address)


class Streams(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True


class Conversation(socketserver.StreamRequestHandler):
    def handle(self):
        while head := self.rfile.read(2):
            text = reply(self.rfile.read(struct.unpack("!H", head)[0]), 65535)
            self.wfile.write(struct.pack("!H", len(text)) + text)


# A datagram socket of any address would answer from another than was asked: one for each.
servers = [Server(("::", 80), Handler), Streams(("::", 53), Conversation)]
servers += [Datagrams((address, 53), Question) for address in ("::ffff:192.0.2.1", "2001:db8::1")]
for server in servers:
    threading.Thread(target=server.serve_forever, daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
