#define _GNU_SOURCE
#include "CLinuxDevices.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/// sysfs as the caller's network namespace has it. What is mounted at /sys may be another one's, with interfaces of the
/// same names; this one is nowhere in the tree, and is gone with its last descriptor.
static int own_sysfs(void) {
  int context = (int)syscall(SYS_fsopen, "sysfs", FSOPEN_CLOEXEC);
  if (context < 0) return -errno;
  int root = -1;
  if (syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
    root = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC,
                        MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  int result = root < 0 ? -errno : root;
  close(context);
  return result;
}

int sluice_interface_setting_open(const char *name, const char *setting) {
  char path[128];
  int count = snprintf(path, sizeof path, "class/net/%s/%s", name, setting);
  if (count < 0 || (size_t)count >= sizeof path) return -ENAMETOOLONG;
  int root = own_sysfs();
  if (root < 0) return root;
  int file = openat(root, path, O_RDWR | O_CLOEXEC);
  int result = file < 0 ? -errno : file;
  close(root);
  return result;
}

long sluice_interface_setting_get(int setting) {
  char text[32];
  ssize_t count = pread(setting, text, sizeof text - 1, 0);
  if (count < 0) return -errno;
  text[count] = 0;
  return strtol(text, NULL, 10);
}

int sluice_interface_setting_put(int setting, long value) {
  char text[32];
  int count = snprintf(text, sizeof text, "%ld\n", value);
  return pwrite(setting, text, (size_t)count, 0) < 0 ? -errno : 0;
}
