#define _GNU_SOURCE
#include "CLinuxThreads.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static __thread void *current_context;
static __thread uint32_t current_root;
static __thread uint64_t held_levels;
static __thread struct sluice_spin spin_state;

void *sluice_current_context(void) { return current_context; }
void sluice_set_current_context(void *context) { current_context = context; }
uint32_t sluice_current_root(void) { return current_root; }
void sluice_set_current_root(uint32_t root) { current_root = root; }
uint64_t sluice_held_levels(void) { return held_levels; }
void sluice_set_held_levels(uint64_t levels) { held_levels = levels; }

int sluice_futex_wait(const uint32_t *word, uint32_t expected, uint64_t deadline) {
  struct timespec until = {(time_t)(deadline / 1000000000u), (long)(deadline % 1000000000u)};
  // FUTEX_WAIT_BITSET takes an absolute time; plain FUTEX_WAIT would take a relative one.
  long result = syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected,
                        deadline == UINT64_MAX ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY);
  return result == 0 ? 0 : errno;
}

void sluice_futex_wake(const uint32_t *word, int count) {
  syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, NULL, NULL, 0);
}

int sluice_eventfd(void) {
  int descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  return descriptor < 0 ? -errno : descriptor;
}

uint64_t sluice_monotonic_nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t sluice_thread_nanoseconds(void) {
  struct timespec used;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

struct start {
  void (*body)(void *);
  void *context;
};

static void *begin(void *argument) {
  struct start start = *(struct start *)argument;
  free(argument);
  start.body(start.context);
  return NULL;
}

int sluice_thread_start(uint64_t *thread, const char *name, int processor, void (*body)(void *), void *context) {
  struct start *start = malloc(sizeof *start);
  if (start == NULL) return ENOMEM;
  *start = (struct start){body, context};
  pthread_t created;
  int failure = pthread_create(&created, NULL, begin, start);
  if (failure != 0) {
    free(start);
    return failure;
  }
  char shortened[16] = {0};
  strncpy(shortened, name, sizeof shortened - 1);
  pthread_setname_np(created, shortened);
  if (processor >= 0 && processor < CPU_SETSIZE) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    pthread_setaffinity_np(created, sizeof set, &set);
  }
  *thread = (uint64_t)created;
  return 0;
}

void sluice_thread_join(uint64_t thread) { pthread_join((pthread_t)thread, NULL); }
uint64_t sluice_thread_number(void) { return (uint64_t)(uintptr_t)&current_root >> 6; }
void sluice_thread_yield(void) { sched_yield(); }

struct sluice_spin *sluice_spin_state(void) { return &spin_state; }

int sluice_processor_count(void) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 1;
  int count = CPU_COUNT(&allowed);
  return count < 1 ? 1 : count;
}

int sluice_pin_process(void) {
  cpu_set_t allowed, one;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return errno;
  int processor = 0;
  while (processor < CPU_SETSIZE - 1 && !CPU_ISSET(processor, &allowed)) processor++;
  CPU_ZERO(&one);
  CPU_SET(processor, &one);
  // By thread: a process has no set of its own.
  DIR *threads = opendir("/proc/self/task");
  if (threads == NULL) return errno;
  int failure = 0;
  for (struct dirent *entry; (entry = readdir(threads)) != NULL;) {
    pid_t thread = (pid_t)atoi(entry->d_name);
    if (thread > 0 && sched_setaffinity(thread, sizeof one, &one) != 0 && errno != ESRCH) failure = errno;
  }
  closedir(threads);
  return failure;
}

void *sluice_map_slab(size_t bytes) {
  void *slab = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (slab == MAP_FAILED) return NULL;
  madvise(slab, bytes, MADV_WIPEONFORK);
  return slab;
}
void sluice_empty_slab(void *slab, size_t bytes) { madvise(slab, bytes, MADV_DONTNEED); }
void sluice_trim_heap(void) { (void)malloc_trim(0); }
void sluice_unmap_slab(void *slab, size_t bytes) { munmap(slab, bytes); }

// A page that the kernel wipes in a child: what was 1 here is 0 there. Without it the process id tells.
static const volatile uint64_t *process_mark;
static pid_t marked_process;

__attribute__((constructor)) static void mark_process(void) {
  const size_t bytes = 4096;
  marked_process = getpid();
  uint64_t *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return;
  if (madvise(page, bytes, MADV_WIPEONFORK) != 0) {
    munmap(page, bytes);
    return;
  }
  *page = 1;
  process_mark = page;
}

int sluice_is_forked_child(void) {
  return process_mark != NULL ? *process_mark == 0 : getpid() != marked_process;
}
