// The client of Benchmarks/compare: the kernel's own TCP against a server with echo at 7007, sink at 7009 and source at
// 7019. One measurement a run, as a line of JSON.
//
//   client HOST up|down|exchange|connect|idle [-t SECONDS] [-n CONNECTIONS] [-p SERVER_PID] [-c CPU] [-o OFFSET]
//          [-k CONTROL] [-d DESTINATIONS]
//
//   up        one connection sends to the sink; ends when the server has everything
//   down      one connection reads from the source
//   exchange  a byte there and back on each of n connections, one at a time on each
//   connect   n at a time: connect, a byte there and back, close; from 100 addresses in turn, HOST's network's .101 on,
//             so that TIME-WAIT does not use the ports up
//   idle      n connections, a byte there and back on each, and nothing more until standard input ends
//
// -d: connect goes to so many addresses in turn, HOST on, from whatever address the system takes: for networks that
// translate the addresses of those behind them.
// -p adds the processor seconds of the server, user and system. OFFSET is added to the ports.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { echo_port = 7007, sink_port = 7009, source_port = 7019, sample_limit = 1 << 22, stall_seconds = 5 };

static struct sockaddr_in server;
static double seconds = 3;
static int connections = 1, server_pid, port_offset, destinations;
static const char *control;
static char bytes[1 << 17];

static void give_up(const char *what) {
  fprintf(stderr, "client: %s: %s\n", what, strerror(errno));
  exit(1);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/// Processor seconds that the server has used, from the scheduler's nanoseconds where they are told, else from ticks.
static double server_seconds(void) {
  if (server_pid == 0) return 0;
  char path[64], line[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", server_pid);
  FILE *file = fopen(path, "r");
  if (file == NULL) return 0;
  size_t count = fread(line, 1, sizeof line - 1, file);
  fclose(file);
  line[count] = 0;
  // The name may hold anything; the fields behind it begin after the last bracket: state is the 3rd, utime the 14th.
  char *field = strrchr(line, ')');
  unsigned long user = 0, system = 0;
  if (field == NULL) return 0;
  field += 2;
  for (int skipped = 3; skipped < 14 && field != NULL; skipped++) {
    field = strchr(field, ' ');
    if (field != NULL) field++;
  }
  if (field == NULL || sscanf(field, "%lu %lu", &user, &system) != 2) return 0;
  return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static double own_seconds(void) {
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
         (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) * 1e-6;
}

static int make_socket(int flags) {
  int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), one = 1;
  if (made < 0) give_up("socket");
  setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (control != NULL && setsockopt(made, IPPROTO_TCP, TCP_CONGESTION, control, (socklen_t)strlen(control)) != 0)
    give_up(control);
  return made;
}

static int connect_to(int port) {
  struct sockaddr_in address = server;
  struct timeval limit = {.tv_sec = stall_seconds};
  int made = make_socket(0);
  setsockopt(made, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(made, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  address.sin_port = htons((uint16_t)(port + port_offset));
  if (connect(made, (struct sockaddr *)&address, sizeof address) != 0) give_up("connect");
  return made;
}

static void reset(int socket) {
  struct linger hard = {.l_onoff = 1};
  setsockopt(socket, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close(socket);
}

struct interval {
  double began, server_began, own_began;
};
static struct interval begin(void) { return (struct interval){now(), server_seconds(), own_seconds()}; }

static void tell(const char *mode, struct interval since, double ended, double done, const double *sorted, long count) {
  double time = ended - since.began;
  printf("{\"mode\": \"%s\", \"connections\": %d, \"seconds\": %.4f, \"done\": %.0f, \"rate\": %.3f", mode, connections,
         time, done, done / time);
  if (server_pid != 0) printf(", \"server_seconds\": %.4f", server_seconds() - since.server_began);
  printf(", \"client_seconds\": %.4f", own_seconds() - since.own_began);
  if (sorted != NULL && count > 0)
    printf(", \"median\": %.9f, \"p99\": %.9f", sorted[count / 2], sorted[count - 1 - count / 100]);
  printf("}\n");
}

static void up(void) {
  int socket = connect_to(sink_port);
  struct interval since = begin();
  double done = 0;
  while (now() < since.began + seconds) {
    ssize_t count = write(socket, bytes, sizeof bytes);
    if (count <= 0) give_up("write");
    done += (double)count;
  }
  shutdown(socket, SHUT_WR);
  // The server ends when it has everything: only then was it sent.
  while (read(socket, bytes, sizeof bytes) > 0) {}
  tell("up", since, now(), done, NULL, 0);
}

static void down(void) {
  int socket = connect_to(source_port);
  struct interval since = begin();
  double done = 0, time = since.began;
  while (time < since.began + seconds) {
    ssize_t count = read(socket, bytes, sizeof bytes);
    if (count <= 0) give_up("read");
    done += (double)count;
    time = now();
  }
  tell("down", since, time, done, NULL, 0);
  reset(socket);
}

static int by_size(const void *a, const void *b) {
  double left = *(const double *)a, right = *(const double *)b;
  return (left > right) - (left < right);
}

static void exchange_one(void) {
  static double samples[sample_limit];
  int socket = connect_to(echo_port);
  for (int warm = 0; warm < 200; warm++)
    if (write(socket, bytes, 1) != 1 || read(socket, bytes, 1) != 1) give_up("exchange");
  struct interval since = begin();
  long count = 0;
  double last = since.began;
  while (last < since.began + seconds && count < sample_limit) {
    if (write(socket, bytes, 1) != 1 || read(socket, bytes, 1) != 1) give_up("exchange");
    double time = now();
    samples[count++] = time - last;
    last = time;
  }
  qsort(samples, (size_t)count, sizeof samples[0], by_size);
  tell("exchange", since, last, (double)count, samples, count);
  reset(socket);
}

static void watch(int epoll, int operation, int socket, uint32_t events) {
  struct epoll_event event = {.events = events, .data.fd = socket};
  epoll_ctl(epoll, operation, socket, &event);
}

static void exchange_many(void) {
  int epoll = epoll_create1(EPOLL_CLOEXEC), *sockets = calloc((size_t)connections, sizeof(int));
  struct epoll_event events[256];
  for (int i = 0; i < connections; i++) watch(epoll, EPOLL_CTL_ADD, sockets[i] = connect_to(echo_port), EPOLLIN);
  struct interval since = begin();
  double done = 0, time = since.began;
  for (int i = 0; i < connections; i++)
    if (write(sockets[i], bytes, 1) != 1) give_up("write");
  while (time < since.began + seconds) {
    int count = epoll_wait(epoll, events, 256, stall_seconds * 1000);
    if (count <= 0) give_up("nothing came back");
    for (int i = 0; i < count; i++) {
      char answer[16];
      if (read(events[i].data.fd, answer, sizeof answer) <= 0) give_up("read");
      done++;
      if (write(events[i].data.fd, bytes, 1) != 1) give_up("write");
    }
    time = now();
  }
  tell("exchange", since, time, done, NULL, 0);
  for (int i = 0; i < connections; i++) reset(sockets[i]);
}

static void start(int epoll) {
  static unsigned turn;
  struct sockaddr_in address = server, from = server;
  int socket = make_socket(SOCK_NONBLOCK), one = 1;
  if (destinations > 0) {
    address.sin_addr.s_addr = htonl(ntohl(server.sin_addr.s_addr) + turn++ % (unsigned)destinations);
  } else {
    // The port is chosen with the whole 4-tuple in view, at connect.
    setsockopt(socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    from.sin_port = 0;
    from.sin_addr.s_addr = htonl((ntohl(server.sin_addr.s_addr) & ~255u) | (101 + turn++ % 100));
    if (bind(socket, (struct sockaddr *)&from, sizeof from) != 0) give_up("an address to connect from");
  }
  address.sin_port = htons((uint16_t)(echo_port + port_offset));
  if (connect(socket, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS) give_up("connect");
  watch(epoll, EPOLL_CTL_ADD, socket, EPOLLOUT);
}

static void connect_many(void) {
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event events[256];
  struct interval since = begin();
  double done = 0, time = since.began;
  long failed = 0;
  for (int i = 0; i < connections; i++) start(epoll);
  while (time < since.began + seconds) {
    int count = epoll_wait(epoll, events, 256, stall_seconds * 1000);
    if (count <= 0) give_up("nothing was accepted");
    for (int i = 0; i < count; i++) {
      int socket = events[i].data.fd;
      char answer[16];
      if ((events[i].events & (EPOLLERR | EPOLLHUP)) == 0 && (events[i].events & EPOLLOUT) != 0 &&
          write(socket, bytes, 1) == 1) {
        watch(epoll, EPOLL_CTL_MOD, socket, EPOLLIN);
        continue;
      }
      if (read(socket, answer, sizeof answer) == 1) done++;
      else failed++;
      close(socket);
      start(epoll);
    }
    time = now();
  }
  if (failed > 0) fprintf(stderr, "client: %ld connections failed\n", failed);
  tell("connect", since, time, done, NULL, 0);
}

static void idle(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  for (int i = 0; i < connections; i++) {
    int socket = connect_to(echo_port);
    if (write(socket, bytes, 1) != 1 || read(socket, bytes, 1) != 1) give_up("exchange");
  }
  printf("{\"mode\": \"idle\", \"connections\": %d}\n", connections);
  fflush(stdout);
  while (read(0, bytes, sizeof bytes) > 0) {}
}

int main(int count, char **words) {
  if (count < 3) return 2;
  server.sin_family = AF_INET;
  if (inet_pton(AF_INET, words[1], &server.sin_addr) != 1) return 2;
  for (int i = 3; i + 1 < count; i += 2) {
    switch (words[i][1]) {
      case 't': seconds = atof(words[i + 1]); break;
      case 'n': connections = atoi(words[i + 1]); break;
      case 'p': server_pid = atoi(words[i + 1]); break;
      case 'o': port_offset = atoi(words[i + 1]); break;
      case 'k': control = words[i + 1]; break;
      case 'd': destinations = atoi(words[i + 1]); break;
      case 'c': {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((unsigned)atoi(words[i + 1]), &set);
        if (sched_setaffinity(0, sizeof set, &set) != 0) give_up("pinning");
        break;
      }
      default: return 2;
    }
  }
  memset(bytes, 'x', sizeof bytes);
  if (strcmp(words[2], "up") == 0) up();
  else if (strcmp(words[2], "down") == 0) down();
  else if (strcmp(words[2], "exchange") == 0 && connections == 1) exchange_one();
  else if (strcmp(words[2], "exchange") == 0) exchange_many();
  else if (strcmp(words[2], "connect") == 0) connect_many();
  else if (strcmp(words[2], "idle") == 0) idle();
  else return 2;
  return 0;
}
