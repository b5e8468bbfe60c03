// The caller's side of a launch.
#define _GNU_SOURCE
#include "launch_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int sluice_message_send(int socket, const struct sluice_message *message, const int *descriptors, int count) {
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int) * sluice_launch_queue_limit)];
  } control;
  struct iovec data = {(void *)(uintptr_t)message, sizeof *message};
  struct msghdr header = {.msg_iov = &data, .msg_iovlen = 1};
  if (count > 0) {
    memset(&control, 0, sizeof control);
    header.msg_control = &control;
    header.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count);
    struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)count);
    memcpy(CMSG_DATA(rights), descriptors, sizeof(int) * (size_t)count);
  }
  ssize_t sent;
  do sent = sendmsg(socket, &header, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent == (ssize_t)sizeof *message ? 0 : sent < 0 ? -errno : -EPROTO;
}

int sluice_message_receive(int socket, struct sluice_message *message, int *descriptors, int *count) {
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int) * sluice_launch_queue_limit)];
  } control;
  struct iovec data = {message, sizeof *message};
  struct msghdr header = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  ssize_t received;
  *count = 0;
  do received = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  while (received < 0 && errno == EINTR);
  if (received < 0) return -errno;
  if (received == 0) return -EPIPE;
  struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
  if (rights != NULL && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS) {
    int passed = (int)((rights->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    for (int i = 0; i < passed; i++) {
      int descriptor;
      memcpy(&descriptor, CMSG_DATA(rights) + sizeof(int) * (size_t)i, sizeof descriptor);
      if (descriptors != NULL) descriptors[(*count)++] = descriptor;
      else close(descriptor);
    }
  }
  return received == (ssize_t)sizeof *message ? 0 : -EPROTO;
}

int sluice_find_executable(const char *name, char *path, int capacity) {
  if (name[0] == 0) return -ENOENT;
  const char *folders = getenv("PATH");
  if (folders == NULL) folders = "/usr/local/bin:/usr/bin:/bin";
  if (strchr(name, '/') != NULL) folders = NULL;
  int result = -ENOENT;
  do {
    size_t length = folders == NULL ? 0 : strcspn(folders, ":");
    int needed = folders == NULL  ? snprintf(path, (size_t)capacity, "%s", name)
                 : length == 0 ? snprintf(path, (size_t)capacity, "./%s", name)
                               : snprintf(path, (size_t)capacity, "%.*s/%s", (int)length, folders, name);
    struct stat information;
    if (needed >= capacity) result = -ENAMETOOLONG;
    // A folder that may not be searched has no programs for us; a path that was given is another matter.
    else if (stat(path, &information) != 0) result = folders == NULL ? -errno : result;
    else if (S_ISREG(information.st_mode) && faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0) return 0;
    else result = -EACCES;
    folders = folders != NULL && folders[length] == ':' ? folders + length + 1 : NULL;
  } while (folders != NULL);
  return result;
}

static int64_t milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/// Every id that we have, as itself: what the whole range is, where we are not in the first user namespace.
static int write_identity_map(pid_t process, const char *map) {
  char path[64], text[4096];
  size_t used = 0;
  snprintf(path, sizeof path, "/proc/self/%s", map);
  FILE *own = fopen(path, "re");
  if (own == NULL) return -errno;
  unsigned inside, outside, count;
  while (fscanf(own, "%u %u %u", &inside, &outside, &count) == 3 && used < sizeof text - 64)
    used += (size_t)snprintf(text + used, sizeof text - used, "%u %u %u\n", inside, inside, count);
  fclose(own);
  snprintf(path, sizeof path, "/proc/%d/%s", (int)process, map);
  return sluice_write_file(path, text);
}

static void prepare(struct sluice_launch_plan *plan, const struct sluice_launch_request *request) {
  memset(plan, 0, sizeof *plan);
  plan->request = *request;
  plan->environment = environ;
  plan->caller = getpid();
  plan->reset_pipe = sluice_signals_ignore_pipe();
  plan->whole_identity = geteuid() == 0;
  snprintf(plan->uid_map, sizeof plan->uid_map, "%u %u 1\n", geteuid(), geteuid());
  snprintf(plan->gid_map, sizeof plan->gid_map, "%u %u 1\n", getegid(), getegid());
  snprintf(plan->ping_groups, sizeof plan->ping_groups, "%u %u\n", getegid(), getegid());
}

static int start(struct sluice_launch_plan *plan, struct sluice_launch *launch) {
  int control[2], setup[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) != 0) return errno;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, setup) != 0) {
    int error = errno;
    close(control[0]), close(control[1]);
    return error;
  }
  sigset_t all, before;
  sigfillset(&all);
  // A signal handler of ours must not run in the copies.
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t keeper = fork();
  if (keeper == 0) {
    close(control[0]), close(setup[0]);
    sluice_keeper_main(plan, control[1], setup[1]);
  }
  int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  close(control[1]), close(setup[1]);
  if (keeper < 0) {
    close(control[0]), close(setup[0]);
    return error;
  }
  *launch = (struct sluice_launch){
      .control = control[0],
      .setup = setup[0],
      .pidfd = (int)syscall(SYS_pidfd_open, keeper, 0),
      .keeper = keeper,
  };
  return 0;
}

/// One message of the command's. 1: ready, 0: more to come, -1: failed, -2: there will be none.
static int follow(struct sluice_launch *launch, struct sluice_launch_report *report) {
  struct sluice_message message;
  int count = 0, result = sluice_message_receive(launch->setup, &message, report->descriptors, &count);
  if (result != 0) return -2;
  report->tap_stage = (enum sluice_launch_stage)message.tap_stage;
  report->tap_error = message.tap_error;
  switch (message.kind) {
    case sluice_message_stage:
      report->stage = (enum sluice_launch_stage)message.stage;
      return 0;
    case sluice_message_map: {
      int mapped = write_identity_map(launch->command, "gid_map");
      // Half a map cannot be undone: then the command's own attempt fails, and says so.
      if (mapped == 0) mapped = write_identity_map(launch->command, "uid_map");
      message = (struct sluice_message){.kind = sluice_message_mapped, .value = mapped == 0};
      sluice_message_send(launch->setup, &message, NULL, 0);
      return 0;
    }
    case sluice_message_ready:
      report->stage = sluice_stage_ready;
      report->descriptor_count = count;
      report->link = (enum sluice_launch_link)message.value;
      report->ipv6 = message.ipv6;
      report->offloads = message.offloads;
      report->resolver_error = message.resolver_error;
      return 1;
    default:
      report->stage = (enum sluice_launch_stage)message.stage;
      report->error = message.error;
      return -1;
  }
}

/// The keeper's news during set-up. 0: go on, -1: the command is gone.
static int hear_keeper(struct sluice_launch *launch, struct sluice_launch_report *report) {
  struct sluice_message message;
  int count = 0;
  if (sluice_message_receive(launch->control, &message, NULL, &count) != 0) return -1;
  if (message.kind == sluice_message_started) {
    launch->command = message.value;
    report->error = message.error;
    return message.error == 0 ? 0 : -1;
  }
  report->status = message.value;
  return -1;
}

static int set_up(struct sluice_launch *launch, struct sluice_launch_report *report, int limit) {
  int64_t deadline = milliseconds() + limit;
  int silent = 0;  // the command closed its end: the keeper will say how it died
  for (;;) {
    int64_t left = deadline - milliseconds();
    // The command's words wait until the keeper has said which process it is.
    struct pollfd watched[2] = {
        {.fd = launch->control, .events = POLLIN},
        {.fd = launch->command == 0 || silent ? -1 : launch->setup, .events = POLLIN},
    };
    int ready = left > 0 ? poll(watched, 2, (int)left) : 0;
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      report->timed_out = 1;
      return -1;
    }
    if (watched[1].revents) {
      int result = follow(launch, report);
      silent = result == -2;
      if (result > 0) return 0;
      if (result == -1) return -1;
    } else if (hear_keeper(launch, report) != 0) {
      return -1;
    }
  }
}

int sluice_launch(const struct sluice_launch_request *request, struct sluice_launch *launch,
                  struct sluice_launch_report *report) {
  struct sluice_launch_plan plan;
  memset(report, 0, sizeof *report);
  prepare(&plan, request);
  report->error = start(&plan, launch);
  if (report->error != 0) return -1;
  if (set_up(launch, report, request->deadline) == 0) return 0;
  for (int i = 0; i < report->descriptor_count; i++) close(report->descriptors[i]);
  sluice_launch_close(launch);
  return -1;
}

int sluice_launch_go(const struct sluice_launch *launch) {
  struct sluice_message message = {.kind = sluice_message_go};
  return sluice_message_send(launch->setup, &message, NULL, 0);
}

int sluice_launch_signal(const struct sluice_launch *launch, int signal) {
  struct sluice_message message = {.kind = sluice_message_signal, .value = signal};
  return sluice_message_send(launch->control, &message, NULL, 0);
}

/// What the terminal sends reaches the command by itself, and what the command sends to its group is not for
/// the command.
static void forward(const struct sluice_launch *launch, int signals) {
  int caught[3];
  while (read(signals, caught, sizeof caught) == (ssize_t)sizeof caught)
    if (caught[1] <= 0 && caught[2] != launch->command) sluice_launch_signal(launch, caught[0]);
}

int sluice_launch_wait(const struct sluice_launch *launch, int signals, int *status) {
  for (;;) {
    struct pollfd watched[2] = {{.fd = launch->control, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    if (poll(watched, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return -errno;
    }
    if (watched[1].revents) forward(launch, signals);
    if (!watched[0].revents) continue;
    struct sluice_message message, last;
    int count = 0;
    if (sluice_message_receive(launch->control, &message, NULL, &count) != 0) return -ECHILD;
    if (message.kind != sluice_message_ended) continue;
    *status = message.value;
    // What stopped the command short of its program, said before it died.
    struct pollfd words = {.fd = launch->setup, .events = POLLIN};
    while (poll(&words, 1, 0) > 0 && (words.revents & POLLIN) &&
           sluice_message_receive(launch->setup, &last, NULL, &count) == 0)
      if (last.kind == sluice_message_failed) return last.error;
    return 0;
  }
}

void sluice_launch_close(struct sluice_launch *launch) {
  if (launch->keeper <= 0) return;
  // The keeper takes the end of its socket for our end, and needs five seconds at most.
  shutdown(launch->control, SHUT_WR);
  struct pollfd gone = {.fd = launch->pidfd, .events = POLLIN};
  int64_t deadline = milliseconds() + 7000;
  while (launch->pidfd >= 0 && poll(&gone, 1, 7000) < 0 && errno == EINTR && milliseconds() < deadline) continue;
  if (launch->pidfd >= 0 && !gone.revents) kill(launch->keeper, SIGKILL);
  while (waitpid(launch->keeper, NULL, 0) < 0 && errno == EINTR) continue;
  close(launch->control);
  close(launch->setup);
  if (launch->pidfd >= 0) close(launch->pidfd);
  *launch = (struct sluice_launch){.control = -1, .setup = -1, .pidfd = -1};
}
