// What a confined process can and cannot do, tried by one that is made for it: nobody gets out of a confinement again.
#define _GNU_SOURCE
#include "CLinuxConfinement.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { not_here = 77 };
#define expect(step, condition) \
  do {                          \
    if (!(condition)) return step; \
  } while (0)

// The thread sanitizer ends a process that makes threads after a fork.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WITHOUT_THREADS 1
#endif
#endif
#ifndef WITHOUT_THREADS
static void *thread(void *word) {
  *(int *)word = 1;
  return NULL;
}
#endif

/// A datagram to itself, by way of epoll, with a thread, memory and time: 0 or the step that failed.
static int work(void) {
  int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), tcp = socket(AF_INET6, SOCK_STREAM, 0);
  int local = socket(AF_UNIX, SOCK_STREAM, 0);
  expect(1, udp >= 0 && local >= 0 && (tcp >= 0 || errno == EAFNOSUPPORT));
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof name;
  expect(2, bind(udp, (struct sockaddr *)&name, size) == 0);
  expect(3, getsockname(udp, (struct sockaddr *)&name, &size) == 0);
  expect(4, connect(udp, (struct sockaddr *)&name, size) == 0 && send(udp, "x", 1, 0) == 1);
  int epoll = epoll_create1(EPOLL_CLOEXEC), event = eventfd(0, EFD_NONBLOCK);
  struct epoll_event wanted = {.events = EPOLLIN}, found;
  expect(5, epoll >= 0 && event >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, udp, &wanted) == 0);
  expect(6, epoll_wait(epoll, &found, 1, 5000) == 1);
  char byte;
  expect(7, recv(udp, &byte, 1, 0) == 1 && byte == 'x');
#ifndef WITHOUT_THREADS
  pthread_t other;
  int seen = 0;
  expect(8, pthread_create(&other, NULL, thread, &seen) == 0 && pthread_join(other, NULL) == 0 && seen == 1);
#endif
  // Small and large, given back and made again.
  for (size_t bytes = 16; bytes < 64 << 20; bytes *= 8) {
    char *memory = malloc(bytes);
    expect(9, memory != NULL);
    memory[bytes - 1] = 1;
    memory = realloc(memory, bytes * 2);
    expect(10, memory != NULL);
    free(memory);
  }
  void *slab = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  expect(11, slab != MAP_FAILED && madvise(slab, 1 << 20, MADV_DONTNEED) == 0 && munmap(slab, 1 << 20) == 0);
  uint64_t random;
  expect(12, getrandom(&random, sizeof random, 0) == sizeof random);
  struct timespec now, pause = {0, 1000000};
  expect(13, clock_gettime(CLOCK_MONOTONIC, &now) == 0 && nanosleep(&pause, NULL) == 0);
  struct rlimit limit;
  expect(14, getrlimit(RLIMIT_NOFILE, &limit) == 0 && setrlimit(RLIMIT_NOFILE, &limit) == 0);
  struct stat information;
  expect(15, fstat(udp, &information) == 0);
  cpu_set_t processors;
  expect(16, sched_getaffinity(0, sizeof processors, &processors) == 0 && sched_yield() == 0);
  expect(17, kill(getpid(), 0) == 0 && prctl(PR_SET_NAME, "confined") == 0);
  close(udp), close(tcp), close(local), close(epoll), close(event);
  return 0;
}

static int refused(void) {
  expect(1, syscall(SYS_openat, AT_FDCWD, "/file", O_WRONLY | O_CREAT, 0600) < 0 && errno == EPERM);
  expect(2, socket(AF_NETLINK, SOCK_RAW, 0) < 0 && errno == EPERM);
  expect(3, socket(AF_PACKET, SOCK_RAW, 0) < 0 && errno == EPERM);
  void *code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  expect(4, code == MAP_FAILED && errno == EPERM);
  void *data = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  expect(5, data != MAP_FAILED && mprotect(data, 4096, PROT_READ | PROT_EXEC) != 0 && errno == EPERM);
  expect(6, kill(getppid(), 0) != 0 && errno == EPERM);
  expect(7, syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) < 0 && errno == EPERM);
  expect(8, syscall(SYS_mkdirat, AT_FDCWD, "/x", 0700) < 0 && errno == EPERM);
  expect(9, prctl(PR_SET_DUMPABLE, 1) != 0 && errno == EPERM);
  struct rlimit limit;
  expect(10, syscall(SYS_prlimit64, getppid(), RLIMIT_NOFILE, NULL, &limit) != 0 && errno == EPERM);
  return 0;
}

static int files(void) {
  if (sluice_confine_files() != 0) return not_here;
  expect(1, open("/etc/passwd", O_RDONLY) < 0 && errno == ENOENT);
  expect(2, access("/etc", F_OK) != 0 && errno == ENOENT && access("/proc/1", F_OK) != 0);
  // Of /proc there are the process's own threads.
  char path[64];
  snprintf(path, sizeof path, "/proc/%ld/stat", syscall(SYS_gettid));
  expect(6, open(path, O_RDONLY) >= 0);
  snprintf(path, sizeof path, "/proc/%ld/comm", syscall(SYS_gettid));
  expect(7, open(path, O_WRONLY) < 0);
  expect(3, open("/file", O_WRONLY | O_CREAT, 0600) < 0 && (errno == EROFS || errno == EACCES));
  expect(4, mkdir("/folder", 0700) != 0);
  expect(5, chdir("..") == 0 && open("etc/passwd", O_RDONLY) < 0);
  return 0;
}

static int privileges(void) {
  int result = sluice_confine_privileges(0);
  if (result != 0) return result;
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2];
  expect(1, syscall(SYS_capget, &header, data) == 0);
  for (int word = 0; word < 2; word++)
    expect(2, data[word].permitted == 0 && data[word].effective == 0 && data[word].inheritable == 0);
  for (int capability = 0; capability <= 40; capability++)
    expect(3, prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, capability, 0, 0) <= 0);
  // Whoever may bound them has.
  if (geteuid() == 0) expect(4, prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) == 0);
  expect(5, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
  // They do not come back.
  data[0].permitted = data[0].effective = CAP_TO_MASK(CAP_NET_RAW);
  expect(6, syscall(SYS_capset, &header, data) != 0);
  return 0;
}

static int run(enum sluice_trial what) {
  if (what == sluice_trial_files) return files();
  if (what == sluice_trial_privileges) return privileges();
  (void)sluice_confine_files();
  expect(201, sluice_confine_privileges(0) == 0);
  int result = sluice_confine_calls(0);
  if (result == -ENOSYS || result == -EINVAL) return not_here;
  expect(202, result == 0);
  if (what == sluice_trial_work) return work();
  if (what == sluice_trial_refused) return refused();
  static char *none[] = {NULL};
  execve("/bin/true", none, none);
  return 203;
}

int sluice_confinement_trial(enum sluice_trial what) {
  pid_t child = fork();
  if (child < 0) return -errno;
  if (child == 0) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    _exit(run(what) & 0xff);
  }
  int status;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return -errno;
  return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}
