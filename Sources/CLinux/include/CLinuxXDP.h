// AF_XDP sockets: rings shared with the kernel, and the program that leads an interface's frames to them. By system calls
// alone. Negative results are errno values.
#pragma once
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/// The program at an interface, and the map of the sockets that it knows. Gone with its descriptors.
struct sluice_xdp_program {
  int map, link;
  /// 1: the driver runs it; 0: the kernel does, behind the driver.
  int native;
};
/// Attaches the program, for `queues` receive queues. Frames of queues without a socket go on to the kernel.
int sluice_xdp_attach(int index, uint32_t queues, struct sluice_xdp_program *attached);
/// Leads the frames of a queue to a bound socket.
int sluice_xdp_direct(const struct sluice_xdp_program *attached, uint32_t queue, int socket);
void sluice_xdp_detach(struct sluice_xdp_program *attached);

struct sluice_xdp_ring {
  uint32_t *producer, *consumer, *flags;
  void *entries;
  void *memory;
  size_t bytes;
  uint32_t mask;
};

/// A socket with its frames: as many for what arrives as for what is sent. The receiving and the sending side may be used
/// by one thread each.
struct sluice_xdp {
  int socket;
  int zero_copy;
  uint8_t *frames;
  uint32_t frame_bytes;
  uint32_t frame_count;
  struct sluice_xdp_ring fill, completion, receive, transmit;
  // Receiving: frames taken, frames known to be there, frames given to the kernel.
  uint32_t received, receivable, filled;
  // Sending: frames given to the kernel, frames back from it, places of those that are free.
  uint8_t apart[64];  // from what another thread writes
  uint32_t sent, completed, unused_count;
  uint64_t *unused;
};

/// Binds to a queue: zero-copy where it may be and the device can, else copies. `frames` of `frame_bytes` each way, both
/// powers of two, 2048 or 4096 bytes.
int sluice_xdp_open(struct sluice_xdp *xdp, int index, uint32_t queue, uint32_t frame_bytes, uint32_t frames,
                    int may_be_zero_copy);
void sluice_xdp_close(struct sluice_xdp *xdp);

/// The oldest frame, which stays until sluice_xdp_pop. 0: none.
int sluice_xdp_peek(struct sluice_xdp *xdp, const uint8_t **bytes, uint32_t *count);
void sluice_xdp_pop(struct sluice_xdp *xdp);
/// The end of a batch: the kernel gets back what was taken. System calls made.
int sluice_xdp_refill(struct sluice_xdp *xdp);

/// Puts a frame on the ring. -EAGAIN: no room.
int sluice_xdp_send(struct sluice_xdp *xdp, const struct iovec *pieces, int count);
/// The end of a batch: has the kernel send what is on the ring. System calls made.
int sluice_xdp_kick(struct sluice_xdp *xdp);
/// Frames on the ring that the kernel has not taken.
uint32_t sluice_xdp_pending(const struct sluice_xdp *xdp);
int sluice_xdp_has_room(struct sluice_xdp *xdp);
/// Frames dropped so far for want of room or of frames.
int64_t sluice_xdp_drops(int socket);

int sluice_interface_index(const char *name);
int sluice_interface_receive_queues(const char *name);
/// Makes an interface take frames for any station as long as the descriptor is open.
int sluice_interface_listen_to_all(int index);
