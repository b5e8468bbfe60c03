// What this process may do beyond its user, given up for good.
#define _GNU_SOURCE
#include "CLinuxLaunch.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int sluice_privileges_drop(void) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2];
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -errno;
  (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  if (syscall(SYS_capget, &header, data) != 0) return -errno;
  // Forwards of ports below 1024 may be asked for later.
  data[0].permitted &= 1u << CAP_NET_BIND_SERVICE;
  data[0].effective = data[0].permitted;
  data[0].inheritable = 0;
  data[1] = (struct __user_cap_data_struct){0};
  return syscall(SYS_capset, &header, data) == 0 ? 0 : -errno;
}
