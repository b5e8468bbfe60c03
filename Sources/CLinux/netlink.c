#define _GNU_SOURCE
#include "launch_internal.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

int sluice_netlink_open(struct sluice_netlink *netlink) {
  netlink->sequence = 0;
  netlink->socket = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (netlink->socket < 0) return -errno;
  struct timeval limit = {2, 0};
  setsockopt(netlink->socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(netlink->socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  return 0;
}

void sluice_netlink_close(struct sluice_netlink *netlink) {
  if (netlink->socket >= 0) close(netlink->socket);
  netlink->socket = -1;
}

void sluice_netlink_append(struct sluice_netlink *netlink, const void *data, size_t size) {
  size_t padded = (size + 3) & ~(size_t)3;
  if (netlink->used + padded > sizeof netlink->buffer) __builtin_trap();  // requests are of fixed size
  memset(netlink->buffer + netlink->used, 0, padded);
  memcpy(netlink->buffer + netlink->used, data, size);
  netlink->used += padded;
}

void sluice_netlink_begin(struct sluice_netlink *netlink, int type, int flags, const void *body, size_t size) {
  struct nlmsghdr header = {
      .nlmsg_type = (uint16_t)type,
      .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags),
      .nlmsg_seq = ++netlink->sequence,
  };
  netlink->used = 0;
  sluice_netlink_append(netlink, &header, sizeof header);
  sluice_netlink_append(netlink, body, size);
}

void sluice_netlink_put(struct sluice_netlink *netlink, int type, const void *data, size_t size) {
  struct rtattr attribute = {.rta_len = (uint16_t)(sizeof attribute + size), .rta_type = (uint16_t)type};
  sluice_netlink_append(netlink, &attribute, sizeof attribute);
  sluice_netlink_append(netlink, data, size);
}

size_t sluice_netlink_nest(struct sluice_netlink *netlink, int type) {
  size_t nest = netlink->used;
  struct rtattr attribute = {.rta_type = (uint16_t)type};
  sluice_netlink_append(netlink, &attribute, sizeof attribute);
  return nest;
}

void sluice_netlink_end(struct sluice_netlink *netlink, size_t nest) {
  struct rtattr *attribute = (struct rtattr *)(void *)(netlink->buffer + nest);
  attribute->rta_len = (uint16_t)(netlink->used - nest);
}

int sluice_netlink_talk(struct sluice_netlink *netlink) {
  struct nlmsghdr *header = (struct nlmsghdr *)(void *)netlink->buffer;
  header->nlmsg_len = (uint32_t)netlink->used;
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  if (sendto(netlink->socket, netlink->buffer, netlink->used, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0)
    return -errno;
  for (;;) {
    union {
      struct nlmsghdr header;
      char bytes[2048];
    } answer;
    ssize_t count = recv(netlink->socket, &answer, sizeof answer, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno == EAGAIN ? -ETIMEDOUT : -errno;
    if ((size_t)count < NLMSG_LENGTH(sizeof(struct nlmsgerr))) continue;
    if (answer.header.nlmsg_type != NLMSG_ERROR || answer.header.nlmsg_seq != netlink->sequence) continue;
    return ((struct nlmsgerr *)NLMSG_DATA(&answer.header))->error;
  }
}
