// What is known of this host's interfaces and processes.
#define _GNU_SOURCE
#include "CLinuxSockets.h"

#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int sluice_interface_address(const char *name, int length, uint8_t *address) {
  struct ifaddrs *all;
  if (getifaddrs(&all) != 0) return -errno;
  int result = -ENODEV;
  for (struct ifaddrs *one = all; one != NULL && result != 0; one = one->ifa_next) {
    if (strcmp(one->ifa_name, name) != 0 || one->ifa_addr == NULL) continue;
    if (length == 4 && one->ifa_addr->sa_family == AF_INET) {
      memcpy(address, &((struct sockaddr_in *)one->ifa_addr)->sin_addr, 4);
      result = 0;
    } else if (length == 16 && one->ifa_addr->sa_family == AF_INET6) {
      struct in6_addr *ipv6 = &((struct sockaddr_in6 *)one->ifa_addr)->sin6_addr;
      // Good for the link alone, and for none of it without the interface.
      if (IN6_IS_ADDR_LINKLOCAL(ipv6)) continue;
      memcpy(address, ipv6, 16);
      result = 0;
    }
  }
  freeifaddrs(all);
  return result;
}

int sluice_process_open(int process) {
  int made = (int)syscall(SYS_pidfd_open, process, 0);
  return made < 0 ? -errno : made;
}
