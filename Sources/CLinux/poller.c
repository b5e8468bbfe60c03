#define _GNU_SOURCE
#include "CLinuxDevices.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

int sluice_epoll_create(void) {
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  return epoll < 0 ? -errno : epoll;
}

static int control(int epoll, int operation, int descriptor, uint32_t events, uint32_t token) {
  struct epoll_event event = {.events = events, .data.u64 = token};
  return epoll_ctl(epoll, operation, descriptor, &event) == 0 ? 0 : -errno;
}

static uint32_t interest(int writable, int edge) {
  return EPOLLIN | (writable ? EPOLLOUT : 0) | (edge ? EPOLLET : 0);
}

int sluice_epoll_add(int epoll, int descriptor, uint32_t token, int edge) {
  return control(epoll, EPOLL_CTL_ADD, descriptor, interest(0, edge), token);
}

int sluice_epoll_change(int epoll, int descriptor, uint32_t token, int writable, int edge) {
  return control(epoll, EPOLL_CTL_MOD, descriptor, interest(writable, edge), token);
}

int sluice_epoll_remove(int epoll, int descriptor) {
  return control(epoll, EPOLL_CTL_DEL, descriptor, 0, 0);
}

static int wait_nanoseconds(int epoll, struct epoll_event *events, int capacity, uint64_t nanoseconds) {
  if (nanoseconds == 0) return epoll_wait(epoll, events, capacity, 0);
  if (nanoseconds == UINT64_MAX) return epoll_wait(epoll, events, capacity, -1);
#ifdef SYS_epoll_pwait2
  struct timespec limit = {(time_t)(nanoseconds / 1000000000u), (long)(nanoseconds % 1000000000u)};
  long count = syscall(SYS_epoll_pwait2, epoll, events, capacity, &limit, NULL, (size_t)_NSIG / 8);
  if (count >= 0 || errno != ENOSYS) return (int)count;
#endif
  // Up to the next millisecond: a timer must be due when we are back.
  uint64_t milliseconds = nanoseconds / 1000000u + (nanoseconds % 1000000u != 0);
  return epoll_wait(epoll, events, capacity, milliseconds > INT32_MAX ? INT32_MAX : (int)milliseconds);
}

int sluice_epoll_is_precise(void) {
#ifdef SYS_epoll_pwait2
  // There is no such descriptor; the question is whether there is such a call.
  return syscall(SYS_epoll_pwait2, -1, NULL, 0, NULL, NULL, (size_t)_NSIG / 8) == 0 || errno != ENOSYS;
#else
  return 0;
#endif
}

int sluice_epoll_wait(int epoll, struct sluice_ready *ready, int capacity, uint64_t nanoseconds) {
  struct epoll_event events[64];
  int count = wait_nanoseconds(epoll, events, capacity < 64 ? capacity : 64, nanoseconds);
  for (int i = 0; i < count; i++) {
    uint32_t found = events[i].events;
    ready[i] = (struct sluice_ready){
        .token = (uint32_t)events[i].data.u64,
        .readable = (found & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0,
        .writable = (found & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0,
        .failed = (found & (EPOLLERR | EPOLLHUP)) != 0,
        .ended = (found & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0,
    };
  }
  return count < 0 ? (errno == EINTR ? 0 : -errno) : count;
}

int sluice_timer_create(void) {
  int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  return timer < 0 ? -errno : timer;
}

void sluice_timer_set(int timer, uint64_t nanoseconds) {
  struct itimerspec time = {
      .it_value = {(time_t)(nanoseconds / 1000000000u), (long)(nanoseconds % 1000000000u)}};
  (void)timerfd_settime(timer, 0, &time, NULL);
}

void sluice_timer_absorb(int timer) {
  uint64_t count;
  if (read(timer, &count, sizeof count) < 0) return;
}
