#define _GNU_SOURCE
#include "CLinuxSockets.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/// A socket address of either family, in `storage`, and its length.
static socklen_t make_name(struct sockaddr_storage *storage, const uint8_t *address, int length, uint16_t port) {
  memset(storage, 0, sizeof *storage);
  if (length == 4) {
    struct sockaddr_in *ipv4 = (struct sockaddr_in *)storage;
    ipv4->sin_family = AF_INET;
    ipv4->sin_port = htons(port);
    memcpy(&ipv4->sin_addr, address, 4);
    return sizeof *ipv4;
  }
  struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)storage;
  ipv6->sin6_family = AF_INET6;
  ipv6->sin6_port = htons(port);
  memcpy(&ipv6->sin6_addr, address, 16);
  return sizeof *ipv6;
}

/// Binds to an address and no port yet. 0 or a negative errno.
static int bind_source(int socket, const uint8_t *source, int length) {
  struct sockaddr_storage name;
  int one = 1;
  if (source == NULL) return 0;
  socklen_t size = make_name(&name, source, length, 0);
  // The port is chosen with the peer: as many as there are for each peer, not for all.
  (void)setsockopt(socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
  return bind(socket, (struct sockaddr *)&name, size) == 0 ? 0 : -errno;
}

int sluice_tcp_connect(const uint8_t *address, int length, uint16_t port, const uint8_t *source) {
  struct sockaddr_storage name;
  socklen_t size = make_name(&name, address, length, port);
  int made = socket(name.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  if (made < 0) return -errno;
  int one = 1;
  (void)setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  (void)setsockopt(made, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  int error = bind_source(made, source, length);
  if (error == 0 && connect(made, (struct sockaddr *)&name, size) != 0 && errno != EINPROGRESS) error = -errno;
  if (error == 0) return made;
  close(made);
  return error;
}

int sluice_udp_turn(int socket, const uint8_t *address, int length, uint16_t port) {
  struct sockaddr_storage name;
  socklen_t size = make_name(&name, address, length, port);
  return connect(socket, (struct sockaddr *)&name, size) == 0 ? 0 : -errno;
}

int sluice_udp_connect(const uint8_t *address, int length, uint16_t port, const uint8_t *source) {
  int family = length == 4 ? AF_INET : AF_INET6;
  int made = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
  if (made < 0) return -errno;
  // So that each error is told with who says so. Without it only the hard ones are.
  (void)sluice_keep_network_errors(made, length == 4);
  int result = bind_source(made, source, length);
  if (result == 0) result = sluice_udp_turn(made, address, length, port);
  if (result == 0) return made;
  close(made);
  return result;
}

int sluice_tcp_listen(const uint8_t *address, int length, uint16_t port, int backlog, int fast_open) {
  int is_ipv4 = length == 4;
  int listener =
      socket(is_ipv4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  if (listener < 0) return -errno;
  int one = 1;
  struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(port)};
  struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  memcpy(is_ipv4 ? (void *)&ipv4.sin_addr : (void *)&ipv6.sin6_addr, address, is_ipv4 ? 4 : 16);
  const struct sockaddr *name = is_ipv4 ? (const struct sockaddr *)&ipv4 : (const struct sockaddr *)&ipv6;
  if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0
      || (!is_ipv4 && setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) != 0)
      || bind(listener, name, is_ipv4 ? sizeof ipv4 : sizeof ipv6) != 0) {
    int error = -errno;
    close(listener);
    return error;
  }
  if (fast_open > 0) (void)setsockopt(listener, IPPROTO_TCP, TCP_FASTOPEN, &fast_open, sizeof fast_open);
  if (listen(listener, backlog) != 0) {
    int error = -errno;
    close(listener);
    return error;
  }
  return listener;
}

int sluice_tcp_port(int socket) {
  struct sockaddr_storage name;
  socklen_t length = sizeof name;
  if (getsockname(socket, (struct sockaddr *)&name, &length) != 0) return -errno;
  return ntohs(name.ss_family == AF_INET ? ((struct sockaddr_in *)&name)->sin_port
                                         : ((struct sockaddr_in6 *)&name)->sin6_port);
}

int sluice_tcp_accept(int listener) {
  int accepted = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (accepted < 0) return -errno;
  int one = 1;
  (void)setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  (void)setsockopt(accepted, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  return accepted;
}

int sluice_tcp_refuse(int listener, int *spare) {
  if (*spare >= 0) close(*spare);
  int accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  int error = accepted < 0 ? -errno : 0;
  if (accepted >= 0) sluice_tcp_reset(accepted);
  *spare = fcntl(listener, F_DUPFD_CLOEXEC, 0);
  return error;
}

int sluice_tcp_opened_fast(int socket) {
  struct tcp_info info = {0};
  socklen_t length = sizeof info;
  if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return 0;
  return (info.tcpi_options & TCPI_OPT_SYN_DATA) != 0;
}

ssize_t sluice_tcp_receive(int socket, void *bytes, size_t capacity) {
  ssize_t count;
  do count = recv(socket, bytes, capacity, 0);
  while (count < 0 && errno == EINTR);
  return count < 0 ? -errno : count;
}

ssize_t sluice_tcp_send(int socket, const void *bytes, size_t count) {
  ssize_t sent;
  do sent = send(socket, bytes, count, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

ssize_t sluice_tcp_receive_pieces(int socket, struct iovec *pieces, int count) {
  ssize_t received;
  do received = readv(socket, pieces, count);
  while (received < 0 && errno == EINTR);
  return received < 0 ? -errno : received;
}

ssize_t sluice_tcp_send_pieces(int socket, struct iovec *pieces, int count) {
  struct msghdr message = {.msg_iov = pieces, .msg_iovlen = (size_t)count};
  ssize_t sent;
  do sent = sendmsg(socket, &message, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

int sluice_tcp_finish(int socket) { return shutdown(socket, SHUT_WR) == 0 ? 0 : -errno; }

int sluice_tcp_error(int socket) {
  int error = 0;
  socklen_t length = sizeof error;
  return getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

void sluice_tcp_close(int socket) { close(socket); }

void sluice_tcp_reset(int socket) {
  struct linger at_once = {.l_onoff = 1, .l_linger = 0};
  (void)setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close(socket);
}

int sluice_epoll_add_edges(int epoll, int descriptor, uint32_t token) {
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u64 = token};
  return epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 ? 0 : -errno;
}
