// The Internet checksum's inner loop, for processors with AVX2.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Whether `sluice_checksum_wide` may be called here.
static inline bool sluice_checksum_is_wide(void) {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2");
#else
  return false;
#endif
}

/// Ones'-complement sum of `count` bytes as 16-bit words in the machine's byte order, not folded, an odd last
/// byte followed by zero. Any alignment.
uint64_t sluice_checksum_wide(const void *start, size_t count);

/// The same, and the bytes are copied to `target`, which does not overlap them.
uint64_t sluice_checksum_copy_wide(void *target, const void *start, size_t count);
