#define _GNU_SOURCE
#include "CLinuxVhost.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// --- descriptors

ssize_t sluice_descriptors_receive(int socket, void *bytes, size_t count, int *descriptors, int capacity, int *found) {
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(16 * sizeof(int))];
  int room = capacity - *found;
  if (room > 16) room = 16;
  struct iovec piece = {.iov_base = bytes, .iov_len = count};
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
  if (room > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_LEN((size_t)room * sizeof(int));
  }
  ssize_t got;
  do got = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  while (got < 0 && errno == EINTR);
  if (got < 0) return -errno;
  for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part != NULL; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    size_t number = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < number; i++) {
      int descriptor;
      memcpy(&descriptor, CMSG_DATA(part) + i * sizeof descriptor, sizeof descriptor);
      if (*found < capacity) descriptors[(*found)++] = descriptor;
      else close(descriptor);
    }
  }
  return message.msg_flags & MSG_CTRUNC ? -E2BIG : got;
}

int sluice_is_event(int descriptor) {
  struct stat what;
  // An anonymous inode has no type.
  if (fstat(descriptor, &what) != 0 || (what.st_mode & S_IFMT) != 0) return 0;
  int flags = fcntl(descriptor, F_GETFL);
  return flags >= 0 && fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) == 0;
}

void sluice_event_write(int descriptor) {
  uint64_t one = 1;
  ssize_t written;
  do written = write(descriptor, &one, sizeof one);
  while (written < 0 && errno == EINTR);
}

// --- Ranges that somebody else may make shorter. An access behind the end of a file raises SIGBUS: the whole range is
// replaced by zeros then, in the handler, and the access goes on. Who uses the range sees that it is lost, and lets go of it.

enum { guard_limit = 1024 };
static struct guard {
  _Atomic(uintptr_t) start, end;  // 0: free
  atomic_int lost;
} guards[guard_limit];
static struct sigaction before;
static pthread_once_t installed = PTHREAD_ONCE_INIT;

static void page_is_missing(int number, siginfo_t *information, void *context) {
  int saved = errno;
  uintptr_t at = (uintptr_t)information->si_addr;
  for (int i = 0; i < guard_limit; i++) {
    uintptr_t start = atomic_load(&guards[i].start), end = atomic_load(&guards[i].end);
    if (start == 0 || at < start || at >= end) continue;
    atomic_store(&guards[i].lost, 1);
    long made = syscall(SYS_mmap, start, end - start, PROT_READ | PROT_WRITE,
                        MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    errno = saved;
    if (made == (long)start) return;
  }
  // Not ours: as it was before.
  if (before.sa_flags & SA_SIGINFO) return before.sa_sigaction(number, information, context);
  if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) return before.sa_handler(number);
  signal(number, SIG_DFL);  // and the access is repeated
}

static void install(void) {
  struct sigaction action = {.sa_sigaction = page_is_missing, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, &before);
}

static int guard(uintptr_t start, size_t bytes) {
  pthread_once(&installed, install);
  for (int i = 0; i < guard_limit; i++) {
    uintptr_t none = 0;
    // The end first of all: a range is whole once it has a start.
    if (atomic_load(&guards[i].end) != 0 || !atomic_compare_exchange_strong(&guards[i].end, &none, start + bytes)) continue;
    atomic_store(&guards[i].lost, 0);
    atomic_store(&guards[i].start, start);
    return i;
  }
  return -ENOSPC;
}

int sluice_shared_memory_map(int file, uint64_t offset, uint64_t size, struct sluice_shared_memory *memory) {
  struct stat what;
  // Seals are there where a file is memory, and nowhere else: no file whose pages somebody could keep us waiting for.
  if (fcntl(file, F_GET_SEALS) < 0 || fstat(file, &what) != 0) return -EBADF;
  uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), end;
  // Of huge pages there are whole ones only.
  if (what.st_blksize > 0 && (uint64_t)what.st_blksize > page && (what.st_blksize & (what.st_blksize - 1)) == 0)
    page = (uint64_t)what.st_blksize;
  if (size == 0 || __builtin_add_overflow(offset, size, &end) || end > INT64_MAX - page) return -EINVAL;
  if ((uint64_t)what.st_size < end) return -EFBIG;
  uint64_t first = offset & ~(page - 1), last = (end + page - 1) & ~(page - 1);
  size_t bytes = (size_t)(last - first);
  void *mapping = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, (off_t)first);
  if (mapping == MAP_FAILED) return -errno;
  int slot = guard((uintptr_t)mapping, bytes);
  if (slot < 0) {
    munmap(mapping, bytes);
    return slot;
  }
  *memory = (struct sluice_shared_memory){
      .bytes = (uint8_t *)mapping + (offset - first), .mapping = mapping, .mapping_bytes = bytes, .guard = slot};
  return 0;
}

void sluice_shared_memory_unmap(struct sluice_shared_memory *memory) {
  atomic_store(&guards[memory->guard].start, 0);
  munmap(memory->mapping, memory->mapping_bytes);
  atomic_store(&guards[memory->guard].end, 0);
}

int sluice_shared_memory_file(uint64_t bytes) {
  int file = memfd_create("memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (file < 0) return -errno;
  if (ftruncate(file, (off_t)bytes) == 0) return file;
  int result = -errno;
  close(file);
  return result;
}

int sluice_shared_memory_seal(int file) { return fcntl(file, F_ADD_SEALS, F_SEAL_WRITE) == 0 ? 0 : -errno; }

int sluice_shared_memory_is_lost(const struct sluice_shared_memory *memory) {
  return atomic_load_explicit(&guards[memory->guard].lost, memory_order_relaxed);
}
