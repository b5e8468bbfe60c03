// Privileges and files of a process that has all it needs.
#define _GNU_SOURCE
#include "CLinuxConfinement.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int capabilities_get(struct __user_cap_data_struct data[2]) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  return syscall(SYS_capget, &header, data) == 0 ? 0 : -errno;
}

static int write_text(const char *path, const char *text) {
  int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return -errno;
  size_t length = strlen(text);
  ssize_t count = write(file, text, length);
  int result = count == (ssize_t)length ? 0 : count < 0 ? -errno : -EIO;
  close(file);
  return result;
}

/// A user namespace in which we are who we were, alone.
static int enter_user_namespace(void) {
  char users[64], groups[64];
  snprintf(users, sizeof users, "%u %u 1\n", geteuid(), geteuid());
  snprintf(groups, sizeof groups, "%u %u 1\n", getegid(), getegid());
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return -errno;
  // Without maps nobody could own what we mount.
  int result = write_text("/proc/self/setgroups", "deny");
  if (result != 0 && result != -ENOENT) return result;
  result = write_text("/proc/self/gid_map", groups);
  if (result == 0) result = write_text("/proc/self/uid_map", users);
  return result;
}

int sluice_confine_files(void) {
  struct __user_cap_data_struct data[2];
  int result = capabilities_get(data);
  if (result != 0) return result;
  if (data[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective & CAP_TO_MASK(CAP_SYS_ADMIN)) {
    if (unshare(CLONE_NEWNS) != 0) return -errno;
  } else {
    // Who changed its user id does not own its files in /proc.
    int dumpable = prctl(PR_GET_DUMPABLE);
    if (dumpable != 1) prctl(PR_SET_DUMPABLE, 1);
    result = enter_user_namespace();
    if (result != 0) return result;
  }
  // What we mount stays here.
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return -errno;
  static const char *const places[] = {"/tmp", "/mnt", "/media", "/run", "/var", "/usr"};
  result = -ENOENT;
  for (size_t i = 0; i < sizeof places / sizeof places[0] && result != 0; i++)
    result = mount("none", places[i], "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,nr_inodes=4,mode=755") == 0
                 ? chdir(places[i]) == 0 ? 0 : -errno
                 : -errno;
  if (result != 0) return result;
  // What libdispatch reads of its threads, /proc/TID/stat: without it the process ends. Nothing else of /proc.
  const unsigned long flags = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (mkdir("proc", 0555) != 0) return -errno;
  if (mount("/proc/self/task", "proc", NULL, MS_BIND, NULL) != 0) return -errno;
  if (mount(NULL, "proc", NULL, flags, NULL) != 0) return -errno;
  // The new root in the place of the old one, which lies on top of it and goes (pivot_root(2)).
  if (syscall(SYS_pivot_root, ".", ".") != 0) return -errno;
  if (umount2(".", MNT_DETACH) != 0) return -errno;
  if (chdir("/") != 0) return -errno;
  return mount(NULL, "/", NULL, flags, NULL) == 0 ? 0 : -errno;
}

int sluice_confine_privileges(uint64_t kept) {
  struct __user_cap_data_struct data[2];
  int result = capabilities_get(data);
  if (result != 0) return result;
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL) return -errno;
  // Takes CAP_SETPCAP, which root has, and who entered a user namespace; others have nothing that it would bound.
  for (int capability = 0; capability <= 63; capability++) {
    int bounded = prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
    if (bounded < 0) break;
    if (bounded > 0 && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EPERM) return -errno;
  }
  for (int word = 0; word < 2; word++) {
    uint32_t mask = (uint32_t)(kept >> (32 * word));
    data[word].permitted &= mask;
    data[word].effective &= mask;
    data[word].inheritable = 0;
  }
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  if (syscall(SYS_capset, &header, data) != 0) return -errno;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -errno;
  return 0;
}
