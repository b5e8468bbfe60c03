// Echo requests by sockets that need no privilege, and errors of single datagrams (IP_RECVERR).
#define _GNU_SOURCE
#include "CLinuxSockets.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/icmp6.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

int sluice_keep_network_errors(int socket, int is_ipv4) {
  int one = 1;
  int result = is_ipv4 ? setsockopt(socket, IPPROTO_IP, IP_RECVERR, &one, sizeof one)
                       : setsockopt(socket, IPPROTO_IPV6, IPV6_RECVERR, &one, sizeof one);
  return result == 0 ? 0 : -errno;
}

int sluice_hop_limit(int socket, int is_ipv4, int hops) {
  int value = hops > 0 ? hops : -1;
  int result = is_ipv4 ? setsockopt(socket, IPPROTO_IP, IP_TTL, &value, sizeof value)
                       : setsockopt(socket, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &value, sizeof value);
  return result == 0 ? 0 : -errno;
}

int sluice_may_fragment(int socket, int is_ipv4, int may) {
  int value = is_ipv4 ? may ? IP_PMTUDISC_WANT : IP_PMTUDISC_DO : may ? IPV6_PMTUDISC_WANT : IPV6_PMTUDISC_DO;
  int result = is_ipv4 ? setsockopt(socket, IPPROTO_IP, IP_MTU_DISCOVER, &value, sizeof value)
                       : setsockopt(socket, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &value, sizeof value);
  return result == 0 ? 0 : -errno;
}

int sluice_echo_connect(const uint8_t *address, int length) {
  int is_ipv4 = length == 4;
  int made = socket(is_ipv4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                    is_ipv4 ? (int)IPPROTO_ICMP : (int)IPPROTO_ICMPV6);
  if (made < 0) return -errno;
  int result = sluice_keep_network_errors(made, is_ipv4);
  if (result == 0) result = sluice_udp_turn(made, address, length, 0);
  if (result == 0) return made;
  close(made);
  return result;
}

ssize_t sluice_echo_send(int socket, int is_ipv4, uint16_t sequence, const void *bytes, size_t count) {
  // The identifier and the checksum are the kernel's.
  uint8_t header[8] = {is_ipv4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST, 0, 0, 0, 0, 0, (uint8_t)(sequence >> 8),
                       (uint8_t)sequence};
  struct iovec pieces[2] = {{header, sizeof header}, {(void *)(uintptr_t)bytes, count}};
  struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
  ssize_t sent;
  do sent = sendmsg(socket, &message, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent - (ssize_t)sizeof header;
}

ssize_t sluice_echo_receive(int socket, int is_ipv4, uint16_t *sequence, void *bytes, size_t capacity) {
  uint8_t header[8];
  struct iovec pieces[2] = {{header, sizeof header}, {bytes, capacity}};
  struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
  ssize_t count;
  do count = recvmsg(socket, &message, 0);
  while (count < 0 && errno == EINTR);
  if (count < 0) return -errno;
  int wanted = is_ipv4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY;
  if (count < (ssize_t)sizeof header || header[0] != wanted || header[1] != 0) return -EBADMSG;
  *sequence = (uint16_t)(header[6] << 8 | header[7]);
  return count - (ssize_t)sizeof header;
}

static void read_error(struct sluice_network_error *found, const struct sock_extended_err *error) {
  found->error = (int)error->ee_errno;
  found->is_icmp = error->ee_origin == SO_EE_ORIGIN_ICMP || error->ee_origin == SO_EE_ORIGIN_ICMP6;
  if (found->is_icmp) {
    found->type = error->ee_type;
    found->code = error->ee_code;
  }
  if (error->ee_errno == EMSGSIZE) found->mtu = error->ee_info;
  struct sockaddr_storage name;
  memset(&name, 0, sizeof name);
  // It follows, as long as the control message that has both.
  memcpy(&name, SO_EE_OFFENDER(error), sizeof(struct sockaddr_in6));
  if (name.ss_family == AF_INET) {
    found->reporter_length = 4;
    memcpy(found->reporter, &((struct sockaddr_in *)&name)->sin_addr, 4);
  } else if (name.ss_family == AF_INET6) {
    found->reporter_length = 16;
    memcpy(found->reporter, &((struct sockaddr_in6 *)&name)->sin6_addr, 16);
  }
}

int sluice_network_error_next(int socket, struct sluice_network_error *found) {
  // Room behind the error for an address of either family, also where the kernel gives the shorter one.
  union {
    struct cmsghdr header;
    uint8_t bytes[CMSG_SPACE(sizeof(struct sock_extended_err) + sizeof(struct sockaddr_in6)) + 64];
  } control;
  memset(found, 0, sizeof *found);
  memset(&control, 0, sizeof control);
  struct iovec data = {found->quoted, sizeof found->quoted};
  struct msghdr message = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control - 64};
  ssize_t count;
  do count = recvmsg(socket, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
  while (count < 0 && errno == EINTR);
  if (count < 0) return -EAGAIN;
  found->quoted_length = (uint8_t)count;
  for (struct cmsghdr *each = CMSG_FIRSTHDR(&message); each != NULL; each = CMSG_NXTHDR(&message, each)) {
    int is_error = (each->cmsg_level == IPPROTO_IP && each->cmsg_type == IP_RECVERR) ||
                   (each->cmsg_level == IPPROTO_IPV6 && each->cmsg_type == IPV6_RECVERR);
    if (is_error && each->cmsg_len >= CMSG_LEN(sizeof(struct sock_extended_err)))
      read_error(found, (const struct sock_extended_err *)(const void *)CMSG_DATA(each));
  }
  return 0;
}
