// The command until it executes: namespaces, network, credentials. Only async-signal-safe calls: the process that
// forked may have had threads.
#define _GNU_SOURCE
#include "launch_internal.h"

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void enter_stage(int setup, enum sluice_launch_stage stage) {
  struct sluice_message message = {.kind = sluice_message_stage, .stage = stage};
  sluice_message_send(setup, &message, NULL, 0);
}

static _Noreturn void fail(int setup, enum sluice_launch_stage stage, int error) {
  struct sluice_message message = {.kind = sluice_message_failed, .stage = stage, .error = -error};
  sluice_message_send(setup, &message, NULL, 0);
  _exit(error == -ENOENT ? 127 : 126);
}

static void expect(int setup, enum sluice_launch_stage stage, struct sluice_message *message, int kind) {
  int count = 0, result = sluice_message_receive(setup, message, NULL, &count);
  if (result != 0 || message->kind != kind) fail(setup, stage, result != 0 ? result : -EPROTO);
}

/// The user's own identity, alone. setgroups must be given up first (user_namespaces(7)).
static void map_own_identity(const struct sluice_launch_plan *plan, int setup) {
  int result = sluice_write_file("/proc/self/setgroups", "deny");
  // Older kernels have no such file and need none.
  if (result != 0 && result != -ENOENT) fail(setup, sluice_stage_identity, result);
  if ((result = sluice_write_file("/proc/self/gid_map", plan->gid_map)) != 0)
    fail(setup, sluice_stage_identity, result);
  if ((result = sluice_write_file("/proc/self/uid_map", plan->uid_map)) != 0)
    fail(setup, sluice_stage_identity, result);
}

static void enter_user_namespace(const struct sluice_launch_plan *plan, int setup) {
  enter_stage(setup, sluice_stage_user_namespace);
  if (unshare(CLONE_NEWUSER) != 0) fail(setup, sluice_stage_user_namespace, -errno);
  enter_stage(setup, sluice_stage_identity);
  if (plan->whole_identity) {
    struct sluice_message message = {.kind = sluice_message_map};
    sluice_message_send(setup, &message, NULL, 0);
    expect(setup, sluice_stage_identity, &message, sluice_message_mapped);
    if (message.value) return;
  }
  map_own_identity(plan, setup);
}

/// What an ordinary user's command may do to its own network survives exec only as ambient capabilities.
static int raise_capabilities(void) {
  static const int wanted[] = {CAP_NET_BIND_SERVICE, CAP_NET_RAW, CAP_NET_ADMIN};
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2];
  if (syscall(SYS_capget, &header, data) != 0) return -errno;
  for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) data[0].inheritable |= 1u << wanted[i];
  if (syscall(SYS_capset, &header, data) != 0) return -errno;
  for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, wanted[i], 0, 0) != 0) return -errno;
  return 0;
}

/// Handlers to default, what was ignored stays ignored (nohup). Nothing is blocked: the mask of the calling thread says
/// nothing, as thread pools block all.
static void restore_signals(const struct sluice_launch_plan *plan) {
  for (int signal = 1; signal < NSIG; signal++) {
    struct sigaction action;
    if (sigaction(signal, NULL, &action) != 0) continue;
    int caught = action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN;
    if (!caught && !(signal == SIGPIPE && plan->reset_pipe)) continue;
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    sigaction(signal, &action, NULL);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

/// A TAP if there may be one, else a veth pair; `ready` remembers why there is no TAP.
static void make_link(struct sluice_network *network, int setup, struct sluice_message *ready) {
  int result;
  if (network->request->link != sluice_link_veth) {
    enter_stage(setup, sluice_stage_tun_open);
    result = sluice_network_tap(network);
    if (result == 0) return;
    if (network->request->link == sluice_link_tap) fail(setup, network->stage, result);
    ready->tap_stage = (int32_t)network->stage;
    ready->tap_error = -result;
  }
  enter_stage(setup, sluice_stage_veth);
  result = sluice_network_veth(network);
  if (result == 0) return;
  // Both refusals matter to who chose `automatic`.
  ready->kind = sluice_message_failed;
  ready->stage = (int32_t)network->stage;
  ready->error = -result;
  sluice_message_send(setup, ready, NULL, 0);
  _exit(126);
}

_Noreturn void sluice_command_main(const struct sluice_launch_plan *plan, int setup, pid_t keeper) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // Who changed its user id is not "dumpable", its files in /proc are root's, and its id maps as well.
  prctl(PR_SET_DUMPABLE, 1);
  enter_user_namespace(plan, setup);
  enter_stage(setup, sluice_stage_network_namespace);
  if (unshare(CLONE_NEWNET) != 0) fail(setup, sluice_stage_network_namespace, -errno);

  struct sluice_network network = {.request = &plan->request};
  struct sluice_message message = {.kind = sluice_message_ready}, answer;
  int result = sluice_network_loopback(&network);
  if (result != 0) fail(setup, network.stage, result);
  // A ping without a capability of its own (no file capability, not set-user-ID) may use ICMP sockets.
  sluice_write_file("/proc/sys/net/ipv4/ping_group_range", plan->ping_groups);
  make_link(&network, setup, &message);
  enter_stage(setup, sluice_stage_interface);
  result = sluice_network_configure(&network);
  if (result != 0) fail(setup, network.stage, result);

  if (plan->request.resolver) message.resolver_error = -sluice_resolver_replace(plan->request.resolver);

  message.value = network.link;
  message.ipv6 = network.ipv6;
  message.offloads = network.offloads;
  result = sluice_message_send(setup, &message, network.descriptors, network.count);
  if (result != 0) fail(setup, sluice_stage_descriptors, result);
  for (int i = 0; i < network.count; i++) close(network.descriptors[i]);

  expect(setup, sluice_stage_ready, &answer, sluice_message_go);
  result = raise_capabilities();
  if (result != 0) fail(setup, sluice_stage_capabilities, result);
  // Again: a change of credentials clears it. The keeper may have died just before.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != keeper) _exit(126);
  restore_signals(plan);

  execve(plan->request.path, (char *const *)plan->request.arguments, plan->environment);
  if (errno == ENOEXEC)
    execve("/bin/sh", (char *const *)plan->request.shell_arguments, plan->environment);
  fail(setup, sluice_stage_execute, -errno);
}
