// What the parts of the launcher share.
#pragma once
#include "CLinuxLaunch.h"

#include <signal.h>
#include <stddef.h>

/// Prepared before fork: the processes after it only read.
struct sluice_launch_plan {
  struct sluice_launch_request request;
  char *const *environment;
  pid_t caller;
  int reset_pipe;          // SIGPIPE is ignored by us, not by who started us
  int whole_identity;      // the caller writes the id maps
  char uid_map[48], gid_map[48];
  char ping_groups[48];
};

enum sluice_message_kind {
  sluice_message_stage = 1,  // command → caller: about to do `stage`
  sluice_message_map,        // command → caller: write my id maps
  sluice_message_mapped,     // caller → command: `value` 1: done, 0: do it yourself
  sluice_message_failed,     // command → caller: `stage`, `error`
  sluice_message_ready,      // command → caller: `value` is the link; descriptors come along
  sluice_message_go,         // caller → command
  sluice_message_started,    // keeper → caller: `value` is the command's process id
  sluice_message_signal,     // caller → keeper: `value`
  sluice_message_ended,      // keeper → caller: `value` is the wait status
};

struct sluice_message {
  int32_t kind, stage, error, value;
  int32_t tap_stage, tap_error, ipv6, offloads, resolver_error;
};

/// Both are one packet, whole or not at all; 0 or a negative errno (-EPIPE: the other end is gone).
int sluice_message_send(int socket, const struct sluice_message *message, const int *descriptors, int count);
int sluice_message_receive(int socket, struct sluice_message *message, int *descriptors, int *count);

_Noreturn void sluice_keeper_main(const struct sluice_launch_plan *plan, int control, int setup);
_Noreturn void sluice_command_main(const struct sluice_launch_plan *plan, int setup, pid_t keeper);

/// 1: this process ignores SIGPIPE only because of sluice_signals_begin.
int sluice_signals_ignore_pipe(void);

// --- the command's network

struct sluice_network {
  const struct sluice_launch_request *request;
  enum sluice_launch_link link;
  int ipv6;
  int offloads;
  int descriptors[sluice_launch_queue_limit];
  int count;
  enum sluice_launch_stage stage;  // of a failure
};

/// Each: 0 or a negative errno with `stage` set.
int sluice_network_loopback(struct sluice_network *network);
int sluice_network_tap(struct sluice_network *network);
int sluice_network_veth(struct sluice_network *network);
int sluice_network_configure(struct sluice_network *network);

int sluice_write_file(const char *path, const char *text);
/// Gives this process, and what it starts, an /etc/resolv.conf of its own. 0 or a negative errno: then it has the host's.
int sluice_resolver_replace(const char *text);

// --- rtnetlink, one request at a time, on the stack

struct sluice_netlink {
  int socket;
  uint32_t sequence;
  size_t used;
  char buffer[1024] __attribute__((aligned(8)));
};

int sluice_netlink_open(struct sluice_netlink *netlink);
void sluice_netlink_close(struct sluice_netlink *netlink);
void sluice_netlink_begin(struct sluice_netlink *netlink, int type, int flags, const void *body, size_t size);
void sluice_netlink_put(struct sluice_netlink *netlink, int type, const void *data, size_t size);
size_t sluice_netlink_nest(struct sluice_netlink *netlink, int type);
void sluice_netlink_append(struct sluice_netlink *netlink, const void *data, size_t size);
void sluice_netlink_end(struct sluice_netlink *netlink, size_t nest);
/// Sends and waits for the answer, two seconds at most. 0 or a negative errno.
int sluice_netlink_talk(struct sluice_netlink *netlink);
