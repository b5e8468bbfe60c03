public import Sockets

extension Stack {
  /// Connections with what their engines say, at most `limit` for each context, and what each context's thread has used of
  /// processors, by the contexts' numbers. Each context looks at its own, a few in each pass: connections that work go
  /// on, and those at rest stay so. Any task; allocates, and costs a context about a microsecond a connection.
  ///
  /// - Throws: `.networkDown` after a shutdown.
  public nonisolated(nonsending) func contextReports(
    limit: Int = 1000
  ) async throws(SocketError) -> [ContextReport] {
    try enter()
    defer { intake.leave() }
    var found: [ContextReport] = []
    for answer in (0..<contexts.count).map({ layer.survey($0, limit: limit) }) {
      var taken = TakeAnswer(answer: answer)
      found.append(try await suspend(&taken))
    }
    return found
  }
}

extension BlockingStack {
  /// As ``Stack/contextReports(limit:)``, and blocks.
  public func contextReports(limit: Int = 1000) throws(SocketError) -> [ContextReport] {
    try stack.enter()
    defer { stack.intake.leave() }
    var found: [ContextReport] = []
    for answer in (0..<stack.contexts.count).map({ stack.layer.survey($0, limit: limit) }) {
      var taken = TakeAnswer(answer: answer)
      found.append(try block(&taken))
    }
    return found
  }
}
