// Signals that somebody sends to us are meant for the command.
#define _GNU_SOURCE
#include "launch_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const int forwarded[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
enum { forwarded_count = sizeof forwarded / sizeof forwarded[0] };

static struct sigaction before[forwarded_count], before_pipe;
static int channel[2] = {-1, -1};

static void handle(int signal, siginfo_t *information, void *context) {
  int caught[3] = {signal, information->si_code, information->si_code <= 0 ? information->si_pid : 0};
  int error = errno;
  (void)context;
  if (write(channel[1], caught, sizeof caught) < 0) errno = error;  // full: thousands of them wait already
  errno = error;
}

int sluice_signals_begin(void) {
  if (channel[0] >= 0) return -EBUSY;
  if (pipe2(channel, O_CLOEXEC | O_NONBLOCK) != 0) return -errno;
  struct sigaction action = {.sa_flags = SA_SIGINFO | SA_RESTART};
  action.sa_sigaction = handle;
  sigfillset(&action.sa_mask);
  for (int i = 0; i < forwarded_count; i++) {
    sigaction(forwarded[i], NULL, &before[i]);
    // Ignored by who started us (nohup, a background job): ignored by the command, too.
    if (before[i].sa_handler != SIG_IGN) sigaction(forwarded[i], &action, NULL);
  }
  struct sigaction ignore = {.sa_handler = SIG_IGN};
  sigaction(SIGPIPE, &ignore, &before_pipe);
  return channel[0];
}

void sluice_signals_end(void) {
  if (channel[0] < 0) return;
  for (int i = 0; i < forwarded_count; i++) sigaction(forwarded[i], &before[i], NULL);
  sigaction(SIGPIPE, &before_pipe, NULL);
  close(channel[0]);
  close(channel[1]);
  channel[0] = channel[1] = -1;
}

int sluice_signals_ignore_pipe(void) { return channel[0] >= 0 && before_pipe.sa_handler != SIG_IGN; }
