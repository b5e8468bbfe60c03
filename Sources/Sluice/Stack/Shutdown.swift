import Exclusion

extension Stack {
  /// Stops the stack: nothing new is taken in, sockets are closed, connections reset, the contexts finish what
  /// they have and end (RS-QUIESCE). Whoever waits returns with an error; later calls fail. Blocks for some
  /// milliseconds. Cannot fail; again it does nothing.
  ///
  /// Returns what is still there when everything should be gone (RS-LEAK): nothing, once the program has let go
  /// of its streams and sockets.
  @discardableResult
  public func shutdown() -> StackRemains {
    guard intake.close() else { return remains() }
    layer.stopIntake()
    endpoints.closeAll()
    layer.abortAll()
    if isRunning { drain() }
    stopContexts()
    for interface in configuration.interfaces { interface.capture?.finish() }
    return remains()
  }
}
