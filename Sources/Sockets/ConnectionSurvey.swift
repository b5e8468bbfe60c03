// What the engines of connections say of themselves, for who watches a stack that runs. Only who is inside a connection may
// look at its engine, and nobody waits to get inside: each context looks at its own, in passes of its own, a few in each, and
// of one that somebody is inside of just then it tells what everybody can see.

import Exclusion
import SoftInterrupts
public import TCP

/// A connection, and what its engine says.
public struct ConnectionReport: Sendable {
  /// What everybody can see.
  public let summary: ConnectionSummary
  /// What its engine says; nil: a thread was inside of the connection at the moment of the look.
  public let info: TCPInfo?

  /// Joins the two.
  public init(summary: ConnectionSummary, info: TCPInfo?) {
    self.summary = summary
    self.info = info
  }
}

/// What a survey of one context found.
public struct ContextReport: Sendable {
  /// Connections that the context has in its part of the table, as many as were asked for, in no order.
  public let connections: [ConnectionReport]
  /// What the thread that ran the context at that moment has used of processors, in nanoseconds.
  public let processorTime: UInt64
}

extension SocketLayer {
  /// Looks at the connections of context `index`, at most `limit` of them. Any thread, while the contexts run; never waits.
  /// A connection at rest stays so.
  public func survey(_ index: Int, limit: Int) -> Answer<Result<ContextReport, SocketError>> {
    let survey = ConnectionSurvey(self, index, limit: limit)
    contexts.perform(on: index) { cx in survey.goOn(&cx) }
    return survey.answer
  }
}

/// A walk through the connections of one context, some in each pass.
private final class ConnectionSurvey: @unchecked Sendable {  // the context's alone, once it has begun
  let answer: Answer<Result<ContextReport, SocketError>>
  private let layer: SocketLayer
  private let index: Int
  private let limit: Int
  private var found: [ConnectionReport] = []
  /// The part of the table that comes next.
  private var part = 0

  /// Connections that are looked at in one pass, or one part of the table: some tens of microseconds.
  private static let step = 64

  init(_ layer: SocketLayer, _ index: Int, limit: Int) {
    self.layer = layer
    self.index = index
    self.limit = limit
    answer = Answer(layer.wakeAccount)
  }

  func goOn(_ cx: inout SoftInterrupt) {
    let before = found.count
    var next: Int?
    if limit > 0 {
      next = unsafe layer.shard(index).state.pointee.forEach(
        from: part, until: { found.count - before >= Self.step || found.count >= limit },
        { item in
          guard found.count < limit else { return }
          found.append(unsafe ConnectionRef(item.raw).report(layer, &cx))
        })
    }
    guard let next, found.count < limit else {
      let report = ContextReport(connections: found, processorTime: ownProcessorTime())
      return answer.complete(.success(report), &cx)
    }
    part = next
    layer.contexts.perform(on: index) { [self] cx in goOn(&cx) }
  }
}

extension ConnectionRef {
  /// In a pass of any context, which found it in the table.
  fileprivate func report(_ layer: SocketLayer, _ cx: inout SoftInterrupt) -> ConnectionReport {
    var info: TCPInfo?
    _ = gate.enterIfFree(&cx) { _ in info = withOwnedAtRest(layer) { $0.engine.info } }
    return ConnectionReport(summary: summary, info: info)
  }
}
