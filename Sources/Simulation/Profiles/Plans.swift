import Chance
import Sockets
import Timing

extension Workload {
  /// The sessions of a run, between host 0 and host 1 of the network, or the last of several.
  func plans(bytes: Int, hosts: Int, retries: Int, _ random: inout SeededGenerator) -> [SessionPlan] {
    var plan = SessionPlan(name: rawValue)
    plan.server = hosts - 1
    plan.isIPv4 = random.chance(percent: 50)
    plan.retries = retries
    var (up, down) = (Script(), Script())
    if retries > 0 {
      up.patience = .seconds(60)
      down.patience = .seconds(60)
    }
    func transfer(_ up: inout Script, _ down: inout Script, _ bytes: Int) {
      up.bursts = [Script.Burst(bytes: bytes)]
      down.expects = bytes
    }
    switch self {
    case .upload:
      transfer(&up, &down, bytes)
      // The receiver ends last, so that the sender is there to be asked how it went.
      down.bursts = [Script.Burst(bytes: 0, afterReceived: bytes, afterEnd: true)]
      plan.isMeasured = true
    case .download:
      transfer(&down, &up, bytes)
      up.bursts = [Script.Burst(bytes: 0, afterReceived: bytes, afterEnd: true)]
      plan.isMeasured = true
    case .both:
      transfer(&up, &down, bytes / 2)
      transfer(&down, &up, bytes / 2)
    case .exchange:
      let (request, response) = (1 + random.below(2000), 1 + random.below(12_000))
      let rounds = max(2, min(40, bytes / (request + response)))
      up.bursts = (0..<rounds).map { Script.Burst(bytes: request, afterReceived: $0 * response) }
      down.bursts = (0..<rounds).map { Script.Burst(bytes: response, afterReceived: ($0 + 1) * request) }
      up.expects = rounds * response
      down.expects = rounds * request
    case .halfClose:
      up.bursts = [Script.Burst(bytes: bytes / 4)]
      down.bursts = [Script.Burst(bytes: bytes / 4, afterReceived: bytes / 4, afterEnd: true)]
      up.expects = bytes / 4
      down.expects = bytes / 4
    case .short:
      let response = 1 + random.below(8000)
      up.bursts = [Script.Burst(bytes: 100)]
      down.bursts = [Script.Burst(bytes: response, afterReceived: 100)]
      up.expects = response
      down.expects = 100
      plan.connections = 24
      plan.concurrency = 1 + random.below(8)
    case .abort:
      // The one who sends learns of it: a reset that is lost is sent again for the next segment.
      let isServer = random.chance(percent: 50)
      let when = Script.Ending.abort(afterReceived: 1 + random.below(bytes / 4))
      if isServer {
        transfer(&up, &down, bytes / 2)
        (down.ending, up.toleratesFailure) = (when, true)
      } else {
        transfer(&down, &up, bytes / 2)
        (up.ending, down.toleratesFailure) = (when, true)
      }
      up.patience = .seconds(300)
      down.patience = .seconds(300)
    case .slowReader:
      transfer(&up, &down, bytes / 4)
      down.pause = (
        bytes: 8192 << random.below(4), time: .milliseconds(Int64(1 + random.below(400)))
      )
      plan.limits = BufferLimits(send: 64 << 10, receive: 32 << 10)
    case .parallel:
      plan.clientScript = up
      return (0..<16).map { number in
        var (up, down) = (up, down)
        transfer(&up, &down, bytes / 16)
        var flow = plan
        flow.name = "parallel \(number)"
        flow.client = hosts > 2 ? number % (hosts - 1) : 0
        flow.clientScript = up
        flow.serverScript = down
        flow.start = .milliseconds(Int64(random.below(20)))
        return flow
      }
    }
    plan.clientScript = up
    plan.serverScript = down
    return [plan]
  }
}
