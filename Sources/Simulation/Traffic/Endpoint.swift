import Exclusion
import Sockets
import TCP

/// One end of a connection, which follows its script and checks every byte.
final class Endpoint {
  enum Outcome: Equatable {
    /// Everything was sent, and everything arrived with its end.
    case complete
    /// It aborted, as its script says, or because its patience was at an end.
    case aborted
    case failed(SocketError)
    /// Its host crashed.
    case vanished
  }

  private unowned let traffic: Traffic
  unowned let session: Session
  let script: Script
  let isClient: Bool
  let host: Int
  private(set) var socket: StreamSocket?
  private let reader: Sleeper
  private let writer: Sleeper
  private var burst = 0
  private var sentInBurst = 0
  private(set) var sent = 0
  private(set) var received = 0
  private var sawEnd = false
  private var hasShutDown = false
  private var isPausing = false
  private var sincePause = 0
  /// The handshake was completed.
  private(set) var wasConnected = false
  private(set) var outcome: Outcome?
  /// Nanoseconds: when it began, when the last byte arrived, when anything last moved.
  let began: UInt64
  private(set) var lastArrival: UInt64
  private var lastProgress: UInt64
  /// The engine's account, taken when the socket is let go of.
  private(set) var information = TCPInfo()

  init(_ traffic: Traffic, _ session: Session, _ socket: StreamSocket, isClient: Bool) {
    self.traffic = traffic
    self.session = session
    self.socket = socket
    self.isClient = isClient
    script = isClient ? session.plan.clientScript : session.plan.serverScript
    host = isClient ? session.plan.client : session.plan.server
    began = traffic.now
    lastArrival = began
    lastProgress = began
    reader = Sleeper(traffic)
    writer = Sleeper(traffic)
    reader.resume = { [unowned self] in read(wasWoken: $0) }
    writer.resume = { [unowned self] in write(wasWoken: $0) }
  }

  func begin() {
    if script.bursts.count > 1 { socket?.setNoDelay(true) }
    if script.patience != nil { watch() }
    write(wasWoken: false)
    if outcome == nil, socket?.isConnected == true { read(wasWoken: false) }
  }

  // MARK: Sending

  private var mayBurst: Bool {
    guard burst < script.bursts.count else { return false }
    let next = script.bursts[burst]
    return received >= next.afterReceived && (!next.afterEnd || sawEnd)
  }

  private func write(wasWoken: Bool) {
    var wasWoken = wasWoken
    var isWaitingToConnect = false
    while outcome == nil, !writer.isAsleep, let socket {
      guard socket.isConnected else {
        if let failure = socket.failure { return end(.failed(failure)) }
        if wasWoken { writer.wasted(at: socket.writePoint) }
        wasWoken = false
        isWaitingToConnect = true
        if writer.sleep(at: socket.writePoint, need: 0, isReady: { socket.isWritable(need: $0) }) { return }
        continue
      }
      wasConnected = true
      if wasWoken || isWaitingToConnect {
        isWaitingToConnect = false
        moved()
        if !reader.isAsleep, !isPausing, !sawEnd {
          // The handshake is complete: from now on there may be something to read.
          read(wasWoken: false)
          if outcome != nil { return }
        }
      }
      guard mayBurst else { return finishSending() }
      let left = script.bursts[burst].bytes - sentInBurst
      if left == 0 {
        burst += 1
        sentInBurst = 0
        continue
      }
      let attempt = unsafe Pattern.withBytes(
        of: session.stream(fromClient: isClient), from: sent, count: left
      ) {
        (count: $0.count, outcome: unsafe socket.tryWrite($0))
      }
      switch attempt.outcome {
      case .bytes(let count):
        wasWoken = false
        sent += count
        sentInBurst += count
        moved()
      case .failed(let error): return end(.failed(error))
      case .wouldBlock:
        if wasWoken { writer.wasted(at: socket.writePoint) }
        wasWoken = false
        let need = socket.writeNeed(attempt.count)
        if writer.sleep(at: socket.writePoint, need: need, isReady: { socket.isWritable(need: $0) }) {
          return
        }
      }
    }
  }

  private func finishSending() {
    guard burst >= script.bursts.count, !hasShutDown, let socket else { return }
    switch script.ending {
    case .shutdown:
      hasShutDown = true
      socket.shutdownSend()
      endIfComplete()
    case .abort: break
    }
  }

  // MARK: Receiving

  private func read(wasWoken: Bool) {
    var wasWoken = wasWoken
    while outcome == nil, !reader.isAsleep, !sawEnd, !isPausing, let socket {
      let outcome = unsafe traffic.scratch.withUnsafeMutableBytes { unsafe socket.tryRead(into: $0) }
      switch outcome {
      case .bytes(let count):
        wasWoken = false
        guard check(count) else { return }
        advanceScript()
      case .endOfStream:
        sawEnd = true
        moved()
        if received != script.expects, !script.toleratesFailure {
          return traffic.fail("\(name): the stream ended after \(received) of \(script.expects) bytes")
        }
        if mayBurst { write(wasWoken: false) } else { finishSending() }
        endIfComplete()
      case .failed(let error): return end(.failed(error))
      case .wouldBlock:
        if wasWoken { reader.wasted(at: socket.readPoint) }
        wasWoken = false
        if reader.sleep(at: socket.readPoint, need: 1, isReady: { socket.isReadable(need: $0) }) { return }
      }
    }
  }

  /// Compares what arrived with the pattern. False: the run has failed.
  private func check(_ count: Int) -> Bool {
    let stream = session.stream(fromClient: !isClient)
    let wrong = unsafe traffic.scratch.withUnsafeBytes {
      unsafe Pattern.mismatch(of: stream, from: received, UnsafeRawBufferPointer(rebasing: $0[..<count]))
    }
    if let wrong, traffic.checksBytes {
      traffic.fail("\(name): byte \(received + wrong) is not what was sent")
      return false
    }
    received += count
    lastArrival = traffic.now
    moved()
    if received > script.expects, traffic.checksBytes {
      traffic.fail("\(name): \(received) bytes arrived, and \(script.expects) were sent")
      return false
    }
    sincePause += count
    if let pause = script.pause, sincePause >= pause.bytes {
      sincePause = 0
      isPausing = true
      traffic.alarm(after: pause.time) { [weak self] in
        self?.isPausing = false
        self?.read(wasWoken: false)
      }
    }
    return true
  }

  private func advanceScript() {
    if case .abort(let count) = script.ending, received >= count { return abort() }
    if mayBurst, !writer.isAsleep { write(wasWoken: false) }
  }

  // MARK: Ending

  private func endIfComplete() {
    if sawEnd, hasShutDown { end(.complete) }
  }

  private func abort() {
    guard outcome == nil else { return }
    socket?.abort()
    end(.aborted)
  }

  /// The host crashed: the handle goes without a word.
  func vanish() {
    guard outcome == nil else { return }
    end(.vanished)
  }

  private func end(_ outcome: Outcome) {
    guard self.outcome == nil else { return }
    self.outcome = outcome
    reader.cancel()
    writer.cancel()
    if let socket { information = socket.informationAtRest }
    socket?.close()
    socket = nil
    traffic.ended(self)
  }

  private func moved() { lastProgress = traffic.now }

  /// Looks after the patience of the application.
  private func watch() {
    guard let patience = script.patience else { return }
    traffic.alarm(after: patience) { [weak self] in
      guard let self, outcome == nil else { return }
      if traffic.now - lastProgress >= UInt64(patience.count) { abort() } else { watch() }
    }
  }

  /// A snapshot for plots and results.
  var informationNow: TCPInfo { socket?.informationAtRest ?? information }

  var name: String { "\(session.plan.name) \(isClient ? "client" : "server")" }
  /// Where it stands, for who looks for what is stuck.
  var state: String {
    let outcome = outcome.map { "\($0)" } ?? "open, \(informationNow.state)"
    return
      "\(name): sent \(sent) of \(script.sends), received \(received) of \(script.expects), end \(sawEnd), \(outcome)"
  }
}
