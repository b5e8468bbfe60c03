// UDP sockets that take datagrams from anybody, and know where each came from and what it was sent to.
#define _GNU_SOURCE
#include "CLinuxSockets.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int sluice_udp_listen(const uint8_t *address, int length, uint16_t port) {
  int is_ipv4 = length == 4;
  int made = socket(is_ipv4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
  if (made < 0) return -errno;
  int one = 1;
  struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(port)};
  struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  memcpy(is_ipv4 ? (void *)&ipv4.sin_addr : (void *)&ipv6.sin6_addr, address, is_ipv4 ? 4 : 16);
  const struct sockaddr *name = is_ipv4 ? (const struct sockaddr *)&ipv4 : (const struct sockaddr *)&ipv6;
  int result =
      is_ipv4 ? setsockopt(made, IPPROTO_IP, IP_PKTINFO, &one, sizeof one)
              : (setsockopt(made, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one)
                 || setsockopt(made, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof one));
  if (result != 0 || bind(made, name, is_ipv4 ? sizeof ipv4 : sizeof ipv6) != 0) {
    int error = -errno;
    close(made);
    return error;
  }
  return made;
}

/// IPv4 as ::ffff:a.b.c.d.
static void take_ipv4(const struct in_addr *address, uint64_t *high, uint64_t *low) {
  *high = 0;
  *low = 0xFFFF00000000ull | ntohl(address->s_addr);
}
static void take_ipv6(const struct in6_addr *address, uint64_t *high, uint64_t *low) {
  *high = *low = 0;
  for (int i = 0; i < 8; i++) {
    *high = *high << 8 | address->s6_addr[i];
    *low = *low << 8 | address->s6_addr[8 + i];
  }
}
static void put_ipv6(struct in6_addr *address, uint64_t high, uint64_t low) {
  for (int i = 0; i < 8; i++) {
    address->s6_addr[i] = (uint8_t)(high >> (56 - 8 * i));
    address->s6_addr[8 + i] = (uint8_t)(low >> (56 - 8 * i));
  }
}

union control {
  struct cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

ssize_t sluice_udp_receive(int socket, void *bytes, size_t capacity, struct sluice_udp_peer *peer) {
  struct sockaddr_storage name;
  union control control;
  struct iovec data = {bytes, capacity};
  struct msghdr message = {
      .msg_name = &name,
      .msg_namelen = sizeof name,
      .msg_iov = &data,
      .msg_iovlen = 1,
      .msg_control = &control,
      .msg_controllen = sizeof control,
  };
  ssize_t count;
  do count = recvmsg(socket, &message, 0);
  while (count < 0 && errno == EINTR);
  if (count < 0) return -errno;
  memset(peer, 0, sizeof *peer);
  if (name.ss_family == AF_INET) {
    struct sockaddr_in *ipv4 = (struct sockaddr_in *)&name;
    take_ipv4(&ipv4->sin_addr, &peer->high, &peer->low);
    peer->port = ntohs(ipv4->sin_port);
  } else {
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)&name;
    take_ipv6(&ipv6->sin6_addr, &peer->high, &peer->low);
    peer->port = ntohs(ipv6->sin6_port);
    // A number only where the address says nothing without: the same client may come by several interfaces.
    peer->interface = ipv6->sin6_scope_id;
  }
  for (struct cmsghdr *said = CMSG_FIRSTHDR(&message); said != NULL; said = CMSG_NXTHDR(&message, said)) {
    if (said->cmsg_level == IPPROTO_IP && said->cmsg_type == IP_PKTINFO) {
      struct in_pktinfo information;
      memcpy(&information, CMSG_DATA(said), sizeof information);
      take_ipv4(&information.ipi_addr, &peer->local_high, &peer->local_low);
    } else if (said->cmsg_level == IPPROTO_IPV6 && said->cmsg_type == IPV6_PKTINFO) {
      struct in6_pktinfo information;
      memcpy(&information, CMSG_DATA(said), sizeof information);
      take_ipv6(&information.ipi6_addr, &peer->local_high, &peer->local_low);
    }
  }
  return count;
}

ssize_t sluice_udp_reply(int socket, const void *bytes, size_t count, const struct sluice_udp_peer *peer) {
  int is_ipv4 = peer->high == 0 && peer->low >> 32 == 0xFFFF;
  struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(peer->port)};
  struct sockaddr_in6 ipv6 = {
      .sin6_family = AF_INET6, .sin6_port = htons(peer->port), .sin6_scope_id = peer->interface};
  union control control;
  memset(&control, 0, sizeof control);
  struct iovec data = {(void *)(uintptr_t)bytes, count};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control};
  if (is_ipv4) {
    ipv4.sin_addr.s_addr = htonl((uint32_t)peer->low);
    struct in_pktinfo information = {.ipi_spec_dst.s_addr = htonl((uint32_t)peer->local_low)};
    message.msg_name = &ipv4;
    message.msg_namelen = sizeof ipv4;
    message.msg_controllen = CMSG_SPACE(sizeof information);
    control.header = (struct cmsghdr){
        .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO, .cmsg_len = CMSG_LEN(sizeof information)};
    memcpy(CMSG_DATA(&control.header), &information, sizeof information);
  } else {
    put_ipv6(&ipv6.sin6_addr, peer->high, peer->low);
    struct in6_pktinfo information = {.ipi6_ifindex = peer->interface};
    put_ipv6(&information.ipi6_addr, peer->local_high, peer->local_low);
    message.msg_name = &ipv6;
    message.msg_namelen = sizeof ipv6;
    message.msg_controllen = CMSG_SPACE(sizeof information);
    control.header = (struct cmsghdr){
        .cmsg_level = IPPROTO_IPV6, .cmsg_type = IPV6_PKTINFO, .cmsg_len = CMSG_LEN(sizeof information)};
    memcpy(CMSG_DATA(&control.header), &information, sizeof information);
  }
  ssize_t sent;
  do sent = sendmsg(socket, &message, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

int sluice_udp_send_many(int socket, const void *bytes, const uint32_t *offsets, const uint32_t *lengths, int count) {
  struct mmsghdr messages[SLUICE_DATAGRAMS];
  struct iovec places[SLUICE_DATAGRAMS];
  if (count > SLUICE_DATAGRAMS) count = SLUICE_DATAGRAMS;
  memset(messages, 0, sizeof messages);
  for (int i = 0; i < count; i++) {
    places[i] = (struct iovec){(char *)(uintptr_t)bytes + offsets[i], lengths[i]};
    messages[i].msg_hdr.msg_iov = &places[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  int sent;
  do sent = sendmmsg(socket, messages, (unsigned)count, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

int sluice_udp_receive_many(int socket, void *bytes, uint32_t stride, uint32_t *lengths, int count) {
  struct mmsghdr messages[SLUICE_DATAGRAMS];
  struct iovec places[SLUICE_DATAGRAMS];
  if (count > SLUICE_DATAGRAMS) count = SLUICE_DATAGRAMS;
  memset(messages, 0, sizeof messages);
  for (int i = 0; i < count; i++) {
    places[i] = (struct iovec){(char *)bytes + (size_t)i * stride, stride};
    messages[i].msg_hdr.msg_iov = &places[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  int received;
  do received = recvmmsg(socket, messages, (unsigned)count, MSG_DONTWAIT, NULL);
  while (received < 0 && errno == EINTR);
  if (received < 0) return -errno;
  for (int i = 0; i < received; i++) lengths[i] = messages[i].msg_len;
  return received;
}
