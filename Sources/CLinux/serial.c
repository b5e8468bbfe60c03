#define _GNU_SOURCE
#include "CLinuxDevices.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int sluice_pty_open(int *far, char *path, int capacity) {
  const int flags = O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC;
  int near = posix_openpt(flags);
  if (near < 0) return -errno;
  int failure = 0;
  if (grantpt(near) != 0 || unlockpt(near) != 0) failure = errno;
  if (failure == 0) failure = ptsname_r(near, path, (size_t)capacity);
  if (failure == 0 && (*far = open(path, flags)) < 0) failure = errno;
  if (failure == 0) return near;
  close(near);
  return -failure;
}
