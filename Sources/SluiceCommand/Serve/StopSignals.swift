import Glibc

/// The signals that `sluice serve` waits for: blocked in the thread that makes this and in all that it starts, so that
/// they wait until they are taken.
@safe struct StopSignals {
  /// What came.
  enum Signal {
    /// INT, TERM: the end.
    case stop
    /// USR1: the state is asked for.
    case status
  }
  private var set = sigset_t()

  init() {
    unsafe sigemptyset(&set)
    for signal in [SIGINT, SIGTERM, SIGUSR1] { unsafe sigaddset(&set, signal) }
    unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
  }

  /// Blocks until one comes.
  func wait() -> Signal {
    var taken: Int32 = 0
    while true {
      let failure = unsafe withUnsafePointer(to: set) { unsafe sigwait($0, &taken) }
      if failure == 0 { return taken == SIGUSR1 ? .status : .stop }
    }
  }
}
