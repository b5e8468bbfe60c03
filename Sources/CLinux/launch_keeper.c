// The keeper: parent of the command, adopts its orphans, and lets nothing outlive the command or the caller.
// Only async-signal-safe calls.
#define _GNU_SOURCE
#include "launch_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct keeper {
  int control;
  pid_t caller, command;
  int running;
  int stopped;  // the command stopped itself, and we stopped the caller for it
  int status;
};

/// A descriptor that stays open here would keep a pipe of the user's, or another launch, from ending.
static void close_all_but(int kept) {
  struct rlimit limit = {.rlim_cur = 1024};
  int done = kept == 0 || syscall(SYS_close_range, 0, kept - 1, 0) == 0;
  if (done && syscall(SYS_close_range, kept + 1, ~0u, 0) == 0) return;
  getrlimit(RLIMIT_NOFILE, &limit);
  for (int descriptor = 0; descriptor < (int)limit.rlim_cur && descriptor < 65536; descriptor++)
    if (descriptor != kept) close(descriptor);
}

/// The parent of a process, from the text of /proc/PID/stat; 0 if there is none.
static pid_t parent_of(const char *process) {
  char path[64] = "/proc/", text[512];
  strncat(path, process, 20);
  strcat(path, "/stat");
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  ssize_t count = read(file, text, sizeof text - 1);
  close(file);
  if (count <= 0) return 0;
  text[count] = 0;
  // "pid (name) state parent": a name may hold parentheses and blanks, so from the last one.
  const char *after = strrchr(text, ')');
  if (after == NULL || strlen(after) < 5) return 0;
  pid_t parent = 0;
  for (after += 4; *after >= '0' && *after <= '9'; after++) parent = parent * 10 + (*after - '0');
  return parent;
}

/// Kills every child. Their children become ours, and are found the next time.
static void kill_children(void) {
  struct entry {
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
  };
  char buffer[4096] __attribute__((aligned(8)));
  int directory = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  pid_t self = getpid();
  long count;
  while (directory >= 0 && (count = syscall(SYS_getdents64, directory, buffer, sizeof buffer)) > 0) {
    for (long at = 0; at < count;) {
      struct entry *entry = (struct entry *)(void *)(buffer + at);
      at += entry->length;
      if (entry->name[0] < '1' || entry->name[0] > '9' || parent_of(entry->name) != self) continue;
      pid_t child = 0;
      for (const char *digit = entry->name; *digit >= '0' && *digit <= '9'; digit++)
        child = child * 10 + (*digit - '0');
      kill(child, SIGKILL);
    }
  }
  if (directory >= 0) close(directory);
}

static void reap(struct keeper *keeper) {
  for (;;) {
    int status;
    pid_t process = waitpid(-1, &status, WNOHANG | WUNTRACED);
    if (process <= 0) {
      // Nobody left, yet no status: whoever started us had SIGCHLD ignored and the command was reaped.
      if (process < 0 && errno == ECHILD && keeper->running) keeper->running = 0;
      return;
    }
    if (process != keeper->command) continue;
    if (!WIFSTOPPED(status)) {
      keeper->running = 0;
      keeper->status = status;
    } else if (getpgid(process) != getpgrp() && getppid() == keeper->caller) {
      // A shell with job control suspended itself. Ours must see its job stop, too; the terminal did not do
      // it, as the shell has a process group of its own.
      keeper->stopped = 1;
      kill(keeper->caller, SIGSTOP);
    }
  }
}

/// SIGKILL to all, again and again, as killed parents leave children. A process that the kernel does not let
/// die (a dead file server) is left behind after five seconds.
static void end_everything(struct keeper *keeper) {
  if (keeper->running) kill(keeper->command, SIGKILL);
  for (int round = 0; round < 1000; round++) {
    int status;
    pid_t process;
    while ((process = waitpid(-1, &status, WNOHANG)) > 0)
      if (process == keeper->command) {
        keeper->running = 0;
        keeper->status = status;
      }
    if (process < 0 && errno == ECHILD) return;
    kill_children();
    struct timespec pause = {0, round < 20 ? 500000 : 5000000};
    nanosleep(&pause, NULL);
  }
}

static void read_signals(struct keeper *keeper, int signals) {
  struct signalfd_siginfo information;
  while (read(signals, &information, sizeof information) == (ssize_t)sizeof information) {
    if (information.ssi_signo == SIGCONT && keeper->stopped && keeper->running) {
      keeper->stopped = 0;
      kill(keeper->command, SIGCONT);
    }
  }
  reap(keeper);
}

static void keep(struct keeper *keeper) {
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGCHLD);
  sigaddset(&mask, SIGCONT);
  int signals = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
  if (signals < 0) return;
  reap(keeper);
  while (keeper->running) {
    struct pollfd watched[2] = {{.fd = keeper->control, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    if (poll(watched, 2, -1) < 0 && errno != EINTR) return;
    if (watched[1].revents) read_signals(keeper, signals);
    if (watched[0].revents) {
      struct sluice_message message;
      int count = 0;
      // The end of the caller's side: it closed, or died.
      if (sluice_message_receive(keeper->control, &message, NULL, &count) != 0) return;
      if (message.kind == sluice_message_signal && keeper->running) kill(keeper->command, message.value);
    }
  }
}

_Noreturn void sluice_keeper_main(const struct sluice_launch_plan *plan, int control, int setup) {
  struct keeper keeper = {.control = control, .caller = plan->caller, .running = 1};
  struct sigaction standard = {.sa_handler = SIG_DFL}, found;
  // All signals are blocked here, and stay so: the terminal's are for the command.
  sigaction(SIGCHLD, &standard, &found);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  pid_t self = getpid();
  keeper.command = fork();
  if (keeper.command == 0) {
    if (found.sa_handler == SIG_IGN) sigaction(SIGCHLD, &found, NULL);
    close(control);
    sluice_command_main(plan, setup, self);
  }
  struct sluice_message message = {
      .kind = sluice_message_started, .error = keeper.command < 0 ? errno : 0, .value = keeper.command};
  sluice_message_send(control, &message, NULL, 0);
  if (keeper.command < 0) _exit(1);
  prctl(PR_SET_NAME, "sluice-keeper");
  close_all_but(control);
  if (chdir("/") != 0) keeper.status = 0;  // only so as not to hold a mount: no matter if refused

  keep(&keeper);
  end_everything(&keeper);
  message = (struct sluice_message){.kind = sluice_message_ended, .value = keeper.status};
  sluice_message_send(control, &message, NULL, 0);
  _exit(0);
}
