// Unix stream sockets by which this process is told what to do, for its own user alone.
#define _GNU_SOURCE
#include "CLinuxSockets.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int make_name(struct sockaddr_un *name, const char *path) {
  size_t length = strlen(path);
  memset(name, 0, sizeof *name);
  if (length >= sizeof name->sun_path) return -ENAMETOOLONG;
  if (length == 0) return -ENOENT;
  name->sun_family = AF_UNIX;
  memcpy(name->sun_path, path, length);
  return 0;
}

static int connect_to(const char *path, int type) {
  struct sockaddr_un name;
  int result = make_name(&name, path);
  if (result != 0) return result;
  int made = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
  if (made < 0) return -errno;
  if (connect(made, (struct sockaddr *)&name, sizeof name) == 0) return made;
  result = -errno;
  close(made);
  return result;
}

int sluice_control_connect(const char *path) { return connect_to(path, SOCK_STREAM); }

/// What a process left there that is no more. 0 or a negative errno.
static int clear(const char *path, int type) {
  struct stat information;
  if (lstat(path, &information) != 0) return errno == ENOENT ? 0 : -errno;
  if (!S_ISSOCK(information.st_mode)) return -EEXIST;
  int other = connect_to(path, type);
  if (other >= 0) {
    close(other);
    return -EADDRINUSE;
  }
  if (other != -ECONNREFUSED) return other;
  return unlink(path) == 0 || errno == ENOENT ? 0 : -errno;
}

static int bind_at(const char *path, int type) {
  struct sockaddr_un name;
  int result = make_name(&name, path);
  if (result == 0) result = clear(path, type);
  if (result != 0) return result;
  int made = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (made < 0) return -errno;
  // The socket's own mode is that of the file which bind makes: nobody else may connect, at no time.
  if (fchmod(made, 0600) == 0 && bind(made, (struct sockaddr *)&name, sizeof name) == 0) {
    if (type == SOCK_DGRAM || listen(made, 64) == 0) return made;
    result = -errno;
    unlink(path);
  } else {
    result = -errno;
  }
  close(made);
  return result;
}

int sluice_folder_open(const char *path) {
  char folder[sizeof((struct sockaddr_un *)NULL)->sun_path];
  const char *slash = strrchr(path, '/');
  size_t length = slash == NULL ? 0 : (size_t)(slash - path);
  if (length >= sizeof folder) return -ENAMETOOLONG;
  memcpy(folder, path, length);
  folder[length] = 0;
  int made = open(slash == NULL ? "." : length == 0 ? "/" : folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
  return made < 0 ? -errno : made;
}

void sluice_folder_unlink(int folder, const char *path) {
  const char *slash = strrchr(path, '/');
  unlinkat(folder, slash == NULL ? path : slash + 1, 0);
}

int sluice_control_listen(const char *path) { return bind_at(path, SOCK_STREAM); }
int sluice_datagrams_bind(const char *path) { return bind_at(path, SOCK_DGRAM); }

ssize_t sluice_datagrams_receive(int socket, void *bytes, size_t capacity, uint8_t *path, int *length) {
  struct sockaddr_un name;
  socklen_t size = sizeof name;
  ssize_t count;
  do count = recvfrom(socket, bytes, capacity, 0, (struct sockaddr *)&name, &size);
  while (count < 0 && errno == EINTR);
  *length = 0;
  if (count < 0) return -errno;
  if (size > sizeof name) size = sizeof name;
  if (size > offsetof(struct sockaddr_un, sun_path)) {
    *length = (int)(size - offsetof(struct sockaddr_un, sun_path));
    memcpy(path, name.sun_path, (size_t)*length);
  }
  return count;
}

ssize_t sluice_datagrams_send(int socket, const void *bytes, size_t count, const uint8_t *path, int length) {
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  if (length < 0 || (size_t)length > sizeof name.sun_path) return -EINVAL;
  memcpy(name.sun_path, path, (size_t)length);
  socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length);
  ssize_t sent;
  do sent = sendto(socket, bytes, count, MSG_NOSIGNAL, (struct sockaddr *)&name, size);
  while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

int sluice_frames_pair(int *pair) {
  // A packet each: a frame is whole or not there, and room is that of the one who reads.
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) return -errno;
  int room = 1 << 20;
  for (int i = 0; i < 2; i++) (void)setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  return 0;
}

int sluice_control_accept(int listener) {
  int made = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  return made < 0 ? -errno : made;
}
