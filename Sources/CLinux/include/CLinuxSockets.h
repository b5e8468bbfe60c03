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
/// negative errno if it ended at once, badly. Small segments leave at once, and a silent peer is probed. `source`, of the
/// same length: what it is bound to, or NULL.
int sluice_tcp_connect(const uint8_t *address, int length, uint16_t port, const uint8_t *source);
/// A UDP socket that is connected to an address, and bound as sluice_tcp_connect's. A negative errno.
int sluice_udp_connect(const uint8_t *address, int length, uint16_t port, const uint8_t *source);
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

/// Datagrams that pass in one call at most.
#define SLUICE_DATAGRAMS 16
/// Sends datagrams by a connected socket, `count` of them, which lie at these offsets of `bytes`. How many it took, or why the first did
/// not go.
int sluice_udp_send_many(int socket, const void *bytes, const uint32_t *offsets, const uint32_t *lengths, int count);
/// Takes datagrams that there are, at most `count`, each into `stride` bytes of `bytes`. How many, -EAGAIN, or what the network said.
int sluice_udp_receive_many(int socket, void *bytes, uint32_t stride, uint32_t *lengths, int count);

// --- UDP sockets that take datagrams from anybody

/// Where a datagram came from, and what it was sent to; IPv4 as ::ffff:a.b.c.d, in the machine's order.
struct sluice_udp_peer {
  uint64_t high, low;
  uint64_t local_high, local_low;
  /// By which the peer is reached, where its address says nothing without; else 0.
  uint32_t interface;
  uint16_t port;
};
/// A UDP socket, close-on-exec, on an address as sluice_tcp_listen takes it.
int sluice_udp_listen(const uint8_t *address, int length, uint16_t port);
/// Bytes of the next datagram, which is cut to `capacity`, or -EAGAIN.
ssize_t sluice_udp_receive(int socket, void *bytes, size_t capacity, struct sluice_udp_peer *peer);
/// Sends a datagram back, from what the peer sent to. Bytes or a negative errno.
ssize_t sluice_udp_reply(int socket, const void *bytes, size_t count, const struct sluice_udp_peer *peer);

// --- Unix stream sockets for the control of this process

/// Listens at `path`, for this user alone. A socket without a listener is replaced. -EADDRINUSE: somebody listens there,
/// -EEXIST: no socket is there, -ENAMETOOLONG.
int sluice_control_listen(const char *path);
/// The folder of a path, by which what is there can be removed when paths mean nothing any more: in an empty mount namespace.
/// A descriptor or a negative errno.
int sluice_folder_open(const char *path);
/// Removes what `path` named in that folder.
void sluice_folder_unlink(int folder, const char *path);
/// The next connection, or -EAGAIN.
int sluice_control_accept(int listener);
/// A connection to who listens at `path`, whose calls block.
int sluice_control_connect(const char *path);

// --- sockets that carry frames

enum { sluice_path_limit = 108 };
/// A Unix datagram socket at `path`, as sluice_control_listen has it.
int sluice_datagrams_bind(const char *path);
/// The next datagram: bytes, or a negative errno; and the path of who sent it, sluice_path_limit bytes at most, of which 0
/// say that it has none.
ssize_t sluice_datagrams_receive(int socket, void *bytes, size_t capacity, uint8_t *path, int *length);
ssize_t sluice_datagrams_send(int socket, const void *bytes, size_t count, const uint8_t *path, int length);
/// Two ends between which frames pass whole. 0 or a negative errno.
int sluice_frames_pair(int *pair);

// --- interfaces and processes of this host

/// The first address of an interface, of 4 bytes or 16, in network byte order. 0 or a negative errno (-ENODEV: it has none).
int sluice_interface_address(const char *name, int length, uint8_t *address);
/// A descriptor that is readable once the process has ended, or a negative errno.
int sluice_process_open(int process);

// --- echo requests, and what the network says

/// An ICMP socket for echo requests to an address (net.ipv4.ping_group_range says who may have one), connected to it. A
/// negative errno: -EACCES, -EPERM where it may not be had.
int sluice_echo_connect(const uint8_t *address, int length);
/// Sends a request with this number and data; its identifier is the kernel's. Bytes of data, or a negative errno.
ssize_t sluice_echo_send(int socket, int is_ipv4, uint16_t sequence, const void *bytes, size_t count);
/// The next answer: bytes of data, at most `capacity`, and its number. -EAGAIN: none; -EBADMSG: a message that is none.
ssize_t sluice_echo_receive(int socket, int is_ipv4, uint16_t *sequence, void *bytes, size_t capacity);
/// Hops that what is sent from now on may go; 0: as many as usual. 0 or a negative errno.
int sluice_hop_limit(int socket, int is_ipv4, int hops);
/// Whether what the socket sends may go in fragments where the path needs it; else sending is -EMSGSIZE, and what the path carries is kept
/// as an error. 0 or a negative errno.
int sluice_may_fragment(int socket, int is_ipv4, int may);
/// What the network says of what was sent is kept for sluice_network_error_next. 0 or a negative errno.
int sluice_keep_network_errors(int socket, int is_ipv4);

/// What the network, or this machine, said of something that was sent.
struct sluice_network_error {
  /// An errno.
  int error;
  /// ICMP's, of the address's family; both 0 if this machine says so.
  uint8_t type, code, is_icmp;
  /// 4 or 16 bytes of who says so; 0: it is not known.
  uint8_t reporter_length;
  uint8_t reporter[16];
  /// With EMSGSIZE: the largest packet that the path takes.
  uint32_t mtu;
  /// The first bytes of what was sent, behind its transport header or, of an echo request, with it.
  uint8_t quoted[8];
  uint8_t quoted_length;
};
/// The oldest one, which this takes away. 0, or -EAGAIN: there is none.
int sluice_network_error_next(int socket, struct sluice_network_error *found);
