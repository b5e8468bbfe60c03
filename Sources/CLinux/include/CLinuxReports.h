// Where a running stack tells about itself: stream sockets in the abstract namespace of AF_UNIX. Negative results are errno
// values.
#pragma once
#include <stddef.h>
#include <sys/types.h>

/// A listening socket of that name, close-on-exec and non-blocking. It is gone with its descriptor, and no file is left.
int sluice_reports_listen(const char *name, size_t length);
/// The next client, non-blocking, and its user; or -EAGAIN.
int sluice_reports_accept(int listener, uid_t *user);
/// A connection to who listens by that name, and the user who does. Blocking; what does not come within `seconds` fails.
int sluice_reports_connect(const char *name, size_t length, int seconds, uid_t *user);
/// Ends a wait for clients, for good.
void sluice_reports_end(int listener);
