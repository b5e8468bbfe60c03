// A link in a network namespace that is there already. The child enters the namespaces, makes the link, passes its
// descriptors and is gone. Only async-signal-safe calls: the process that forked may have threads.
#define _GNU_SOURCE
#include "launch_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/// Whether it is the same as the one at `path`.
static int is_same(int namespace, const char *path) {
  struct stat theirs, ours;
  return fstat(namespace, &theirs) == 0 && stat(path, &ours) == 0 && theirs.st_ino == ours.st_ino
         && theirs.st_dev == ours.st_dev;
}

int sluice_namespace_open(const char *path, int is_user) {
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return -errno;
  int type = ioctl(descriptor, NS_GET_NSTYPE), result = -EINVAL;
  if (type == (is_user ? CLONE_NEWUSER : CLONE_NEWNET)) {
    if (is_user || !is_same(descriptor, "/proc/self/ns/net")) return descriptor;
    result = -EALREADY;
  }
  close(descriptor);
  return result;
}

int sluice_namespace_owner(int namespace) {
  int owner = ioctl(namespace, NS_GET_USERNS);
  if (owner < 0) return -errno;
  if (is_same(owner, "/proc/self/ns/user")) {
    close(owner);
    return -EALREADY;
  }
  // A descriptor of this kind is not close-on-exec by itself.
  (void)fcntl(owner, F_SETFD, FD_CLOEXEC);
  return owner;
}

static _Noreturn void fail(int setup, enum sluice_launch_stage stage, int error, struct sluice_message *message) {
  message->kind = sluice_message_failed;
  message->stage = (int32_t)stage;
  message->error = -error;
  sluice_message_send(setup, message, NULL, 0);
  _exit(1);
}

static _Noreturn void join(const struct sluice_launch_request *request, const struct sluice_join *target, int setup) {
  struct sluice_network network = {.request = request};
  struct sluice_message message = {.kind = sluice_message_ready};
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // Entered first: who is nobody special outside may do all with what belongs to it.
  if (target->user_namespace >= 0 && setns(target->user_namespace, CLONE_NEWUSER) != 0)
    fail(setup, sluice_stage_join_user, -errno, &message);
  if (setns(target->network_namespace, CLONE_NEWNET) != 0)
    fail(setup, sluice_stage_join_network, -errno, &message);

  int result = target->configure ? sluice_network_loopback(&network) : 0;
  if (result != 0) fail(setup, network.stage, result, &message);
  result = request->link == sluice_link_veth ? -ENODEV : sluice_network_tap(&network);
  if (result != 0 && request->link != sluice_link_tap) {
    if (request->link == sluice_link_automatic) {
      message.tap_stage = (int32_t)network.stage;
      message.tap_error = -result;
    }
    result = sluice_network_veth(&network);
  }
  if (result != 0) fail(setup, network.stage, result, &message);
  if (target->configure && (result = sluice_network_configure(&network)) != 0)
    fail(setup, network.stage, result, &message);

  message.value = (int32_t)network.link;
  message.ipv6 = network.ipv6;
  message.offloads = network.offloads;
  sluice_message_send(setup, &message, network.descriptors, network.count);
  _exit(0);
}

/// The child's one message, or why there is none.
static int hear(int setup, int deadline, struct sluice_launch_report *report) {
  struct pollfd watched = {.fd = setup, .events = POLLIN};
  struct sluice_message message;
  int ready, count = 0;
  do ready = poll(&watched, 1, deadline);
  while (ready < 0 && errno == EINTR);
  if (ready == 0) {
    report->timed_out = 1;
    return -1;
  }
  if (sluice_message_receive(setup, &message, report->descriptors, &count) != 0) return -1;
  report->descriptor_count = count;
  report->tap_stage = (enum sluice_launch_stage)message.tap_stage;
  report->tap_error = message.tap_error;
  report->stage = (enum sluice_launch_stage)message.stage;
  report->error = message.error;
  if (message.kind != sluice_message_ready) return -1;
  report->stage = sluice_stage_ready;
  report->link = (enum sluice_launch_link)message.value;
  report->ipv6 = message.ipv6;
  report->offloads = message.offloads;
  return 0;
}

int sluice_join(const struct sluice_launch_request *request, const struct sluice_join *target,
                struct sluice_launch_report *report) {
  int setup[2];
  memset(report, 0, sizeof *report);
  report->stage = sluice_stage_start;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, setup) != 0) {
    report->error = errno;
    return -1;
  }
  sigset_t all, before;
  sigfillset(&all);
  // A signal handler of ours must not run in the copy.
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t child = fork();
  if (child == 0) {
    close(setup[0]);
    join(request, target, setup[1]);
  }
  int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  close(setup[1]);
  if (child < 0) {
    report->error = error;
    close(setup[0]);
    return -1;
  }
  int result = hear(setup[0], request->deadline, report);
  if (result != 0) kill(child, SIGKILL);
  close(setup[0]);
  // Reaped by somebody else (SIGCHLD ignored): no matter, the message has said how it went.
  while (waitpid(child, &report->status, 0) < 0 && errno == EINTR) continue;
  if (result == 0) return 0;
  for (int i = 0; i < report->descriptor_count; i++) close(report->descriptors[i]);
  return -1;
}
