// The filter of system calls (seccomp(2)): what a running gateway needs, with what it needs of it; all else is refused, and
// what nothing of ours ever calls ends the process, for whoever calls it is not us.
#define _GNU_SOURCE
#include "CLinuxConfinement.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OUR_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "the filter of system calls knows x86-64 and arm64"
#endif

enum rule {
  allow,
  deadly,       // ends the process
  absent,       // as if the kernel had no such call: who calls it has another way
  families,     // argument 0: AF_UNIX, AF_INET or AF_INET6
  own_process,  // argument 0: this process, or the one that is named
  no_execution, // argument 2 has no PROT_EXEC
  threads,      // argument 0 has CLONE_THREAD
  names,        // argument 0: PR_SET_NAME, PR_SET_VMA, PR_GET_NAME
  only_reading, // argument 2, of openat: no flag that writes, or makes
  own_limits,   // argument 0: 0, which is this process
};

static const struct {
  int number;
  enum rule rule;
} table[] = {
    // Descriptors, one at a time or in pieces.
    {SYS_read, allow}, {SYS_write, allow}, {SYS_readv, allow}, {SYS_writev, allow}, {SYS_close, allow},
    {SYS_pread64, allow}, {SYS_pwrite64, allow}, {SYS_lseek, allow}, {SYS_fstat, allow}, {SYS_newfstatat, allow},
    {SYS_fsync, allow},
    {SYS_fdatasync, allow}, {SYS_ftruncate, allow}, {SYS_fcntl, allow}, {SYS_ioctl, allow}, {SYS_dup, allow},
    {SYS_dup3, allow}, {SYS_pipe2, allow}, {SYS_eventfd2, allow}, {SYS_splice, allow}, {SYS_getdents64, allow},
    {SYS_close_range, allow},
    // Sockets.
    {SYS_socket, families}, {SYS_socketpair, families}, {SYS_connect, allow}, {SYS_bind, allow},
    {SYS_listen, allow}, {SYS_accept, allow}, {SYS_accept4, allow}, {SYS_shutdown, allow},
    {SYS_getsockname, allow}, {SYS_getpeername, allow}, {SYS_getsockopt, allow}, {SYS_setsockopt, allow},
    {SYS_sendto, allow}, {SYS_recvfrom, allow}, {SYS_sendmsg, allow}, {SYS_recvmsg, allow},
    {SYS_sendmmsg, allow}, {SYS_recvmmsg, allow},
    // Waiting.
    {SYS_epoll_create1, allow}, {SYS_epoll_ctl, allow}, {SYS_epoll_pwait, allow}, {SYS_ppoll, allow},
    {SYS_pselect6, allow}, {SYS_futex, allow}, {SYS_nanosleep, allow}, {SYS_clock_nanosleep, allow},
    {SYS_timerfd_create, allow}, {SYS_timerfd_settime, allow}, {SYS_timerfd_gettime, allow},
    {SYS_restart_syscall, allow},
    // Memory.
    {SYS_mmap, no_execution}, {SYS_mprotect, no_execution}, {SYS_munmap, allow}, {SYS_mremap, allow},
    {SYS_madvise, allow}, {SYS_brk, allow}, {SYS_membarrier, allow},
    // Threads, and the end.
    {SYS_clone, threads}, {SYS_set_robust_list, allow}, {SYS_gettid, allow}, {SYS_sched_yield, allow},
    {SYS_sched_getaffinity, allow}, {SYS_sched_setaffinity, allow}, {SYS_getcpu, allow}, {SYS_exit, allow},
    {SYS_exit_group, allow}, {SYS_wait4, allow}, {SYS_waitid, allow}, {SYS_prctl, names},
    // Signals.
    {SYS_rt_sigaction, allow}, {SYS_rt_sigprocmask, allow}, {SYS_rt_sigreturn, allow},
    {SYS_rt_sigtimedwait, allow}, {SYS_rt_sigsuspend, allow}, {SYS_sigaltstack, allow},
    {SYS_tgkill, own_process}, {SYS_kill, own_process},
    // What there is to know.
    {SYS_getpid, allow}, {SYS_getppid, allow}, {SYS_getuid, allow}, {SYS_geteuid, allow}, {SYS_getgid, allow},
    {SYS_getegid, allow}, {SYS_clock_gettime, allow}, {SYS_clock_getres, allow}, {SYS_gettimeofday, allow},
    {SYS_getrandom, allow}, {SYS_getrusage, allow}, {SYS_sysinfo, allow}, {SYS_uname, allow},
    {SYS_times, allow}, {SYS_capget, allow}, {SYS_prlimit64, own_limits}, {SYS_sched_getparam, allow},
    {SYS_sched_getscheduler, allow}, {SYS_sched_get_priority_max, allow}, {SYS_sched_get_priority_min, allow},
    // Of what was open before: a socket's name goes with it.
    {SYS_unlinkat, allow},
    // What there is to read in an empty root: this process's threads.
    {SYS_openat, only_reading},
    // The C library tries these first and has another way.
    {SYS_clone3, absent}, {SYS_rseq, allow},
#ifdef SYS_futex_waitv
    {SYS_futex_waitv, allow},
#endif
#ifdef SYS_epoll_pwait2
    {SYS_epoll_pwait2, allow},
#endif
#ifdef SYS_epoll_wait
    {SYS_epoll_wait, allow},
#endif
#ifdef SYS_poll
    {SYS_poll, allow},
#endif
#ifdef SYS_select
    {SYS_select, allow},
#endif
#ifdef SYS_time
    {SYS_time, allow},
#endif
#ifdef SYS_arch_prctl
    {SYS_arch_prctl, absent},
#endif
    // Whoever calls these has taken the process over.
    {SYS_execve, deadly}, {SYS_execveat, deadly}, {SYS_ptrace, deadly}, {SYS_process_vm_readv, deadly},
    {SYS_process_vm_writev, deadly}, {SYS_unshare, deadly}, {SYS_setns, deadly}, {SYS_mount, deadly},
    {SYS_umount2, deadly}, {SYS_pivot_root, deadly}, {SYS_chroot, deadly}, {SYS_init_module, deadly},
    {SYS_finit_module, deadly}, {SYS_bpf, deadly}, {SYS_keyctl, deadly}, {SYS_add_key, deadly},
    {SYS_request_key, deadly}, {SYS_kexec_load, deadly}, {SYS_perf_event_open, deadly},
    {SYS_userfaultfd, deadly}, {SYS_open_by_handle_at, deadly}, {SYS_setuid, deadly}, {SYS_setgid, deadly},
    {SYS_setresuid, deadly}, {SYS_setresgid, deadly}, {SYS_capset, deadly},
#ifdef SYS_fork
    {SYS_fork, deadly},
#endif
#ifdef SYS_vfork
    {SYS_vfork, deadly},
#endif
};
enum { rules = sizeof table / sizeof table[0], limit = 4 * rules + 96 };

static const uint32_t refusal = SECCOMP_RET_ERRNO | EPERM;

/// The program, an instruction at a time. Each rule is a comparison that jumps over its verdict.
struct program {
  struct sock_filter code[limit];
  unsigned count;
};
static void put(struct program *program, uint16_t code, uint8_t yes, uint8_t no, uint32_t value) {
  program->code[program->count++] = (struct sock_filter){code, yes, no, value};
}
static void load(struct program *program, size_t offset) {
  put(program, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offset);
}
/// The lower half of an argument: flags and small numbers lie there.
static void load_argument(struct program *program, unsigned index) {
  size_t offset = offsetof(struct seccomp_data, args) + index * sizeof(uint64_t);
  load(program, offset);
}
static void give(struct program *program, uint32_t verdict) { put(program, BPF_RET | BPF_K, 0, 0, verdict); }
/// With the loaded word in `values`: allowed; else refused.
static void one_of(struct program *program, const uint32_t *values, unsigned count, uint32_t refused) {
  for (unsigned i = 0; i < count; i++) {
    put(program, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, values[i]);
    give(program, SECCOMP_RET_ALLOW);
  }
  give(program, refused);
}

/// With none of these bits in an argument: allowed; else refused.
static void none_of(struct program *program, unsigned argument, uint32_t bits, uint32_t refused) {
  load_argument(program, argument);
  put(program, BPF_JMP | BPF_JSET | BPF_K, 1, 0, bits);
  give(program, SECCOMP_RET_ALLOW);
  give(program, refused);
}

static void put_rule(struct program *program, int number, enum rule rule, pid_t signalled, uint32_t refused) {
  static const uint32_t known_families[] = {AF_UNIX, AF_INET, AF_INET6};
  static const uint32_t known_names[] = {PR_SET_NAME, PR_GET_NAME, 0x53564d41 /* PR_SET_VMA */};
  uint32_t processes[] = {(uint32_t)getpid(), (uint32_t)signalled};
  unsigned at = program->count;
  put(program, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, (uint32_t)number);
  switch (rule) {
    case allow: give(program, SECCOMP_RET_ALLOW); break;
    case deadly: give(program, SECCOMP_RET_KILL_PROCESS); break;
    case absent: give(program, SECCOMP_RET_ERRNO | ENOSYS); break;
    case families:
      load_argument(program, 0);
      one_of(program, known_families, 3, refused);
      break;
    case names:
      load_argument(program, 0);
      one_of(program, known_names, 3, refused);
      break;
    case own_limits:
      load_argument(program, 0);
      put(program, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0);
      give(program, SECCOMP_RET_ALLOW);
      give(program, refused);
      break;
    case own_process:
      load_argument(program, 0);
      one_of(program, processes, signalled > 0 ? 2 : 1, refused);
      break;
    case only_reading: none_of(program, 2, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND, refused); break;
    case no_execution: none_of(program, 2, PROT_EXEC, refused); break;
    case threads:
      load_argument(program, 0);
      put(program, BPF_JMP | BPF_JSET | BPF_K, 0, 1, CLONE_THREAD);
      give(program, SECCOMP_RET_ALLOW);
      give(program, refused);
      break;
  }
  // Another number: behind all that. What was loaded is the number still.
  program->code[at].jf = (uint8_t)(program->count - at - 1);
}

static void build(struct program *program, pid_t signalled, uint32_t refused) {
  program->count = 0;
  load(program, offsetof(struct seccomp_data, arch));
  put(program, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, OUR_ARCHITECTURE);
  give(program, SECCOMP_RET_KILL_PROCESS);
  load(program, offsetof(struct seccomp_data, nr));
#if defined(__x86_64__)
  // The x32 calls have numbers of their own (seccomp(2)).
  put(program, BPF_JMP | BPF_JGE | BPF_K, 0, 1, 0x40000000);
  give(program, SECCOMP_RET_KILL_PROCESS);
#endif
  for (unsigned i = 0; i < rules; i++) put_rule(program, table[i].number, table[i].rule, signalled, refused);
  give(program, refused);
}

int sluice_confine_calls(pid_t signalled) {
  static struct program program;
  build(&program, signalled, refusal);
  struct sock_fprog filter = {.len = (unsigned short)program.count, .filter = program.code};
  // For all threads, though there is one.
  long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
  if (result > 0) return -ESRCH;
  return result == 0 ? 0 : -errno;
}
