#define _GNU_SOURCE
#include "CLinuxTerminal.h"

#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios before;
static int taken_input = -1, taken_output = -1;

static const char begin[] = "\033[?1049h\033[?25l", end[] = "\033[?25h\033[?1049l";

/// Safe in a signal handler.
void sluice_terminal_give_back(void) {
  if (taken_input < 0) return;
  int input = taken_input;
  taken_input = -1;
  ssize_t ignored = write(taken_output, end, sizeof end - 1);
  (void)ignored;
  (void)tcsetattr(input, TCSAFLUSH, &before);
}

static void give_back_and_die(int number) {
  sluice_terminal_give_back();
  raise(number);  // the handler is gone: it ends the process
}

int sluice_terminal_take(int input, int output) {
  if (!isatty(output) || tcgetattr(input, &before) != 0) return -ENOTTY;
  struct termios raw = before;
  raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
  raw.c_iflag &= ~(tcflag_t)(IXON | ICRNL);
  raw.c_cc[VMIN] = 0;
  raw.c_cc[VTIME] = 0;
  if (tcsetattr(input, TCSAFLUSH, &raw) != 0) return -errno;
  taken_input = input;
  taken_output = output;
  struct sigaction action = {.sa_handler = give_back_and_die, .sa_flags = (int)SA_RESETHAND | SA_NODEFER};
  const int ending[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT};
  for (unsigned each = 0; each < sizeof ending / sizeof *ending; each++) (void)sigaction(ending[each], &action, NULL);
  ssize_t ignored = write(output, begin, sizeof begin - 1);
  (void)ignored;
  return 0;
}

int sluice_terminal_size(int output, int *columns, int *lines) {
  struct winsize size;
  if (ioctl(output, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return 0;
  *columns = size.ws_col;
  *lines = size.ws_row;
  return 1;
}
