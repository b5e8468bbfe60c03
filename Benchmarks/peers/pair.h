// What pairs of stacks in one process are measured by: work in turns, for a time or of a fixed size, and known text.
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/// Connections in TIME-WAIT, where they are remembered.
enum { REMEMBERED = 3000, text_period = 251, text_longest = 1 << 16 };

static void fail(const char *what) {
  fprintf(stderr, "%s\n", what);
  exit(1);
}

static unsigned char text[text_longest + text_period];
static void make_text(void) {
  for (int i = 0; i < (int)sizeof text; i++) text[i] = (unsigned char)(i % text_period * 7 + 1);
}
static const unsigned char *text_at(long position) { return text + position % text_period; }

/// All of it, or the first and last eight bytes.
static void expect_text(const void *bytes, long count, long position, int is_whole) {
  const unsigned char *is = bytes, *should = text_at(position);
  long edge = count < 8 ? count : 8;
  if (is_whole ? memcmp(is, should, count) != 0
               : memcmp(is, should, edge) != 0 || memcmp(is + count - edge, should + count - edge, edge) != 0)
    fail("bytes arrived that were not sent");
}

static double seconds(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct amount {
  int is_count;
  double number;
};
struct result {
  long units;
  double wall, processor;
};

/// `turn` does some of the work, at most so much, and says how much. `pass` tells the stacks the time in milliseconds,
/// once in `turns` turns: the real one, or a microsecond a turn where the work is of a fixed size. Without an amount
/// there is the warming alone.
static struct result measured(long (*turn)(long), long warm, const struct amount *amount, void (*pass)(uint32_t),
                              int turns) {
  static double virtual_milliseconds;
  static int is_virtual;
  if (amount != NULL) is_virtual = amount->is_count;
  struct result result = {0};
  for (int is_warm = 0; is_warm <= (amount != NULL); is_warm++) {
    double wall = seconds(CLOCK_MONOTONIC), processor = seconds(CLOCK_THREAD_CPUTIME_ID);
    long limit = !is_warm ? warm : amount->is_count ? (long)amount->number : 0, units = 0;
    double end = is_warm && !amount->is_count ? wall + amount->number : 0, last = wall;
    long idle = 0;
    while (end > 0 ? last < end : units < limit) {
      long before = units;
      for (int i = 0; i < turns && (end > 0 || units < limit); i++) units += turn(end > 0 ? 1L << 40 : limit - units);
      if (end > 0 || !is_virtual) last = seconds(CLOCK_MONOTONIC);
      virtual_milliseconds += turns / 1e3;
      if (pass != NULL) pass((uint32_t)(is_virtual ? virtual_milliseconds : last * 1e3));
      idle = units == before ? idle + 1 : 0;
      if (idle == 10000000) fail("the stacks stand still");
    }
    result = (struct result){units, seconds(CLOCK_MONOTONIC) - wall, seconds(CLOCK_THREAD_CPUTIME_ID) - processor};
  }
  return result;
}

static void print_result(struct result result) {
  printf("{\"units\": %ld, \"wall\": %.9f, \"processor\": %.9f}\n", result.units, result.wall, result.processor);
}

static long resident(void) {
  long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1) fail("/proc/self/statm");
  fclose(file);
  return pages * sysconf(_SC_PAGESIZE);
}
