#include "CLinuxChecksum.h"

#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>

// Of 64-bit words all is added up, modulo 2^64, and once more their higher halves alone, which cannot overflow before 2^32
// rounds. What the lower halves add up to, which cannot overflow either, is then the difference, modulo 2^64: nothing is
// masked, and a word takes two additions and a shift.
//
// Where it copies, what is loaded to be added is stored at once: one way over the bytes instead of two. Whether it does is
// known where it is inlined.
__attribute__((target("avx2"), always_inline)) static inline uint64_t sum(
    bool copies, uint8_t *to, const uint8_t *at, size_t count) {
  __m256i all = _mm256_setzero_si256(), high = all, all_too = all, high_too = all;
  for (; count >= 128; at += 128, count -= 128) {
    __m256i first = _mm256_loadu_si256((const __m256i *)at);
    __m256i second = _mm256_loadu_si256((const __m256i *)(at + 32));
    __m256i third = _mm256_loadu_si256((const __m256i *)(at + 64));
    __m256i fourth = _mm256_loadu_si256((const __m256i *)(at + 96));
    if (copies) {
      _mm256_storeu_si256((__m256i *)to, first);
      _mm256_storeu_si256((__m256i *)(to + 32), second);
      _mm256_storeu_si256((__m256i *)(to + 64), third);
      _mm256_storeu_si256((__m256i *)(to + 96), fourth);
      to += 128;
    }
    all = _mm256_add_epi64(_mm256_add_epi64(all, first), third);
    all_too = _mm256_add_epi64(_mm256_add_epi64(all_too, second), fourth);
    high = _mm256_add_epi64(_mm256_add_epi64(high, _mm256_srli_epi64(first, 32)), _mm256_srli_epi64(third, 32));
    high_too =
        _mm256_add_epi64(_mm256_add_epi64(high_too, _mm256_srli_epi64(second, 32)), _mm256_srli_epi64(fourth, 32));
  }
  for (; count >= 32; at += 32, count -= 32) {
    __m256i word = _mm256_loadu_si256((const __m256i *)at);
    if (copies) {
      _mm256_storeu_si256((__m256i *)to, word);
      to += 32;
    }
    all = _mm256_add_epi64(all, word);
    high = _mm256_add_epi64(high, _mm256_srli_epi64(word, 32));
  }
  all = _mm256_add_epi64(all, all_too);
  high = _mm256_add_epi64(high, high_too);
  __m256i low = _mm256_sub_epi64(all, _mm256_slli_epi64(high, 32));
  uint64_t lanes[4];
  _mm256_storeu_si256((__m256i *)lanes, _mm256_add_epi64(low, high));
  uint64_t total = lanes[0] + lanes[1] + lanes[2] + lanes[3];
  for (; count >= 4; at += 4, count -= 4) {
    uint32_t word;
    memcpy(&word, at, 4);
    if (copies) {
      memcpy(to, &word, 4);
      to += 4;
    }
    total += word;
  }
  if (count > 0) {
    // Zero bytes beyond the end add nothing, wherever they fall.
    uint32_t word = 0;
    memcpy(&word, at, count);
    if (copies) memcpy(to, at, count);
    total += word;
  }
  return total;
}

__attribute__((target("avx2"))) uint64_t sluice_checksum_wide(const void *start, size_t count) {
  return sum(false, NULL, start, count);
}

__attribute__((target("avx2"))) uint64_t sluice_checksum_copy_wide(void *target, const void *start, size_t count) {
  return sum(true, target, start, count);
}

#else

uint64_t sluice_checksum_copy_wide(void *target, const void *start, size_t count) {
  (void)target;
  (void)start;
  (void)count;
  return 0;
}

uint64_t sluice_checksum_wide(const void *start, size_t count) {
  (void)start;
  (void)count;
  return 0;
}

#endif
