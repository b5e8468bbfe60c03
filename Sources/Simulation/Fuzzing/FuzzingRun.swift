import Chance
import Timing

extension Run {
  /// Frames of both directions are changed from now on. What arrives need not be what was sent.
  func beginMutations(_ seed: UInt64) {
    traffic.checksBytes = false
    var random = SeededGenerator(seed: seed)
    let share = [0.01, 0.05, 0.2, 0.5][random.below(4)]
    for pipe in assembly.network.pipes { pipe.mutator = FrameMutator(seed: random.next(), share: share) }
  }

  /// An attack of twenty seconds; then whoever is left is sent home, and a fresh connection must be served as if
  /// nothing had been.
  func runFuzzing() {
    let network = assembly.network
    traffic.toleratesFailure = true
    let end = network.clock.now().nanoseconds + 20_000_000_000
    var isAttackOver = false
    traffic.alarm(after: .seconds(20)) { isAttackOver = true }
    transfer(until: { isAttackOver }, limit: end)
    guard result.failure == nil else { return }
    for host in network.hosts {
      guard let stack = host.stack else { continue }
      if stack.largestUse > packetBound {
        return fail("memory: host \(host.number) held \(stack.largestUse) packets")
      }
    }
    for pipe in network.pipes { pipe.mutator?.share = 0 }
    traffic.close()
    for host in network.hosts { host.stack?.sockets.abortAll() }
    traffic.checksBytes = true
    traffic.toleratesFailure = false
    var random = SeededGenerator(seed: result.seed)
    let fresh = Workload.upload.plans(bytes: 64 << 10, hosts: network.hosts.count, retries: 0, &random)
    let sessions = fresh.map { traffic.add($0) }
    transfer(
      until: { sessions.allSatisfy(\.isOver) }, limit: network.clock.now().nanoseconds + 60_000_000_000)
    if let failure = result.failure { result.failure = "after the attack: \(failure)" }
  }
}
