import CLinux

/// Catches the signals that somebody sends to this process but means for its command: HUP, INT, QUIT, TERM, USR1
/// and USR2. What was ignored from the start (nohup, a background job) stays so, here and in the command. PIPE is
/// ignored here, and back to normal in the command. The terminal's ^C reaches the command by itself, as it shares
/// our process group, and so does not end us; ^Z stops both.
///
/// Make one before the launch; hand it to ``IsolatedCommand/wait(forwarding:)``. Dropping it restores what was.
public final class CommandSignals: Sendable {
  let descriptor: Int32

  /// Nil if there is one already, or no descriptor for it.
  public init?() {
    descriptor = sluice_signals_begin()
    if descriptor < 0 { return nil }
  }

  deinit { sluice_signals_end() }
}
