import Exclusion
import Timing

/// The applications of a run: all sessions, who is ready to go on, and what they wait for.
final class Traffic {
  unowned let network: Network
  private(set) var sessions: [Session] = []
  var ready: [Sleeper] = []
  private var alarms: [(() -> Void)?] = []
  /// Where everybody reads into; its content is looked at at once.
  var scratch = [UInt8](repeating: 0, count: Pattern.longest)
  /// Whether what arrives must be what was sent. Not so where frames are changed and their checksums repaired.
  var checksBytes = true
  /// Whether connections may fail. So where somebody on the path sees to it.
  var toleratesFailure = false
  /// The first thing that went wrong.
  private(set) var failure: String?

  init(_ network: Network) {
    self.network = network
    network.wakes = { [unowned self] index in
      let alarm = alarms[index]
      alarms[index] = nil
      alarm?()
    }
  }

  /// Nanoseconds.
  var now: UInt64 { network.clock.now().nanoseconds }

  func fail(_ what: String) { if failure == nil, !toleratesFailure { failure = what } }

  @discardableResult func add(_ plan: SessionPlan) -> Session {
    let session = Session(self, number: sessions.count, plan)
    sessions.append(session)
    session.listen()
    alarm(after: plan.start) { [unowned session] in session.start() }
    return session
  }

  func alarm(after time: Nanoseconds, _ body: @escaping () -> Void) {
    alarms.append(body)
    network.plan(.wakes, after: UInt64(max(0, time.count)), index: alarms.count - 1)
  }

  func ended(_ endpoint: Endpoint) { endpoint.session.ended(endpoint) }

  /// Runs whoever was woken. False: nobody was.
  func run() -> Bool {
    var hasMoved = false
    for session in sessions where session.isPolled && session.poll() { hasMoved = true }
    while !ready.isEmpty {
      let woken = ready
      ready.removeAll(keepingCapacity: true)
      for sleeper in woken { sleeper.run() }
      hasMoved = true
    }
    return hasMoved
  }

  var isOver: Bool { sessions.allSatisfy(\.isOver) }

  /// Nothing of the applications is left open.
  func close() {
    for session in sessions { session.close() }
    for session in sessions { for endpoint in session.endpoints { endpoint.vanish() } }
    ready.removeAll()
  }
}
