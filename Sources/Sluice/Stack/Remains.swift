internal import Exclusion

/// What is in use in a stack: nothing, before its start and after its shutdown (RS-LEAK).
public struct StackRemains: Hashable, Sendable {
  /// Packets of the contexts' pools and of applications.
  public var packets: Int
  /// Chunks and views of applications' bytes.
  public var chunks: Int
  /// Connections, in all states.
  public var connections: Int
  /// Entries in the connection table.
  public var findable: Int
  /// Bound listeners and datagram sockets.
  public var bindings: Int
  /// Neighbours.
  public var neighbors: Int
  /// Timers on the contexts' wheels.
  public var timers: Int
  /// Bytes in the account of socket memory.
  public var memory: Int

  /// Whether nothing is left.
  public var isEmpty: Bool {
    packets == 0 && chunks == 0 && connections == 0 && findable == 0 && bindings == 0 && neighbors == 0
      && timers == 0 && memory == 0
  }
}

extension Stack {
  /// What is in use now. Any thread.
  public func remains() -> StackRemains {
    let all = 0..<contexts.count
    let packets = (0..<contexts.coreCount).reduce(layer.buffers.packets.inUse) {
      $0 + contexts.pool($1).counters.inUse
    }
    return StackRemains(
      packets: packets, chunks: layer.buffers.chunks.inUse + layer.buffers.views.inUse,
      connections: all.reduce(0) { $0 + layer.connectionsInUse($1) },
      findable: all.reduce(0) { $0 + layer.connectionsFindable($1) }, bindings: layer.bindingCount,
      neighbors: internet.statistics().interfaces.reduce(0) { $0 + $1.neighbors.count },
      timers: all.reduce(0) { $0 + Int(clamping: contexts.counters($1).timersArmed.value) },
      memory: layer.memoryStatistics().total)
  }

  /// Passes over every context, one after the other, until nothing is in use or nothing changes any more. What a
  /// pass posts to another context is done by the next round.
  func drain() {
    var before = remains()
    var rounds = 0
    while !before.isEmpty, rounds < 64 {
      for index in 0..<contexts.count { barrier(index) }
      let after = remains()
      rounds = after == before ? rounds + 1 : 0
      before = after
    }
  }

  /// Blocks until context `index` has done what was posted to it before.
  private func barrier(_ index: Int) {
    let parker = Parker()
    let target = parker.wakeTarget
    contexts.perform(on: index) { cx in cx.wake(target) }
    withApplication { held in
      while !parker.park(&held) {}
    }
  }
}
