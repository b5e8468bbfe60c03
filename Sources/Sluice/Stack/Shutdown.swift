internal import Exclusion

extension Stack {
  /// Stops the stack: nothing new is taken in, sockets are closed, connections reset, the contexts finish what
  /// they have and end (RS-QUIESCE). Whoever waits returns with an error; later calls fail. Blocks for some
  /// milliseconds. Cannot fail; again it does nothing.
  ///
  /// Returns what is still there when everything should be gone (RS-LEAK): nothing, once the program has let go
  /// of its streams and sockets.
  @discardableResult
  public func shutdown() -> StackRemains {
    guard quiesce() else { return remains() }
    if isRunning {
      drain()
      forget()
      drain()
      stopContexts()
      settle()
    }
    finishCaptures()
    return remains()
  }

  /// The first half of a shutdown: no call is under way any more that waits for a context, and everything is
  /// on its way to its end. False: that has been done.
  package func quiesce() -> Bool {
    guard intake.close() else { return false }
    layer.stopIntake()
    endpoints.closeAll()
    layer.abortAll()
    return true
  }

  /// The second half, when the connections' last segments are out: neighbours go, and what waits for them.
  package func forget() { internet.forgetNeighbors() }

  /// The last step, when no context runs any more.
  package func finishCaptures() {
    for interface in configuration.interfaces { interface.capture?.finish() }
  }
}
