#define _GNU_SOURCE
#include "CLinuxDevices.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

enum { block_bytes = 1 << 16 };

int sluice_packet_ring_open(struct sluice_packet_ring *ring, int socket, uint32_t longest, uint32_t frames) {
  int version = TPACKET_V2;
  if (setsockopt(socket, SOL_PACKET, PACKET_VERSION, &version, sizeof version) != 0) return -errno;
  // In front of a frame lie its header, the sender's address, and room to align the network header.
  uint32_t needed = longest + TPACKET_ALIGN(TPACKET2_HDRLEN) + 32, frame_bytes = 2048;
  while (frame_bytes < needed) frame_bytes *= 2;
  if (frame_bytes > block_bytes) return -EMSGSIZE;
  // Less is better than nothing where memory is short.
  for (; frames >= 64; frames /= 2) {
    struct tpacket_req request = {
        .tp_block_size = block_bytes,
        .tp_block_nr = frames / (block_bytes / frame_bytes),
        .tp_frame_size = frame_bytes,
        .tp_frame_nr = frames,
    };
    if (request.tp_block_nr == 0) break;
    if (setsockopt(socket, SOL_PACKET, PACKET_RX_RING, &request, sizeof request) == 0) {
      void *memory =
          mmap(NULL, (size_t)frames * frame_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, socket, 0);
      if (memory == MAP_FAILED) return -errno;
      *ring = (struct sluice_packet_ring){memory, frame_bytes, frames, 0, 0};
      return 0;
    }
    if (errno != ENOMEM) return -errno;
  }
  return -ENOMEM;
}

void sluice_packet_ring_close(struct sluice_packet_ring *ring) {
  if (ring->frames != NULL) munmap(ring->frames, (size_t)ring->frame_bytes * ring->frame_count);
  ring->frames = NULL;
}

static struct tpacket2_hdr *header_at(const struct sluice_packet_ring *ring) {
  return (struct tpacket2_hdr *)(void *)(ring->frames + (size_t)ring->next * ring->frame_bytes);
}

int sluice_packet_ring_peek(const struct sluice_packet_ring *ring, struct sluice_packet_frame *frame) {
  struct tpacket2_hdr *header = header_at(ring);
  // The kernel fills the frame, then sets the bit: pairs with its write barrier (Documentation/networking/packet_mmap).
  uint32_t status = __atomic_load_n(&header->tp_status, __ATOMIC_ACQUIRE);
  if (!(status & TP_STATUS_USER)) return 0;
  *frame = (struct sluice_packet_frame){
      .bytes = (const uint8_t *)header + header->tp_mac,
      .count = header->tp_snaplen,
      .original_count = header->tp_len,
      .vlan_protocol = 0,
      .is_losing = (status & TP_STATUS_LOSING) != 0,
      .lacks_checksum = (status & TP_STATUS_CSUMNOTREADY) != 0,
  };
  if (status & TP_STATUS_VLAN_VALID) {
    frame->vlan_tag = header->tp_vlan_tci;
    frame->vlan_protocol = status & TP_STATUS_VLAN_TPID_VALID ? header->tp_vlan_tpid : 0x8100;
  }
  return 1;
}

void sluice_packet_ring_pop(struct sluice_packet_ring *ring) {
  // What we read must be read before the kernel may write there again.
  __atomic_store_n(&header_at(ring)->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
  ring->next = ring->next + 1 == ring->frame_count ? 0 : ring->next + 1;
}

int64_t sluice_packet_drops(int socket) {
  struct tpacket_stats statistics;
  socklen_t size = sizeof statistics;
  if (getsockopt(socket, SOL_PACKET, PACKET_STATISTICS, &statistics, &size) != 0) return -errno;
  return statistics.tp_drops;
}

int sluice_packet_join_fanout(int socket, int group) {
  int first = group < 0;
  int fanout = (first ? 0 : group) | (PACKET_FANOUT_HASH | (first ? PACKET_FANOUT_FLAG_UNIQUEID : 0)) << 16;
  socklen_t size = sizeof fanout;
  if (setsockopt(socket, SOL_PACKET, PACKET_FANOUT, &fanout, size) != 0) return -errno;
  if (getsockopt(socket, SOL_PACKET, PACKET_FANOUT, &fanout, &size) != 0) return -errno;
  return fanout & 0xffff;
}
