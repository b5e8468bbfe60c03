// TUN/TAP queues, packet sockets with a receive ring, epoll. Negative results are errno values.
#pragma once
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/// Opens `path` and attaches a queue of the interface `name` (at most 15 bytes; "": the kernel chooses one, and
/// `actual`, 16 bytes, gets it). Non-blocking, close-on-exec, without packet information. With `multi_queue`
/// an interface takes several; with `headers` each frame has a virtio_net_hdr of 10 bytes in front, both ways.
/// With `napi` the kernel takes what is written as from a network card, and may join it; -EOPNOTSUPP before Linux 4.15.
/// `opened`: 1 if a refusal is TUNSETIFF's, 0 if open's.
int sluice_tun_open(const char *path, const char *name, int ethernet, int multi_queue, int headers, int napi,
                    char *actual, int *opened);
/// What the kernel may leave to us in what it sends, and takes from us.
enum { sluice_offload_checksum = 1, sluice_offload_tcp = 2, sluice_offload_udp = 4, sluice_offload_headers = 8 };
/// Asks the kernel for all of it, on a queue with headers: those that it has.
int sluice_tun_offload(int tun);
/// Nothing is left to who holds the queue any more: the interface keeps what its last holder asked for.
void sluice_tun_without_offload(int tun);
/// What the kernel says that the interface of a queue is, and its last opener wanted (IFF_...), or a negative errno.
int sluice_tun_flags(int tun);
/// The MTU of an interface in the caller's namespace.
int sluice_interface_mtu(const char *name);
/// A setting of an interface of the caller's namespace, a file of its folder in sysfs, whatever is mounted at /sys: a
/// descriptor, or a negative errno. It needs CAP_SYS_ADMIN over that namespace, and to write CAP_NET_ADMIN of the machine.
int sluice_interface_setting_open(const char *name, const char *setting);
/// What it is, or a negative errno.
long sluice_interface_setting_get(int setting);
/// 0 or a negative errno.
int sluice_interface_setting_put(int setting, long value);
/// Permission bits of a file, or a negative errno.
int sluice_file_mode(const char *path);

/// A promiscuous AF_PACKET socket on an interface of the caller's namespace, blind to what it sends itself.
int sluice_packet_socket_open(const char *interface);

/// Next frame, from TAP, TUN or anything that keeps message borders: bytes, or -EAGAIN, -EBADFD...
ssize_t sluice_read_frame(int descriptor, void *bytes, size_t capacity);
/// The next frame, into `count` pieces of memory. Bytes, or a negative errno.
ssize_t sluice_read_pieces(int descriptor, const struct iovec *pieces, int count);
/// One frame, of `count` pieces. Bytes, or a negative errno.
ssize_t sluice_write_frame(int descriptor, const struct iovec *pieces, int count);
/// Pieces that a caller should have room for: a virtio_net_hdr, headers, and as many chunks as a packet takes.
enum { sluice_send_piece_limit = 26 };
/// Whether a write may be tried now.
int sluice_is_writable(int descriptor);

/// A pseudo-terminal, both sides non-blocking and close-on-exec: the near one, or a negative errno. `path`, of
/// `capacity` bytes, gets the name of the far one.
int sluice_pty_open(int *far, char *path, int capacity);

// --- the receive ring of a packet socket (TPACKET_V2), shared with the kernel

struct sluice_packet_ring {
  uint8_t *frames;
  uint32_t frame_bytes;
  uint32_t frame_count;
  uint32_t next;
  uint32_t reserved;
};

struct sluice_packet_frame {
  const uint8_t *bytes;
  uint32_t count;           // bytes at hand
  uint32_t original_count;  // bytes on the link
  uint16_t vlan_protocol;   // of a tag that the kernel has taken off, 0: none
  uint16_t vlan_tag;
  uint8_t is_losing;         // frames were dropped before this one
  uint8_t lacks_checksum;    // its sender left the transport checksum to a device
};

/// Maps a ring for frames of up to `longest` bytes, link header included. 0 or a negative errno.
int sluice_packet_ring_open(struct sluice_packet_ring *ring, int socket, uint32_t longest, uint32_t frames);
void sluice_packet_ring_close(struct sluice_packet_ring *ring);
/// The oldest frame, which stays until sluice_packet_ring_pop. 0: none.
int sluice_packet_ring_peek(const struct sluice_packet_ring *ring, struct sluice_packet_frame *frame);
void sluice_packet_ring_pop(struct sluice_packet_ring *ring);
/// Frames dropped since the last call.
int64_t sluice_packet_drops(int socket);
/// Spreads the interface's frames over the sockets of a group, by flow: of a new one if `group` is negative. The
/// group, or a negative errno.
int sluice_packet_join_fanout(int socket, int group);

// --- epoll

int sluice_epoll_create(void);
/// Watches for being readable; with `edge` only changes are told. 0 or a negative errno.
int sluice_epoll_add(int epoll, int descriptor, uint32_t token, int edge);
int sluice_epoll_change(int epoll, int descriptor, uint32_t token, int writable, int edge);
int sluice_epoll_remove(int epoll, int descriptor);

struct sluice_ready {
  uint32_t token;
  uint8_t readable, writable, failed, ended;  // ended: the peer sends nothing more
};

/// Whether the kernel sleeps for less than a millisecond (epoll_pwait2).
int sluice_epoll_is_precise(void);

/// Sleeps for up to `nanoseconds` (0: looks; UINT64_MAX: for ever). Ready descriptors, 0 on time or signal.
int sluice_epoll_wait(int epoll, struct sluice_ready *ready, int capacity, uint64_t nanoseconds);

/// A clock that becomes readable once its time has come. A negative errno.
int sluice_timer_create(void);
/// So long from now, at least 1. What was set before is forgotten.
void sluice_timer_set(int timer, uint64_t nanoseconds);
/// Unreadable until its next time.
void sluice_timer_absorb(int timer);
