import Chance
import Sockets
import TCP
import Timing

/// Congestion controls, by the names that TCP_CONGESTION takes.
public enum SimulatedControl: String, Sendable, Hashable, CaseIterable {
  /// CUBIC.
  case cubic
  /// NewReno.
  case reno
  /// BBR.
  case bbr

  var algorithm: CongestionAlgorithm {
    switch self {
    case .cubic: .cubic
    case .reno: .newReno
    case .bbr: .bbr
    }
  }
}

/// What a run can be told.
public struct RunOptions: Sendable {
  /// Payload of a measured transfer, in bytes; nil: the profile's.
  public var bytes: Int?
  /// What applications do; nil: the seed chooses.
  public var workload: Workload?
  /// Lines of the trace that are kept; 0: none.
  public var traceLimit = 0
  /// Who rules the congestion window of all hosts.
  public var control = SimulatedControl.cubic
  /// Segments go in UDP (`TCPEncapsulation`).
  public var encapsulates = false
  /// Reference senders are run in the same link.
  public var comparesReference = true

  /// The defaults.
  public init() {}
}

/// One profile with one seed, from the first frame until everything is back where it came from.
final class Run {
  let profile: Profile
  let options: RunOptions
  let assembly: Assembly
  let traffic: Traffic
  let workload: Workload
  var result: RunResult
  private let began: UInt64
  /// Frame events after which a run is given up: some hundred times what an honest one needs.
  private var frameLimit: Int { 2_000_000 + (options.bytes ?? profile.bytes) / 4 }
  /// The network changes under way.
  private let hasTimeline: Bool
  private var network: Network { assembly.network }
  /// Packets of a context's pool that attacked connections may hold at most: what their buffers take.
  var packetBound = 6000
  /// What parallel transfers had received when the first of them was done.
  private var sharesAtFirstEnd: [Double] = []
  /// Called after each event, while applications run.
  var observer: (() -> Void)?

  init(_ profile: Profile, seed: UInt64, _ options: RunOptions) {
    self.profile = profile
    self.options = options
    var random = SeededGenerator(seed: SeededGenerator.mixed(Self.number(profile.name)) ^ seed)
    workload = options.workload ?? profile.workloads[random.below(profile.workloads.count)]
    var stack = StackParameters()
    stack.encapsulates = options.encapsulates
    stack.tcp.congestionControl = options.control.algorithm
    if profile.isFuzzing { stack.memory = 8 << 20 }
    stack.tcp.congestionNotification = profile.notification
    assembly = Assembly(profile, seed: seed, stack, &random)
    let network = assembly.network
    if options.traceLimit > 0 { network.trace = Trace(limit: options.traceLimit) }
    traffic = Traffic(network)
    began = network.clock.now().nanoseconds
    result = RunResult(profile: profile.name, seed: seed, workload: workload)
    let plans = workload.plans(
      bytes: options.bytes ?? profile.bytes, hosts: network.hosts.count, retries: profile.retries, &random)
    for plan in plans { traffic.add(plan) }
    let steps = profile.timeline(&random)
    hasTimeline = !steps.isEmpty
    // The assembly has the network: it must not have the assembly.
    network.timeline = { [unowned self] in self.assembly.perform(steps[$0].step, self.traffic) }
    for (index, step) in steps.enumerated() {
      network.plan(.timeline, after: UInt64(max(0, step.after.count)), index: index)
    }
    if profile.isFuzzing { beginMutations(random.next()) }
  }

  /// A name as a number, the same everywhere (FNV-1a).
  private static func number(_ name: String) -> UInt64 {
    name.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
  }

  private var elapsed: UInt64 { network.clock.now().nanoseconds - began }

  // MARK: The course

  /// Runs to the end. Once.
  func run() -> RunResult {
    if profile.isFuzzing {
      runFuzzing()
    } else {
      transfer(until: { self.traffic.isOver }, limit: began + UInt64(profile.limit.count))
    }
    measure()
    if result.failure == nil { end() }
    if result.failure != nil {
      result.states = traffic.sessions.flatMap { $0.endpoints.map(\.state) }
      abandon()
    }
    result.trace = network.trace?.inOrder ?? []
    result.wholeTime = elapsed
    result.frameEvents = network.frameEvents
    result.fingerprint = network.fingerprint
    network.loseAll()
    observer = nil
    return result
  }

  /// Steps stacks, applications and the network until `isOver`, a failure, or `limit`.
  func transfer(until isOver: () -> Bool, limit: UInt64) {
    while true {
      repeat { network.settle() } while traffic.run()
      observer?()
      noteShares()
      if let failure = traffic.failure { return fail(failure) }
      if isOver() { return }
      // A storm of frames is no progress, however little virtual time it takes.
      if network.frameEvents > frameLimit { return fail("endless: \(network.frameEvents) frame events") }
      guard network.advance(limit: limit) else {
        return fail(
          network.nextTime == nil ? "stuck: nothing is planned any more" : "stuck: not done in time")
      }
    }
  }

  func fail(_ what: String) { if result.failure == nil { result.failure = what } }

  /// Nothing of the applications is left; stacks end their connections, and everything must come back.
  private func end() {
    traffic.close()
    // Twenty minutes: the last retransmission of a FIN that nobody acknowledges, and TIME-WAIT after it.
    let limit = network.clock.now().nanoseconds + 1_200_000_000_000
    repeat { network.settle() } while traffic.run()
    while !isAllBack, network.advance(limit: limit) { network.settle() }
    for host in network.hosts {
      for (life, stack) in host.lives.enumerated() {
        let remains = stack.remains
        let name = "host \(host.number)\(host.lives.count > 1 ? " life \(life + 1)" : "")"
        if !remains.isEmpty { fail("\(name) is left with \(remains.joined(separator: ", "))") }
        if stack.wastedWakeups > 0 {
          fail("SB-EXACT: \(stack.wastedWakeups) useless wake-ups of \(name)")
        }
      }
    }
    if let failure = traffic.failure { fail(failure) }
  }
  private var isAllBack: Bool { network.hosts.allSatisfy { $0.lives.allSatisfy(\.isAtRest) } }

  /// After a failure: connections go without ceremony, so that the next run finds a clean process.
  private func abandon() {
    traffic.close()
    network.loseAll()
    for host in network.hosts { host.crash() }
    let limit = network.clock.now().nanoseconds + 5_000_000_000
    network.settle()
    while !isAllBack, network.advance(limit: limit) { network.settle() }
    for host in network.hosts {
      // What could not give everything back stays, or its pools would end the process before the failure is told.
      for stack in host.lives where !stack.isAtRest { _ = unsafe Unmanaged.passRetained(stack) }
    }
  }

  // MARK: Numbers

  private func measure() {
    result.transferTime = elapsed
    let endpoints = traffic.sessions.flatMap(\.endpoints)
    result.bytes = endpoints.reduce(0) { $0 + $1.received }
    result.timeouts = endpoints.reduce(0) { $0 + Int($1.informationNow.counters.timeouts) }
    for host in network.hosts {
      for stack in host.lives {
        result.retransmissions += stack.retransmissions
        result.checksumErrors += stack.checksumErrors
      }
    }
    let narrow = [network.pipes[assembly.narrow], network.pipes[assembly.narrow + 1]]
    result.largestQueue = narrow.map(\.statistics.largestQueue).max() ?? 0
    for pipe in network.pipes {
      result.queueDrops += pipe.statistics.queueDrops
      result.losses += pipe.statistics.losses
      result.mutations += pipe.mutator?.count ?? 0
    }
    if let measured = traffic.sessions.first(where: \.plan.isMeasured),
      let receiver = measured.endpoints.last(where: { $0.received > 0 && $0.outcome == .complete })
    {
      let client = measured.endpoints.last { $0.isClient }
      let time = receiver.lastArrival - min(receiver.began, client?.began ?? receiver.began)
      let pipe = narrow[receiver.isClient ? 1 : 0]
      result.goodput = Double(receiver.received) * 8e9 / Double(max(1, time))
      result.limit = pipe.payloadLimit(isIPv4: measured.plan.isIPv4)
      result.averageQueue = pipe.statistics.queueIntegral / Double(max(1, elapsed))
      if options.comparesReference { compare(measured.plan, pipe) }
    }
    result.fairness = fairness
  }

  /// The same transfer by reference senders. Not where the network changes under way, which they know nothing of.
  private func compare(_ plan: SessionPlan, _ pipe: Pipe) {
    guard !hasTimeline else { return }
    let payload = pipe.parameters.mtu - (plan.isIPv4 ? 52 : 72)
    let access = profile.topology == .direct ? 0 : 0.0001
    func goodput(_ control: ReferenceControl) -> Double? {
      var transfer = ReferenceTransfer(
        pipe.parameters, bytes: options.bytes ?? profile.bytes, payload: payload, window: plan.limits.receive,
        access: access, handshakes: profile.topology == .routed ? 1 : 2, seed: result.seed, control)
      return transfer?.goodput()
    }
    guard let newReno = goodput(.newReno(10)), let cubic = goodput(.cubic(10)),
      let bandwidth = goodput(.bbr(10))
    else { return }
    result.reference = (newReno, cubic, bandwidth)
  }

  /// Jain's index: the square of the sum of shares over n times the sum of their squares. Shares are what each had
  /// transferred when the first one was done: until then all of them wanted more.
  private var fairness: Double? {
    let squares = sharesAtFirstEnd.reduce(0) { $0 + $1 * $1 }
    guard squares > 0 else { return nil }
    let sum = sharesAtFirstEnd.reduce(0, +)
    return sum * sum / (Double(sharesAtFirstEnd.count) * squares)
  }
  private func noteShares() {
    // Transfers of a few windows are over before there is anything to share.
    guard workload == .parallel, sharesAtFirstEnd.isEmpty, options.bytes ?? profile.bytes >= 4 << 20 else {
      return
    }
    let receivers = traffic.sessions.map { $0.endpoints.first { !$0.isClient } }
    guard receivers.contains(where: { $0.map { $0.received == $0.script.expects } ?? false }) else { return }
    sharesAtFirstEnd = receivers.map { Double($0?.received ?? 0) }
  }
}

extension Pipe {
  /// Bits of TCP payload per second that fit through: full segments with timestamps, less what is lost.
  func payloadLimit(isIPv4: Bool) -> Double? {
    guard let rate = parameters.rate else { return nil }
    let headers = (isIPv4 ? 20 : 40) + 20 + 12
    let share = Double(parameters.mtu - headers) / Double(parameters.mtu + FrameLayout.linkBytes)
    return Double(rate) * share * (1 - parameters.loss.share) * (1 - parameters.corruption)
  }
}

/// Runs profiles.
public enum Simulation {
  /// Runs `profile` with `seed`. A run that fails is run once more, with its trace.
  public static func run(_ profile: Profile, seed: UInt64, _ options: RunOptions = RunOptions()) -> RunResult
  {
    let result = Run(profile, seed: seed, options).run()
    guard result.failure != nil, options.traceLimit == 0 else { return result }
    var traced = options
    traced.traceLimit = 60
    return Run(profile, seed: seed, traced).run()
  }
}
