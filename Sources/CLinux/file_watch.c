// A file that a confined process has to know of as it changes: another process, made before, reads it and tells.
#define _GNU_SOURCE
#include "CLinuxConfinement.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct content {
  size_t length;
  char bytes[SLUICE_WATCHED_BYTES];
};

static void read_file(const char *path, struct content *content) {
  content->length = 0;
  int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return;
  while (content->length < sizeof content->bytes) {
    ssize_t count = read(file, content->bytes + content->length, sizeof content->bytes - content->length);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    content->length += (size_t)count;
  }
  close(file);
}

/// Watches the folder of a path, where it is replaced, and that of what a link there leads to.
static void watch_folders(int notes, const char *path) {
  char place[PATH_MAX], real[PATH_MAX];
  strncpy(place, path, sizeof place - 1);
  place[sizeof place - 1] = 0;
  for (int round = 0; round < 2; round++) {
    char *slash = strrchr(place, '/');
    if (slash == NULL) return;
    slash[slash == place] = 0;
    // The same folder again is the same watch.
    (void)inotify_add_watch(notes, place, IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB);
    if (realpath(path, real) == NULL) return;
    memcpy(place, real, sizeof place);
  }
}

/// Until nobody listens any more.
static void tell(int out, int notes, const char *path) {
  static struct content known, now;
  for (;;) {
    watch_folders(notes, path);
    read_file(path, &now);
    // An empty one is being written, and comes again.
    if (now.length > 0 && (now.length != known.length || memcmp(now.bytes, known.bytes, now.length) != 0)) {
      if (send(out, now.bytes, now.length, MSG_NOSIGNAL) < 0 && errno != EINTR) return;
      known = now;
    }
    struct pollfd heard[2] = {{.fd = out}, {.fd = notes, .events = POLLIN}};
    if (poll(heard, 2, -1) < 0 && errno != EINTR) return;
    if (heard[0].revents != 0) return;
    char events[4096];
    while (read(notes, events, sizeof events) > 0) continue;
  }
}

/// All descriptors but one.
static void close_others(int kept) {
  for (int standard = 0; standard < 3; standard++) close(standard);
  int is_done = syscall(SYS_close_range, kept + 1, ~0u, 0) == 0;
  if (kept > 3) is_done &= syscall(SYS_close_range, 3, kept - 1, 0) == 0;
  // Before Linux 5.9, and where a sandbox around us does not know the call.
  for (int other = 3; !is_done && other < 1 << 16; other++)
    if (other != kept) close(other);
}

int sluice_file_watch(const char *path, int32_t *process) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return -errno;
  pid_t child = fork();
  if (child < 0) {
    int error = -errno;
    close(pair[0]), close(pair[1]);
    return error;
  }
  if (child == 0) {
    // Nothing of ours but the socket, and nobody's signals: it goes when the other end does. Not by PR_SET_PDEATHSIG, which would be
    // when the thread ends that made it.
    int out = fcntl(pair[1], F_DUPFD_CLOEXEC, 3);
    if (out < 0) _exit(1);
    close_others(out);
    prctl(PR_SET_NAME, "sluice-resolver", 0, 0, 0);
    signal(SIGINT, SIG_IGN), signal(SIGQUIT, SIG_IGN), signal(SIGHUP, SIG_IGN), signal(SIGTERM, SIG_IGN);
    signal(SIGUSR1, SIG_IGN), signal(SIGTSTP, SIG_IGN);
    (void)sluice_confine_privileges(0);
    int notes = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (notes >= 0) tell(out, notes, path);
    _exit(0);
  }
  close(pair[1]);
  *process = child;
  return pair[0];
}

ssize_t sluice_file_watch_next(int watch, void *bytes, size_t capacity) {
  ssize_t count;
  do count = recv(watch, bytes, capacity, MSG_DONTWAIT);
  while (count < 0 && errno == EINTR);
  return count < 0 ? -errno : count;
}

void sluice_file_watch_end(int watch, int32_t process) {
  // It hears of that, and ends.
  close(watch);
  while (waitpid(process, NULL, 0) < 0 && errno == EINTR) continue;
}
