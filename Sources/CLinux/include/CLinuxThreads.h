// Futexes, event descriptors, threads, thread-local words, memory for slabs.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// The context that the calling thread runs, or NULL.
void *sluice_current_context(void);
void sluice_set_current_context(void *context);
/// The kind of root the calling thread is inside (debug builds), and the lock levels it holds (`LockDep`).
uint32_t sluice_current_root(void);
void sluice_set_current_root(uint32_t root);
uint64_t sluice_held_levels(void);
void sluice_set_held_levels(uint64_t levels);

/// Sleeps while `*word == expected`, until woken or until CLOCK_MONOTONIC reaches `deadline` (nanoseconds;
/// UINT64_MAX: for ever). 0, or a positive errno (ETIMEDOUT, EINTR, EAGAIN).
int sluice_futex_wait(const uint32_t *word, uint32_t expected, uint64_t deadline);
/// Wakes up to `count` sleepers.
void sluice_futex_wake(const uint32_t *word, int count);

/// A non-blocking close-on-exec eventfd, or a negative errno.
int sluice_eventfd(void);
/// CLOCK_MONOTONIC in nanoseconds.
uint64_t sluice_monotonic_nanoseconds(void);
/// CLOCK_THREAD_CPUTIME_ID in nanoseconds.
uint64_t sluice_thread_nanoseconds(void);

/// Starts a thread named `name` (15 bytes count), bound to `processor` if that is not negative. 0 or an errno;
/// a refused binding is not an error, because containers restrict it.
int sluice_thread_start(uint64_t *thread, const char *name, int processor, void (*body)(void *), void *context);
void sluice_thread_join(uint64_t thread);
/// Another number for each living thread.
uint64_t sluice_thread_number(void);
/// Gives the processor to another thread.
void sluice_thread_yield(void);

/// What a thread knows about how long it waits; zero at its start.
struct sluice_spin {
  /// Nanoseconds that it spins now before it sleeps.
  uint64_t window;
  /// When it began to wait, or 0: not noted.
  uint64_t began;
  /// Until when it does not spin, because somebody else wanted its processor, and how long the last such time was.
  uint64_t held_until, hold;
};
/// The calling thread's.
struct sluice_spin *sluice_spin_state(void);
/// Processors that the calling thread may run on, at least 1.
int sluice_processor_count(void);

/// Keeps this process, its present threads and those to come, on one of its processors. 0 or an errno.
int sluice_pin_process(void);

/// Tells the processor that the thread spins.
static inline void sluice_spin_hint(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/// Zeroed pages that a forked child finds zeroed again (MADV_WIPEONFORK); NULL when there is no memory.
void *sluice_map_slab(size_t bytes);
/// Gives back to the system what the heap of C has free.
void sluice_trim_heap(void);
/// Takes the pages away from a range of one: it is zero when it is touched again.
void sluice_empty_slab(void *slab, size_t bytes);
void sluice_unmap_slab(void *slab, size_t bytes);

/// Whether this process was forked from the one that loaded the library: 1 or 0. A load, no system call.
int sluice_is_forked_child(void);
