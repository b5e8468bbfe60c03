// The command's own resolver configuration: a file that nobody else sees, over the host's, which stays as it is.
#define _GNU_SOURCE
#include "launch_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static const char configuration[] = "/etc/resolv.conf";
/// Where the file may be made: covered for a moment, in our mount namespace alone. Not where the configuration lies.
static const char *const places[] = {"/tmp", "/mnt", "/media", "/run"};

static int write_whole(const char *path, const char *text) {
  int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (file < 0) return -errno;
  size_t length = strlen(text);
  ssize_t count = write(file, text, length);
  int result = count == (ssize_t)length && fchmod(file, 0644) == 0 ? 0 : count < 0 ? -errno : -EIO;
  close(file);
  return result;
}

static int replace_from(const char *place, const char *path, const char *text) {
  if (mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=64k,mode=755") != 0) return -errno;
  int result = write_whole(path, text);
  if (result == 0 && mount(path, configuration, NULL, MS_BIND, NULL) != 0) result = -errno;
  // What is bound lives on.
  if (umount2(place, MNT_DETACH) != 0 && result == 0) result = -errno;
  return result;
}

int sluice_resolver_replace(const char *text) {
  static const char *const paths[] = {
      "/tmp/resolv.conf", "/mnt/resolv.conf", "/media/resolv.conf", "/run/resolv.conf"};
  if (access(configuration, F_OK) != 0) return -errno;
  if (unshare(CLONE_NEWNS) != 0) return -errno;
  // What we mount stays here; what the host mounts later still comes.
  if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0) return -errno;
  int result = -ENOENT;
  for (size_t i = 0; i < sizeof places / sizeof places[0] && result != 0; i++)
    result = replace_from(places[i], paths[i], text);
  return result;
}
