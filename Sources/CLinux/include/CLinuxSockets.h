// Stream sockets of this machine, non-blocking. Negative results are errno values.
#pragma once
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/// A listening TCP socket, close-on-exec, on an address of 4 bytes (IPv4) or 16 (IPv6, and that alone), in network byte
/// order. Up to `fast_open` connections may bring data with their SYNs; 0: none, and a refusal of that is no error.
int sluice_tcp_listen(const uint8_t *address, int length, uint16_t port, int backlog, int fast_open);
/// The port of a bound socket.
int sluice_tcp_port(int socket);
/// The next connection, or -EAGAIN. Small segments of it leave at once, and a silent peer is probed as the machine is
/// set to.
int sluice_tcp_accept(int listener);
/// Resets the next connection for want of a descriptor: `spare` is given for a moment, and made again (-1: it could not
/// be). 0, or a negative errno.
int sluice_tcp_refuse(int listener, int *spare);
/// A TCP socket that connects to an address, as sluice_tcp_listen takes it: how that ends, writable or failed tells. A
/// negative errno if it ended at once, badly. Small segments leave at once, and a silent peer is probed.
int sluice_tcp_connect(const uint8_t *address, int length, uint16_t port);
/// A UDP socket that is connected to an address. A negative errno.
int sluice_udp_connect(const uint8_t *address, int length, uint16_t port);
/// Connects it to another one of the same family. 0 or a negative errno.
int sluice_udp_turn(int socket, const uint8_t *address, int length, uint16_t port);
/// Whether the peer's SYN brought data that was taken (RFC 7413): 1 or 0.
int sluice_tcp_opened_fast(int socket);
/// Bytes that were received, 0 at the end of the stream, -EAGAIN, or why the connection failed.
ssize_t sluice_tcp_receive(int socket, void *bytes, size_t capacity);
/// Bytes that were taken, -EAGAIN, or why the connection failed. No SIGPIPE.
ssize_t sluice_tcp_send(int socket, const void *bytes, size_t count);
/// As sluice_tcp_receive, into several pieces of memory, one after the other; at most 1024.
ssize_t sluice_tcp_receive_pieces(int socket, struct iovec *pieces, int count);
/// As sluice_tcp_send, from several pieces of memory; at most 1024.
ssize_t sluice_tcp_send_pieces(int socket, struct iovec *pieces, int count);
/// Ends the sending side: what was sent before is still delivered. 0, or why it could not.
int sluice_tcp_finish(int socket);
/// The pending error as a positive errno, which this takes away; 0: none.
int sluice_tcp_error(int socket);
/// Gives the socket back; what was sent is still delivered.
void sluice_tcp_close(int socket);
/// Gives the socket back with a reset.
void sluice_tcp_reset(int socket);

/// Watches for everything that changes, each change once. 0 or a negative errno.
int sluice_epoll_add_edges(int epoll, int descriptor, uint32_t token);
