// Futexes, event descriptors, the current context of a thread.
#pragma once
#include <stdint.h>

/// The context that the calling thread runs, or NULL.
void *sluice_current_context(void);
void sluice_set_current_context(void *context);

/// Sleeps while `*word == expected`, until woken or until CLOCK_MONOTONIC reaches `deadline` (nanoseconds;
/// UINT64_MAX: for ever). 0, or a positive errno (ETIMEDOUT, EINTR, EAGAIN).
int sluice_futex_wait(const uint32_t *word, uint32_t expected, uint64_t deadline);
/// Wakes up to `count` sleepers.
void sluice_futex_wake(const uint32_t *word, int count);

/// A non-blocking close-on-exec eventfd, or a negative errno.
int sluice_eventfd(void);
/// CLOCK_MONOTONIC in nanoseconds.
uint64_t sluice_monotonic_nanoseconds(void);
