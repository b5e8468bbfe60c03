#define _GNU_SOURCE
#include "CFiber.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

// swapcontext would do, but makes two system calls a switch (signal masks): twenty times slower.
#if defined(__x86_64__)
__asm__(".text\n.globl cfiber_switch\n.type cfiber_switch,@function\ncfiber_switch:\n"
        "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
        "movq %rsp,(%rdi)\nmovq %rsi,%rsp\n"
        ".globl cfiber_continue\ncfiber_continue:\n"
        "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n"
        ".globl cfiber_start\ncfiber_start:\n.cfi_startproc\n.cfi_undefined rip\n"  // end of stack
        "movq %r12,%rdi\nxorl %ebp,%ebp\ncall *%r13\nud2\n.cfi_endproc\n");
enum { SAVED = 7, ENTRY = 2, ARGUMENT = 3, START = 6 };  // r15 r14 r13 r12 rbx rbp return
#elif defined(__aarch64__)
__asm__(".text\n.globl cfiber_switch\n.type cfiber_switch,@function\ncfiber_switch:\n"
        "sub sp,sp,#160\nstp x19,x20,[sp]\nstp x21,x22,[sp,#16]\nstp x23,x24,[sp,#32]\n"
        "stp x25,x26,[sp,#48]\nstp x27,x28,[sp,#64]\nstp x29,x30,[sp,#80]\n"
        "stp d8,d9,[sp,#96]\nstp d10,d11,[sp,#112]\nstp d12,d13,[sp,#128]\nstp d14,d15,[sp,#144]\n"
        "mov x9,sp\nstr x9,[x0]\nmov sp,x1\n"
        ".globl cfiber_continue\ncfiber_continue:\n"
        "ldp x19,x20,[sp]\nldp x21,x22,[sp,#16]\nldp x23,x24,[sp,#32]\nldp x25,x26,[sp,#48]\n"
        "ldp x27,x28,[sp,#64]\nldp x29,x30,[sp,#80]\nldp d8,d9,[sp,#96]\nldp d10,d11,[sp,#112]\n"
        "ldp d12,d13,[sp,#128]\nldp d14,d15,[sp,#144]\nadd sp,sp,#160\nret\n"
        ".globl cfiber_start\ncfiber_start:\n.cfi_startproc\n.cfi_undefined x30\n"
        "mov x0,x20\nblr x19\nbrk #0\n.cfi_endproc\n");
enum { SAVED = 20, ENTRY = 0, ARGUMENT = 1, START = 11 };
#endif
void cfiber_start(void);
void cfiber_continue(void);

static const size_t guard = 4096;

void *cfiber_prepare(void *top, void (*entry)(void *), void *argument) {
  void **frame = (void **)top - SAVED;
  for (int i = 0; i < SAVED; i++) frame[i] = 0;
  frame[ENTRY] = (void *)entry;
  frame[ARGUMENT] = argument;
  frame[START] = (void *)cfiber_start;
  return frame;
}

void *cfiber_map_stack(size_t size) {
  char *base = mmap(0, size + guard, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return NULL;
  if (mprotect(base, guard, PROT_NONE)) {
    munmap(base, size + guard);
    return NULL;
  }
  return base + guard + size;
}

void cfiber_unmap_stack(void *top, size_t size) { munmap((char *)top - size - guard, size + guard); }

static void **trap_continues_at;
static int *trap_signal;

// Runs on a stack of its own: the trap may be an overflow of the fiber's.
static void trapped(int number, siginfo_t *info, void *context) {
  ucontext_t *machine = context;
  (void)info;
  if (*trap_continues_at == NULL) {
    signal(number, SIG_DFL);  // outside a fiber: the instruction runs again, and ends the process
    return;
  }
  *trap_signal = number;
#if defined(__x86_64__)
  machine->uc_mcontext.gregs[REG_RSP] = (greg_t)*trap_continues_at;
  machine->uc_mcontext.gregs[REG_RIP] = (greg_t)cfiber_continue;
#elif defined(__aarch64__)
  machine->uc_mcontext.sp = (uintptr_t)*trap_continues_at;
  machine->uc_mcontext.pc = (uintptr_t)cfiber_continue;
#endif
}

void cfiber_catch_traps(void **current, int *signal_number) {
  trap_continues_at = current;
  trap_signal = signal_number;
  const size_t size = 64 << 10;
  stack_t stack = {.ss_sp = malloc(size), .ss_size = size};
  if (stack.ss_sp == NULL || sigaltstack(&stack, NULL) != 0) return;
  struct sigaction action = {.sa_sigaction = trapped, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  const int numbers[] = {SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGABRT};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) sigaction(numbers[i], &action, NULL);
}

void *cfiber_map_arena(size_t bytes) {
  void *const wanted = (void *)0x200000000000;
  void *arena = mmap(wanted, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return arena == MAP_FAILED ? NULL : arena;
}

int cfiber_callers(void *top, uintptr_t *into, int limit) {
  uintptr_t *frame = __builtin_frame_address(0);
  int count = 0;
  while (count < limit && frame != NULL && (void *)frame < top && frame[1] != 0) {
    into[count++] = frame[1];
    uintptr_t *outer = (uintptr_t *)frame[0];
    if (outer <= frame) break;
    frame = outer;
  }
  return count;
}

const char *cfiber_symbol(uintptr_t address) {
  Dl_info info;
  return dladdr((void *)address, &info) != 0 ? info.dli_sname : NULL;
}
