import Exclusion
import Sockets
import Wire

/// The connections of one plan: a listener at the server, clients that come to it, and both their ends.
final class Session {
  private(set) var plan: SessionPlan
  let number: Int
  private unowned let traffic: Traffic
  private(set) var endpoints: [Endpoint] = []
  private var listener: ListeningSocket?
  private let accepter: Sleeper
  private var pendingListen: Answer<Result<ListeningSocket, SocketError>>?
  private var pendingConnects: [Answer<Result<StreamSocket, SocketError>>] = []
  private var begun = 0
  private var completed = 0
  private var retries = 0
  private(set) var isDone = false

  init(_ traffic: Traffic, number: Int, _ plan: SessionPlan) {
    self.traffic = traffic
    self.number = number
    self.plan = plan
    accepter = Sleeper(traffic)
    accepter.resume = { [unowned self] in accept(wasWoken: $0) }
  }

  /// Which stream of the pattern a direction is.
  func stream(fromClient: Bool) -> UInt64 { UInt64(number) &* 7919 &+ (fromClient ? 0 : 104_729) }

  private var serverStack: HostStack? { traffic.network.hosts[plan.server].stack }
  private var address: SocketAddress {
    SocketAddress(
      traffic.network.hosts[plan.server].address(isIPv4: plan.isIPv4), port: UInt16(1000 + number))
  }

  // MARK: Servers

  func listen() {
    pendingListen = serverStack?.sockets.listen(on: address, backlog: 128, limits: plan.limits)
  }

  private func accept(wasWoken: Bool) {
    var wasWoken = wasWoken
    while let listener, !accepter.isAsleep {
      switch listener.tryAccept() {
      case .success(let socket):
        wasWoken = false
        let endpoint = Endpoint(traffic, self, socket, isClient: false)
        endpoints.append(endpoint)
        endpoint.begin()
      case .failure(.wouldBlock):
        if wasWoken { accepter.wasted(at: listener.accepting) }
        wasWoken = false
        if accepter.sleep(at: listener.accepting, need: 1, isReady: { _ in listener.isAcceptable }) { return }
      case .failure: return
      }
    }
  }

  // MARK: Clients

  func start() {
    guard !isDone else { return }
    for _ in 0..<min(plan.concurrency, plan.connections) { beginConnection() }
  }

  private func beginConnection() {
    guard let stack = traffic.network.hosts[plan.client].stack else { return }
    begun += 1
    let port = stack.sockets.encapsulation?.port ?? 0
    pendingConnects.append(
      stack.sockets.connect(to: address, limits: plan.limits, encapsulationPort: port))
  }

  /// Looks at the answers of the control plane. True: there was one.
  func poll() -> Bool {
    var hasMoved = false
    if let answer = pendingListen, answer.isReady {
      pendingListen = nil
      hasMoved = true
      switch answer.take() {
      case .success(let socket):
        listener = socket
        accept(wasWoken: false)
      case .failure(let error): traffic.fail("\(plan.name): listen: \(error)")
      case nil: break
      }
    }
    for place in pendingConnects.indices.reversed() where pendingConnects[place].isReady {
      let answer = pendingConnects.remove(at: place)
      hasMoved = true
      switch answer.take() {
      case .success(let socket):
        let endpoint = Endpoint(traffic, self, socket, isClient: true)
        endpoints.append(endpoint)
        endpoint.begin()
      case .failure(let error): traffic.fail("\(plan.name): connect: \(error)")
      case nil: break
      }
    }
    return hasMoved
  }
  var isPolled: Bool { pendingListen != nil || !pendingConnects.isEmpty }

  // MARK: Ends

  func ended(_ endpoint: Endpoint) {
    guard let outcome = endpoint.outcome, !isDone else { return }
    let isAborting = if case .abort = endpoint.script.ending { true } else { false }
    switch outcome {
    case .complete:
      if endpoint.isClient { connectionDone() }
    case .aborted where isAborting:
      if endpoint.isClient { connectionDone() }
    case .aborted, .failed, .vanished:
      if endpoint.isClient {
        // Where nobody answered, applications try again: three solicitations, or all SYNs, may have been lost.
        let isUnanswered = !endpoint.wasConnected && outcome != .vanished && retries < 5 * plan.connections
        if retries < plan.retries || isUnanswered {
          retries += 1
          begun -= 1
          if outcome != .vanished {
            traffic.alarm(after: .milliseconds(500)) { [weak self] in self?.again() }
          }
        } else if endpoint.script.toleratesFailure {
          connectionDone()
        } else {
          traffic.fail("\(endpoint.name): \(outcome) after \(endpoint.received) bytes")
        }
      } else if plan.retries == 0, !endpoint.script.toleratesFailure {
        traffic.fail("\(endpoint.name): \(outcome) after \(endpoint.received) bytes")
      }
    }
  }

  private func connectionDone() {
    completed += 1
    if completed == plan.connections { isDone = true }
    if begun < plan.connections { beginConnection() }
  }
  private func again() {
    if !isDone, begun < plan.connections, traffic.failure == nil { beginConnection() }
  }

  /// Everything has ended, at both ends.
  var isOver: Bool { isDone && endpoints.allSatisfy { $0.outcome != nil } }

  // MARK: Crashes

  func hostCrashed(_ host: Int) {
    if host == plan.server {
      accepter.cancel()
      listener = nil
      pendingListen = nil
    }
    if host == plan.client { pendingConnects.removeAll() }
    for endpoint in endpoints where endpoint.host == host { endpoint.vanish() }
  }
  func hostStarted(_ host: Int) {
    guard !isDone else { return }
    if host == plan.server { listen() }
    if host == plan.client {
      while begun < min(plan.connections, completed + plan.concurrency) { beginConnection() }
    }
  }

  /// The server expects another number of bytes than the client sends: a mistake for tests of the checks. Before the
  /// first connection.
  func shiftExpectation(by bytes: Int) { plan.serverScript.expects += bytes }

  /// Lets go of everything, and begins nothing more: who was about to try again does not.
  func close() {
    isDone = true
    accepter.cancel()
    listener?.close()
    listener = nil
    pendingListen = nil
    pendingConnects.removeAll()
  }
}
