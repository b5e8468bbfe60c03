#include "CLinuxChecksum.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>

bool sluice_checksum_is_wide(void) { return __builtin_cpu_supports("avx2"); }

// Halves of 64-bit words go to 64-bit lanes, which cannot overflow before 2^32 rounds.
__attribute__((target("avx2"))) uint64_t sluice_checksum_wide(const void *start, size_t count) {
  const uint8_t *at = start;
  const __m256i mask = _mm256_set1_epi64x(0xffffffff);
  __m256i low_first = _mm256_setzero_si256(), high_first = low_first;
  __m256i low_second = low_first, high_second = low_first;
  for (; count >= 64; at += 64, count -= 64) {
    __m256i first = _mm256_loadu_si256((const __m256i *)at);
    __m256i second = _mm256_loadu_si256((const __m256i *)(at + 32));
    low_first = _mm256_add_epi64(low_first, _mm256_and_si256(first, mask));
    high_first = _mm256_add_epi64(high_first, _mm256_srli_epi64(first, 32));
    low_second = _mm256_add_epi64(low_second, _mm256_and_si256(second, mask));
    high_second = _mm256_add_epi64(high_second, _mm256_srli_epi64(second, 32));
  }
  uint64_t lanes[4];
  _mm256_storeu_si256((__m256i *)lanes, _mm256_add_epi64(_mm256_add_epi64(low_first, high_first),
                                                         _mm256_add_epi64(low_second, high_second)));
  uint64_t sum = lanes[0] + lanes[1] + lanes[2] + lanes[3];
  for (; count >= 4; at += 4, count -= 4) {
    uint32_t word;
    memcpy(&word, at, 4);
    sum += word;
  }
  if (count > 0) {
    // Zero bytes beyond the end add nothing, wherever they fall.
    uint32_t word = 0;
    memcpy(&word, at, count);
    sum += word;
  }
  return sum;
}

#else

bool sluice_checksum_is_wide(void) { return false; }
uint64_t sluice_checksum_wide(const void *start, size_t count) {
  (void)start;
  (void)count;
  return 0;
}

#endif
