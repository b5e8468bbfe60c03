// The services of `sluice serve` on the kernel's own sockets: echo at 7007, sink at 7009, source at 7019. One thread.
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { echo, sink, source, services, descriptor_limit = 65536 };
static const uint16_t ports[services] = {7007, 7009, 7019};
static int listeners[services];
static unsigned char kinds[descriptor_limit];
static char bytes[1 << 18];

static void watch(int epoll, int socket, uint32_t events) {
  struct epoll_event event = {.events = events, .data.fd = socket};
  epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event);
}

static int listen_at(uint16_t port) {
  int made = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(made, (struct sockaddr *)&address, sizeof address) != 0 || listen(made, 4096) != 0) {
    perror("listen");
    exit(1);
  }
  return made;
}

/// 0: the connection is over.
static int serve(int socket) {
  ssize_t count;
  switch (kinds[socket]) {
    case echo:
      count = read(socket, bytes, 1 << 16);
      if (count <= 0) return count < 0 && errno == EAGAIN;
      // The clients send a byte at a time: a full buffer is none of theirs.
      return write(socket, bytes, (size_t)count) == count;
    case sink:
      count = read(socket, bytes, sizeof bytes);
      return count > 0 || (count < 0 && errno == EAGAIN);
    default:
      count = write(socket, bytes, sizeof bytes);
      return count > 0 || (count < 0 && errno == EAGAIN);
  }
}

int main(void) {
  int epoll = epoll_create1(EPOLL_CLOEXEC), one = 1;
  struct epoll_event events[256];
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max < descriptor_limit ? limit.rlim_max : descriptor_limit;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  for (int kind = 0; kind < services; kind++) watch(epoll, listeners[kind] = listen_at(ports[kind]), EPOLLIN);
  while (1) {
    int count = epoll_wait(epoll, events, 256, -1);
    for (int i = 0; i < count; i++) {
      int socket = events[i].data.fd, kind = 0;
      while (kind < services && listeners[kind] != socket) kind++;
      if (kind == services) {
        if (!serve(socket)) close(socket);
        continue;
      }
      int accepted;
      while ((accepted = accept4(socket, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (accepted >= descriptor_limit) {
          close(accepted);
          continue;
        }
        setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        kinds[accepted] = (unsigned char)kind;
        watch(epoll, accepted, kind == source ? EPOLLOUT : EPOLLIN);
      }
    }
  }
}
