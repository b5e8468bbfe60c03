// Memory that is shared with a virtual machine, descriptors that come with messages, and single accesses to rings. Negative
// results are errno values.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// Bytes of a stream, and the descriptors that came with them, close-on-exec, added behind the `*found` that there are of
/// `capacity`. 0: the end; -EAGAIN; -E2BIG: there were more descriptors than there is room for.
ssize_t sluice_descriptors_receive(int socket, void *bytes, size_t count, int *descriptors, int capacity, int *found);
/// Whether a descriptor is of the kind that an eventfd is, neither file nor pipe nor socket; then it never blocks from now on.
int sluice_is_event(int descriptor);
/// Makes an eventfd readable. A full one is.
void sluice_event_write(int descriptor);

/// A range of a file, mapped for reading and writing.
struct sluice_shared_memory {
  uint8_t *bytes;       // where the range begins
  void *mapping;        // what is mapped, in whole pages
  size_t mapping_bytes;
  int guard;
};
/// Maps `size` bytes from `offset`. -EBADF: it is no memory file (memfd, tmpfs or hugetlbfs); -EFBIG: the file is shorter; what
/// mmap(2) says. From now on a shorter file is no danger: a page that is missing is replaced by zeros, with the whole range.
int sluice_shared_memory_map(int file, uint64_t offset, uint64_t size, struct sluice_shared_memory *memory);
void sluice_shared_memory_unmap(struct sluice_shared_memory *memory);
/// Whether a page was missing: the file was made shorter after it was mapped.
int sluice_shared_memory_is_lost(const struct sluice_shared_memory *memory);
/// A memory file of so many bytes, which may be sealed: what a front-end passes, for tests.
int sluice_shared_memory_file(uint64_t bytes);
/// Seals it against writing, which cannot be while anybody has it mapped for that. 0 or a negative errno.
int sluice_shared_memory_seal(int file);

// --- Single accesses. The other side writes at any time: each field is read once, by one of these, and what was read is what
// counts. Acquire and release are those of virtio 1.2 section 2.7.13: what was put before an index is there once it is seen.

static inline uint16_t sluice_ring_load(const void *at) {
  return __atomic_load_n((const uint16_t *)at, __ATOMIC_RELAXED);
}
static inline uint16_t sluice_ring_acquire(const void *at) {
  return __atomic_load_n((const uint16_t *)at, __ATOMIC_ACQUIRE);
}
static inline void sluice_ring_store(void *at, uint16_t value) {
  __atomic_store_n((uint16_t *)at, value, __ATOMIC_RELAXED);
}
static inline void sluice_ring_release(void *at, uint16_t value) {
  __atomic_store_n((uint16_t *)at, value, __ATOMIC_RELEASE);
}
static inline uint64_t sluice_ring_load_word(const void *at) {
  return __atomic_load_n((const uint64_t *)at, __ATOMIC_RELAXED);
}
/// An element of the used ring: two words of four bytes, at a multiple of four.
static inline void sluice_ring_store_used(void *at, uint32_t chain, uint32_t bytes) {
  __atomic_store_n((uint32_t *)at, chain, __ATOMIC_RELAXED);
  __atomic_store_n((uint32_t *)at + 1, bytes, __ATOMIC_RELAXED);
}
