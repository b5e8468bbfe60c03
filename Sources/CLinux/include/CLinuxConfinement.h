// What a process gives up once it has what it needs: privileges, files, system calls. For a process with one thread; those
// that it starts afterwards are confined with it. Negative results are errno values.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// Enters an empty, read-only file system in a mount namespace of its own, but for what /proc says of the process's own
/// threads, which libdispatch reads; without CAP_SYS_ADMIN in a user namespace of its
/// own, too. Descriptors stay. A refusal leaves everything as it was, but for a user namespace, perhaps.
int sluice_confine_files(void);

/// Gives up every capability, in all sets and for good, and with them what set-user-ID and file capabilities would give
/// (no_new_privs). `kept`: a mask of capabilities that stay permitted and effective, of those that there are.
int sluice_confine_privileges(uint64_t kept);

/// Installs the filter of system calls. `signalled`: the one process that may be sent signals beside this one; 0: none.
int sluice_confine_calls(pid_t signalled);

/// Bytes of a file that are told at most.
#define SLUICE_WATCHED_BYTES 65536
/// Makes a process that watches a file, by inotify, and tells what it has: at once, and whenever that changes. It has no descriptor
/// of ours, no privilege, hears nothing, and ends with us. For one that is about to lose its files. A descriptor that is readable
/// when there is something, and the process; or a negative errno.
int sluice_file_watch(const char *path, int32_t *process);
/// What the file has, at most `capacity` bytes. -EAGAIN: nothing new; 0: the process is gone.
ssize_t sluice_file_watch_next(int watch, void *bytes, size_t capacity);
/// Ends the process, and waits for that.
void sluice_file_watch_end(int watch, int32_t process);

// --- for tests, which cannot confine themselves

enum sluice_trial {
  sluice_trial_work,       // all that a gateway does, confined
  sluice_trial_refused,    // calls that are refused
  sluice_trial_deadly,     // a call that ends the process
  sluice_trial_files,      // what there is of files
  sluice_trial_privileges  // what there is of privileges
};
/// Confines a process that is made for it, and has it try. 0: as it should be; 77: this machine does not let us; 1000 and a
/// signal's number: it ended the process; else a step that went wrong, or a negative errno.
int sluice_confinement_trial(enum sluice_trial what);
