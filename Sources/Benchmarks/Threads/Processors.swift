import Glibc

/// Of this machine.
enum Processors {
  /// Those that this process may use.
  static var count: Int { max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }
  /// Blocks the calling thread.
  static func sleep(seconds: Int) { usleep(useconds_t(seconds) * 1_000_000) }
}
