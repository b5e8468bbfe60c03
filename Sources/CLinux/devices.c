#define _GNU_SOURCE
#include "CLinuxDevices.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void set_name(struct ifreq *request, const char *name) {
  memset(request, 0, sizeof *request);
  strncpy(request->ifr_name, name, IFNAMSIZ - 1);
}

static int takes_by_napi(int tun) {
  unsigned features = 0;
  return ioctl(tun, TUNGETFEATURES, &features) == 0 && (features & IFF_NAPI) != 0;
}

int sluice_tun_open(const char *path, const char *name, int ethernet, int multi_queue, int headers, int napi,
                    char *actual, int *opened) {
  *opened = 0;
  int tun = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (tun < 0) return -errno;
  *opened = 1;
  // A kernel that does not know the flag would overlook it.
  if (napi && !takes_by_napi(tun)) {
    close(tun);
    return -EOPNOTSUPP;
  }
  struct ifreq request;
  set_name(&request, name);
  request.ifr_flags =
      (short)((ethernet ? IFF_TAP : IFF_TUN) | IFF_NO_PI | (multi_queue ? IFF_MULTI_QUEUE : 0) |
              (headers ? IFF_VNET_HDR : 0) | (napi ? IFF_NAPI : 0));
  if (ioctl(tun, TUNSETIFF, &request) != 0) {
    int error = -errno;
    close(tun);
    return error;
  }
  memcpy(actual, request.ifr_name, IFNAMSIZ);
  return tun;
}

void sluice_tun_without_offload(int tun) { ioctl(tun, TUNSETOFFLOAD, 0ul); }

int sluice_tun_offload(int tun) {
  // Linux 6.2 has segments of UDP, both families together.
  unsigned all = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
#if defined(TUN_F_USO4) && defined(TUN_F_USO6)
  if (ioctl(tun, TUNSETOFFLOAD, all | TUN_F_USO4 | TUN_F_USO6) == 0)
    return sluice_offload_checksum | sluice_offload_tcp | sluice_offload_udp;
#endif
  if (ioctl(tun, TUNSETOFFLOAD, all) == 0) return sluice_offload_checksum | sluice_offload_tcp;
  return ioctl(tun, TUNSETOFFLOAD, TUN_F_CSUM) == 0 ? sluice_offload_checksum : 0;
}

int sluice_tun_flags(int tun) {
  struct ifreq request;
  memset(&request, 0, sizeof request);
  return ioctl(tun, TUNGETIFF, &request) == 0 ? request.ifr_flags & 0xFFFF : -errno;
}

int sluice_interface_mtu(const char *name) {
  int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (control < 0) return -errno;
  struct ifreq request;
  set_name(&request, name);
  int result = ioctl(control, SIOCGIFMTU, &request) == 0 ? request.ifr_mtu : -errno;
  close(control);
  return result;
}

int sluice_file_mode(const char *path) {
  struct stat information;
  return stat(path, &information) == 0 ? (int)(information.st_mode & 07777) : -errno;
}

static int configure_packet_socket(int packet, int index) {
  int one = 1;
  struct packet_mreq promiscuous = {.mr_ifindex = index, .mr_type = PACKET_MR_PROMISC};
  struct sockaddr_ll address = {
      .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = index};
  if (setsockopt(packet, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) != 0 ||
      setsockopt(packet, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one) != 0 ||
      setsockopt(packet, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous) != 0 ||
      bind(packet, (struct sockaddr *)&address, sizeof address) != 0)
    return -errno;
  return 0;
}

int sluice_packet_socket_open(const char *interface) {
  unsigned index = if_nametoindex(interface);
  if (index == 0) return -errno;
  int packet = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (packet < 0) return -errno;
  int result = configure_packet_socket(packet, (int)index);
  if (result == 0) return packet;
  close(packet);
  return result;
}

ssize_t sluice_read_frame(int descriptor, void *bytes, size_t capacity) {
  ssize_t count;
  do count = read(descriptor, bytes, capacity);
  while (count < 0 && errno == EINTR);
  return count < 0 ? -errno : count;
}

ssize_t sluice_read_pieces(int descriptor, const struct iovec *pieces, int count) {
  ssize_t read;
  do read = readv(descriptor, pieces, count);
  while (read < 0 && errno == EINTR);
  return read < 0 ? -errno : read;
}

ssize_t sluice_write_frame(int descriptor, const struct iovec *pieces, int count) {
  ssize_t written;
  do written = count == 1 ? write(descriptor, pieces->iov_base, pieces->iov_len) : writev(descriptor, pieces, count);
  while (written < 0 && errno == EINTR);
  return written < 0 ? -errno : written;
}

int sluice_is_writable(int descriptor) {
  struct pollfd watched = {.fd = descriptor, .events = POLLOUT};
  return poll(&watched, 1, 0) > 0 && watched.revents != 0;
}
