// A command in a network of its own: namespaces, a link, a keeper that leaves nothing behind.
//
// Three processes. The *caller* serves the link. The *keeper*, its child, stays outside of the namespaces,
// adopts every orphan of the command and kills what is left when the command ends or the caller dies. The
// *command*, the keeper's child, makes its namespaces and the link, waits for "go" and executes. After fork
// the keeper and the command run C only and call nothing that is not async-signal-safe, so the caller may have
// threads.
#pragma once
#include <stdint.h>
#include <sys/types.h>

enum { sluice_launch_queue_limit = 16 };

/// Where a launch stands or failed.
enum sluice_launch_stage {
  sluice_stage_start = 0,          // sockets, fork
  sluice_stage_user_namespace,     // unshare(CLONE_NEWUSER)
  sluice_stage_identity,           // setgroups, gid_map, uid_map
  sluice_stage_network_namespace,  // unshare(CLONE_NEWNET), setns
  sluice_stage_loopback,           // lo up
  sluice_stage_tun_open,           // open of /dev/net/tun
  sluice_stage_tun_attach,         // TUNSETIFF
  sluice_stage_veth,               // the pair
  sluice_stage_packet_socket,      // AF_PACKET socket, options, bind
  sluice_stage_offloads,           // ethtool
  sluice_stage_interface,          // MTU, link-layer address, up
  sluice_stage_ipv4,               // address and default route
  sluice_stage_ipv6,               // address and default route
  sluice_stage_descriptors,        // SCM_RIGHTS
  sluice_stage_ready,              // waiting for "go"
  sluice_stage_capabilities,       // ambient set
  sluice_stage_execute,            // execve
  sluice_stage_join_user,          // setns(CLONE_NEWUSER)
  sluice_stage_join_network,       // setns(CLONE_NEWNET)
};

enum sluice_launch_link { sluice_link_automatic = 0, sluice_link_tap = 1, sluice_link_veth = 2 };

struct sluice_launch_request {
  /// What to execute: a path (see sluice_find_executable) and a NULL-terminated vector.
  const char *path;
  const char *const *arguments;
  /// "/bin/sh", path, arguments from the second on: for a script without an interpreter line, as execvp.
  const char *const *shell_arguments;
  /// Usually "/dev/net/tun".
  const char *tun_path;
  /// What the command finds in /etc/resolv.conf, a file of its own there; NULL: the host's.
  const char *resolver;
  /// Name of the command's interface, at most 15 bytes.
  const char *interface;
  enum sluice_launch_link link;
  int queues;
  int mtu;
  /// 1: checksums and segmentation are left to the other end of the link, where the kernel can.
  int offload;
  uint8_t mac[6];
  /// 1: an interface of one queue, which may be there already without IFF_MULTI_QUEUE.
  int single_queue;
  /// Network byte order.
  uint8_t ipv4[4], ipv4_gateway[4];
  uint8_t ipv6[16], ipv6_gateway[16];
  /// 0: no addresses of this family.
  int ipv4_prefix, ipv6_prefix;
  /// For the whole set-up, in milliseconds.
  int deadline;
};

struct sluice_launch {
  int control;  // to the keeper: signals out, exit status in
  int setup;    // to the command until it executes
  int pidfd;    // of the keeper, or -1
  pid_t keeper;
  pid_t command;
};

struct sluice_launch_report {
  enum sluice_launch_stage stage;  // of the failure
  int error;                       // positive errno; 0: the process died here (see status)
  int status;                      // wait status if the command died during set-up
  int timed_out;
  enum sluice_launch_link link;    // what was made
  int ipv6;                        // 1: the command has its IPv6 address
  int offloads;                    // sluice_offload_... of the link
  /// If `automatic` fell back to a veth pair, or failed with it: why there is no TAP.
  enum sluice_launch_stage tap_stage;
  int tap_error;
  /// Why the command has the host's /etc/resolv.conf, if it was to have another.
  int resolver_error;
  int descriptor_count;
  int descriptors[16];
};

/// The path that execvp would execute, by `PATH`, as the calling process may. 0, or a negative errno:
/// -ENOENT: not found, -EACCES: found, not executable.
int sluice_find_executable(const char *name, char *path, int capacity);

/// Runs everything up to "go". 0: `launch` is to be closed by the caller, the descriptors of `report` too.
/// Nonzero: nothing is left behind, `report` says why. The caller's signal mask is restored.
int sluice_launch(const struct sluice_launch_request *request, struct sluice_launch *launch,
                  struct sluice_launch_report *report);
// --- a namespace that is there already

/// Where a link is to be made.
struct sluice_join {
  int network_namespace;
  /// Entered before; -1: stay in ours.
  int user_namespace;
  /// 1: the interface gets its addresses and routes, and is up, as the loopback interface is.
  int configure;
};

/// A namespace by its path, such as /proc/PID/ns/net. -EINVAL: there is something else. -EALREADY: the
/// network namespace is that of this process.
int sluice_namespace_open(const char *path, int is_user);
/// The user namespace that a network namespace belongs to, which -EALREADY says to be ours, or a negative errno (-EPERM: it
/// is none below ours).
int sluice_namespace_owner(int network_namespace);
/// Makes a link as `request` says, of which what to execute is not looked at. 0: the descriptors of `report` are the
/// caller's. Nonzero: `report` says why. Blocks, for request->deadline at most.
int sluice_join(const struct sluice_launch_request *request, const struct sluice_join *target,
                struct sluice_launch_report *report);

/// Lets the command execute. 0 or a negative errno.
int sluice_launch_go(const struct sluice_launch *launch);
/// Sends `signal` to the command, if it still runs. Any thread. 0 or a negative errno.
int sluice_launch_signal(const struct sluice_launch *launch, int signal);
/// Waits until command and leftovers are gone, and forwards what arrives at `signals` (from
/// sluice_signals_begin; -1: nothing) meanwhile. 0: `status` is the wait status. -ECHILD: the keeper was killed,
/// no status is known. A positive errno: execve failed.
int sluice_launch_wait(const struct sluice_launch *launch, int signals, int *status);
/// Kills what still runs, reaps the keeper, closes the descriptors. Bounded in time.
void sluice_launch_close(struct sluice_launch *launch);

/// Catches HUP, INT, QUIT, TERM, USR1 and USR2 (those that are not ignored) and ignores PIPE, for the whole
/// process. A descriptor for sluice_launch_wait, or a negative errno (-EBUSY: begun already).
int sluice_signals_begin(void);
/// Restores what sluice_signals_begin found.
void sluice_signals_end(void);
