#define _GNU_SOURCE
#include "CLinuxXDP.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef AF_XDP
#define AF_XDP 44
#endif
#ifndef SOL_XDP
#define SOL_XDP 283
#endif
#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9  // Linux 6.18
#endif

// --- the program

static int bpf(int command, union bpf_attr *attributes) {
  long result = syscall(SYS_bpf, command, attributes, sizeof *attributes);
  return result < 0 ? -errno : (int)result;
}

static int make_map(uint32_t queues) {
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.map_type = BPF_MAP_TYPE_XSKMAP;
  attributes.key_size = attributes.value_size = sizeof(uint32_t);
  attributes.max_entries = queues;
  return bpf(BPF_MAP_CREATE, &attributes);
}

static int load_program(int map) {
  // return bpf_redirect_map(map, context->rx_queue_index, XDP_PASS): a frame goes to the socket of its queue, and to
  // the kernel where there is none.
  const struct bpf_insn program[] = {
      {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_1,
       .off = offsetof(struct xdp_md, rx_queue_index)},
      {.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = BPF_REG_1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map},
      {.imm = 0},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = XDP_PASS},
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map},
      {.code = BPF_JMP | BPF_EXIT},
  };
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.prog_type = BPF_PROG_TYPE_XDP;
  attributes.insns = (uint64_t)(uintptr_t)program;
  attributes.insn_cnt = sizeof program / sizeof program[0];
  attributes.license = (uint64_t)(uintptr_t)"Apache-2.0";
  return bpf(BPF_PROG_LOAD, &attributes);
}

static int link_program(int program, int index, uint32_t flags) {
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.link_create.prog_fd = (uint32_t)program;
  attributes.link_create.target_ifindex = (uint32_t)index;
  attributes.link_create.attach_type = BPF_XDP;
  attributes.link_create.flags = flags;
  return bpf(BPF_LINK_CREATE, &attributes);
}

int sluice_xdp_attach(int index, uint32_t queues, struct sluice_xdp_program *attached) {
  *attached = (struct sluice_xdp_program){-1, -1, 0};
  int map = make_map(queues);
  if (map < 0) return map;
  int program = load_program(map);
  if (program < 0) {
    close(map);
    return program;
  }
  int native = 1, link = link_program(program, index, XDP_FLAGS_DRV_MODE);
  // A driver without XDP, or one whose settings forbid it: the kernel's own place, behind the driver.
  if (link < 0 && link != -EBUSY && link != -EPERM) {
    native = 0;
    link = link_program(program, index, XDP_FLAGS_SKB_MODE);
  }
  close(program);
  if (link < 0) {
    close(map);
    return link;
  }
  *attached = (struct sluice_xdp_program){map, link, native};
  return 0;
}

int sluice_xdp_direct(const struct sluice_xdp_program *attached, uint32_t queue, int socket) {
  uint32_t value = (uint32_t)socket;
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.map_fd = (uint32_t)attached->map;
  attributes.key = (uint64_t)(uintptr_t)&queue;
  attributes.value = (uint64_t)(uintptr_t)&value;
  return bpf(BPF_MAP_UPDATE_ELEM, &attributes);
}

void sluice_xdp_detach(struct sluice_xdp_program *attached) {
  if (attached->link >= 0) {
    // Now, and not when the last copy of the descriptor is closed, which a child may have.
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.link_detach.link_fd = (uint32_t)attached->link;
    bpf(BPF_LINK_DETACH, &attributes);
    close(attached->link);
  }
  if (attached->map >= 0) close(attached->map);
  attached->link = attached->map = -1;
}

// --- the socket

static int map_ring(struct sluice_xdp_ring *ring, int socket, const struct xdp_ring_offset *at, uint32_t entries,
                    size_t entry_bytes, off_t page) {
  size_t bytes = at->desc + entries * entry_bytes;
  uint8_t *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, socket, page);
  if (memory == MAP_FAILED) return -errno;
  *ring = (struct sluice_xdp_ring){
      .producer = (uint32_t *)(void *)(memory + at->producer),
      .consumer = (uint32_t *)(void *)(memory + at->consumer),
      .flags = (uint32_t *)(void *)(memory + at->flags),
      .entries = memory + at->desc,
      .memory = memory,
      .bytes = bytes,
      .mask = entries - 1,
  };
  return 0;
}

static int set_up(struct sluice_xdp *xdp, uint32_t frames) {
  size_t bytes = (size_t)frames * 2 * xdp->frame_bytes;
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) return -errno;
  xdp->frames = memory;
  xdp->unused = calloc(frames, sizeof xdp->unused[0]);
  if (xdp->unused == NULL) return -ENOMEM;
  struct xdp_umem_reg area = {
      .addr = (uint64_t)(uintptr_t)memory, .len = bytes, .chunk_size = xdp->frame_bytes};
  if (setsockopt(xdp->socket, SOL_XDP, XDP_UMEM_REG, &area, sizeof area) != 0 ||
      setsockopt(xdp->socket, SOL_XDP, XDP_UMEM_FILL_RING, &frames, sizeof frames) != 0 ||
      setsockopt(xdp->socket, SOL_XDP, XDP_UMEM_COMPLETION_RING, &frames, sizeof frames) != 0 ||
      setsockopt(xdp->socket, SOL_XDP, XDP_RX_RING, &frames, sizeof frames) != 0 ||
      setsockopt(xdp->socket, SOL_XDP, XDP_TX_RING, &frames, sizeof frames) != 0)
    return -errno;
  struct xdp_mmap_offsets at;
  socklen_t size = sizeof at;
  if (getsockopt(xdp->socket, SOL_XDP, XDP_MMAP_OFFSETS, &at, &size) != 0) return -errno;
  int result = map_ring(&xdp->fill, xdp->socket, &at.fr, frames, sizeof(uint64_t), XDP_UMEM_PGOFF_FILL_RING);
  if (result == 0)
    result = map_ring(&xdp->completion, xdp->socket, &at.cr, frames, sizeof(uint64_t),
                      XDP_UMEM_PGOFF_COMPLETION_RING);
  if (result == 0)
    result =
        map_ring(&xdp->receive, xdp->socket, &at.rx, frames, sizeof(struct xdp_desc), XDP_PGOFF_RX_RING);
  if (result == 0)
    result =
        map_ring(&xdp->transmit, xdp->socket, &at.tx, frames, sizeof(struct xdp_desc), XDP_PGOFF_TX_RING);
  return result;
}

static int bind_to(struct sluice_xdp *xdp, int index, uint32_t queue, int may_be_zero_copy) {
  struct sockaddr_xdp address = {
      .sxdp_family = AF_XDP, .sxdp_ifindex = (uint32_t)index, .sxdp_queue_id = queue};
  if (may_be_zero_copy) {
    address.sxdp_flags = XDP_ZEROCOPY | XDP_USE_NEED_WAKEUP;
    if (bind(xdp->socket, (struct sockaddr *)&address, sizeof address) == 0) {
      xdp->zero_copy = 1;
      return 0;
    }
    if (errno != EOPNOTSUPP && errno != ENOTSUP && errno != EINVAL && errno != EBUSY) return -errno;
  }
  address.sxdp_flags = XDP_COPY | XDP_USE_NEED_WAKEUP;
  // The kernel lets go of a queue some time after the socket that had it was closed.
  for (int tries = 0;; tries++) {
    if (bind(xdp->socket, (struct sockaddr *)&address, sizeof address) == 0) return 0;
    if (errno != EBUSY || tries == 100) return -errno;
    poll(NULL, 0, 10);
  }
}

int sluice_xdp_open(struct sluice_xdp *xdp, int index, uint32_t queue, uint32_t frame_bytes, uint32_t frames,
                    int may_be_zero_copy) {
  memset(xdp, 0, sizeof *xdp);
  xdp->frame_bytes = frame_bytes;
  xdp->frame_count = frames;
  xdp->socket = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (xdp->socket < 0) return -errno;
  int result = set_up(xdp, frames);
  if (result == 0) result = bind_to(xdp, index, queue, may_be_zero_copy);
  if (result != 0) {
    sluice_xdp_close(xdp);
    return result;
  }
  // In copy mode what was sent counts as the socket's until the other side has taken it.
  int room = (int)(frames * 4096u);
  if (setsockopt(xdp->socket, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) != 0)
    setsockopt(xdp->socket, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  // Frames that the kernel takes for a call in copy mode; 32 where it cannot be told.
  uint32_t budget = 256;
  setsockopt(xdp->socket, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &budget, sizeof budget);
  // The first half of the frames is for what arrives: all of them are the kernel's from the beginning.
  uint64_t *fill = xdp->fill.entries;
  for (uint32_t i = 0; i < frames; i++) fill[i] = (uint64_t)i * frame_bytes;
  __atomic_store_n(xdp->fill.producer, frames, __ATOMIC_RELEASE);
  xdp->filled = frames;
  for (uint32_t i = 0; i < frames; i++) xdp->unused[i] = (uint64_t)(2 * frames - 1 - i) * frame_bytes;
  xdp->unused_count = frames;
  return 0;
}

void sluice_xdp_close(struct sluice_xdp *xdp) {
  struct sluice_xdp_ring *rings[] = {&xdp->fill, &xdp->completion, &xdp->receive, &xdp->transmit};
  for (int i = 0; i < 4; i++)
    if (rings[i]->memory != NULL) munmap(rings[i]->memory, rings[i]->bytes);
  if (xdp->socket >= 0) close(xdp->socket);
  if (xdp->frames != NULL) munmap(xdp->frames, (size_t)xdp->frame_count * 2 * xdp->frame_bytes);
  free(xdp->unused);
  memset(xdp, 0, sizeof *xdp);
  xdp->socket = -1;
}

// --- receiving. Pairs with the kernel's barriers as Documentation/networking/af_xdp.rst has it: what a producer has
// written is there once its index is seen, and what a consumer has read is over once its index is stored.

int sluice_xdp_peek(struct sluice_xdp *xdp, const uint8_t **bytes, uint32_t *count) {
  if (xdp->received == xdp->receivable) {
    xdp->receivable = __atomic_load_n(xdp->receive.producer, __ATOMIC_ACQUIRE);
    if (xdp->received == xdp->receivable) return 0;
  }
  const struct xdp_desc *found = (const struct xdp_desc *)xdp->receive.entries + (xdp->received & xdp->receive.mask);
  *bytes = xdp->frames + found->addr;
  *count = found->len;
  return 1;
}

void sluice_xdp_pop(struct sluice_xdp *xdp) {
  const struct xdp_desc *found = (const struct xdp_desc *)xdp->receive.entries + (xdp->received & xdp->receive.mask);
  // The frame begins where the chunk does; what lies before the bytes is the driver's.
  uint64_t *fill = xdp->fill.entries;
  fill[xdp->filled & xdp->fill.mask] = found->addr & ~(uint64_t)(xdp->frame_bytes - 1);
  xdp->filled++;
  xdp->received++;
}

int sluice_xdp_refill(struct sluice_xdp *xdp) {
  __atomic_store_n(xdp->receive.consumer, xdp->received, __ATOMIC_RELEASE);
  __atomic_store_n(xdp->fill.producer, xdp->filled, __ATOMIC_RELEASE);
  if (!(__atomic_load_n(xdp->fill.flags, __ATOMIC_RELAXED) & XDP_RING_NEED_WAKEUP)) return 0;
  recvfrom(xdp->socket, NULL, 0, MSG_DONTWAIT, NULL, NULL);
  return 1;
}

// --- sending. The second half of the frames goes round: as many as the ring has places, and completed in any order.

static void reap(struct sluice_xdp *xdp) {
  uint32_t done = __atomic_load_n(xdp->completion.producer, __ATOMIC_ACQUIRE);
  const uint64_t *completed = xdp->completion.entries;
  while (xdp->completed != done) {
    xdp->unused[xdp->unused_count++] = completed[xdp->completed & xdp->completion.mask];
    xdp->completed++;
  }
  __atomic_store_n(xdp->completion.consumer, xdp->completed, __ATOMIC_RELEASE);
}

int sluice_xdp_send(struct sluice_xdp *xdp, const struct iovec *pieces, int count) {
  if (xdp->unused_count == 0) {
    reap(xdp);
    if (xdp->unused_count == 0) return -EAGAIN;
  }
  size_t total = 0;
  for (int i = 0; i < count; i++) total += pieces[i].iov_len;
  if (total > xdp->frame_bytes) return -EMSGSIZE;
  uint64_t place = xdp->unused[--xdp->unused_count];
  uint8_t *target = xdp->frames + place;
  for (int i = 0; i < count; i++) {
    memcpy(target, pieces[i].iov_base, pieces[i].iov_len);
    target += pieces[i].iov_len;
  }
  struct xdp_desc *next = (struct xdp_desc *)xdp->transmit.entries + (xdp->sent & xdp->transmit.mask);
  *next = (struct xdp_desc){.addr = place, .len = (uint32_t)total};
  xdp->sent++;
  return 0;
}

uint32_t sluice_xdp_pending(const struct sluice_xdp *xdp) {
  return xdp->sent - __atomic_load_n(xdp->transmit.consumer, __ATOMIC_ACQUIRE);
}

int sluice_xdp_kick(struct sluice_xdp *xdp) {
  __atomic_store_n(xdp->transmit.producer, xdp->sent, __ATOMIC_RELEASE);
  int calls = 0;
  uint32_t left = sluice_xdp_pending(xdp);
  // In copy mode the kernel takes a few dozen frames for each call, in ours.
  while (left != 0 && (__atomic_load_n(xdp->transmit.flags, __ATOMIC_RELAXED) & XDP_RING_NEED_WAKEUP)) {
    sendto(xdp->socket, NULL, 0, MSG_DONTWAIT, NULL, 0);
    calls++;
    uint32_t now = sluice_xdp_pending(xdp);
    if (now >= left) break;
    left = now;
  }
  reap(xdp);
  return calls;
}

int sluice_xdp_has_room(struct sluice_xdp *xdp) {
  reap(xdp);
  return xdp->unused_count != 0;
}

int64_t sluice_xdp_drops(int socket) {
  struct xdp_statistics told;
  socklen_t size = sizeof told;
  if (getsockopt(socket, SOL_XDP, XDP_STATISTICS, &told, &size) != 0) return -errno;
  return (int64_t)(told.rx_dropped + told.rx_ring_full);
}

// --- the interface

int sluice_interface_index(const char *name) {
  unsigned index = if_nametoindex(name);
  return index == 0 ? -errno : (int)index;
}

int sluice_interface_receive_queues(const char *name) {
  // Not from /sys, which shows the namespace that it was mounted in.
  int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (control < 0) return -errno;
  struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
  struct ifreq request;
  memset(&request, 0, sizeof request);
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  request.ifr_data = (void *)&channels;
  int result = ioctl(control, SIOCETHTOOL, &request) == 0 ? (int)(channels.rx_count + channels.combined_count) : -errno;
  close(control);
  // A driver that cannot say has one.
  return result == -EOPNOTSUPP || result == 0 ? 1 : result;
}

int sluice_interface_listen_to_all(int index) {
  // Of no protocol: it gets nothing, and the interface is promiscuous as long as it is there.
  int packet = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (packet < 0) return -errno;
  struct packet_mreq promiscuous = {.mr_ifindex = index, .mr_type = PACKET_MR_PROMISC};
  if (setsockopt(packet, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous) == 0) return packet;
  int result = -errno;
  close(packet);
  return result;
}
