#define _GNU_SOURCE
#include "CLinuxReports.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/// The length of the name in `address`, or 0: it is too long.
static socklen_t make_name(struct sockaddr_un *address, const char *name, size_t length) {
  if (length + 1 > sizeof address->sun_path) return 0;
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  memcpy(address->sun_path + 1, name, length);
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
}

/// 0, or a negative errno.
static int peer(int made, uid_t *user) {
  struct ucred who;
  socklen_t length = sizeof who;
  if (getsockopt(made, SOL_SOCKET, SO_PEERCRED, &who, &length) != 0) return -errno;
  *user = who.uid;
  return 0;
}

static int failed(int descriptor, int error) {
  close(descriptor);
  return error;
}

int sluice_reports_listen(const char *name, size_t length) {
  struct sockaddr_un address;
  socklen_t size = make_name(&address, name, length);
  if (size == 0) return -ENAMETOOLONG;
  int made = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (made < 0) return -errno;
  if (bind(made, (struct sockaddr *)&address, size) != 0 || listen(made, 16) != 0) return failed(made, -errno);
  return made;
}

int sluice_reports_accept(int listener, uid_t *user) {
  int made = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (made < 0) return -errno;
  int error = peer(made, user);
  return error == 0 ? made : failed(made, error);
}

int sluice_reports_connect(const char *name, size_t length, int seconds, uid_t *user) {
  struct sockaddr_un address;
  socklen_t size = make_name(&address, name, length);
  if (size == 0) return -ENAMETOOLONG;
  int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (made < 0) return -errno;
  struct timeval patience = {.tv_sec = seconds};
  (void)setsockopt(made, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  (void)setsockopt(made, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (connect(made, (struct sockaddr *)&address, size) != 0) return failed(made, -errno);
  int error = peer(made, user);
  return error == 0 ? made : failed(made, error);
}

void sluice_reports_end(int listener) { (void)shutdown(listener, SHUT_RDWR); }
