// Stacks that one thread switches between, and the way back from a trap: what `Explorer` runs its threads on.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// Saves the callee-saved registers on this stack, its pointer in *save, and continues at `to`.
void cfiber_switch(void *_Nonnull *_Nonnull save, void *_Nonnull to);
/// A stack pointer that, switched to, calls entry(argument), which must never return.
void *_Nonnull cfiber_prepare(void *_Nonnull top, void (*_Nonnull entry)(void *_Nonnull),
                              void *_Nonnull argument);
/// Maps a stack with an inaccessible page below it; returns its top, or NULL.
void *_Nullable cfiber_map_stack(size_t size);
/// Unmaps what cfiber_map_stack mapped.
void cfiber_unmap_stack(void *_Nonnull top, size_t size);

/// The Swift runtime's own hooks of a task switch: they move a suspended task's open exclusive accesses out of
/// the thread's set, so that fibers do not see each other's.
void cfiber_accesses_enter(char *_Nonnull state) __asm__("swift_task_enterThreadLocalContext");
void cfiber_accesses_exit(char *_Nonnull state) __asm__("swift_task_exitThreadLocalContext");

/// From here on a trap (SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGABRT) while *current is not NULL continues at *current,
/// a stack pointer that cfiber_switch saved, and leaves the signal's number in *trapped. Other traps end the
/// process as before.
void cfiber_catch_traps(void *_Nullable *_Nonnull current, int *_Nonnull trapped);

/// Zeroed memory at always the same address, as far as the system allows; NULL when it has none to give.
void *_Nullable cfiber_map_arena(size_t bytes);

/// Up to `limit` return addresses of the calling stack, innermost first, by frame pointers that stay between here
/// and `top`.
int cfiber_callers(void *_Nonnull top, uintptr_t *_Nonnull into, int limit);
/// The name of the symbol that holds `address`, or NULL.
const char *_Nullable cfiber_symbol(uintptr_t address);
