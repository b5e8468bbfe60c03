import Chance
import Buffers
import TCP
import Testing
import Timing
import Wire

/// What a simulated link does to segments.
struct LinkProfile: Sendable {
  var delay = Nanoseconds.milliseconds(10)
  /// Up to this much more, drawn for each segment: it reorders.
  var jitter = Nanoseconds.zero
  var loss = 0.0
  var duplication = 0.0
  /// The share of segments from senders that are capable which is marked.
  var marking = 0.0
  /// Bytes a second; zero: no limit.
  var rate = 0
  /// Bytes that wait for a limited link; what finds no room is lost.
  var buffer = Int.max
}

/// A host with one connection and an application that writes `outgoing` bytes of the test stream, reads what
/// arrives, and closes when both is done as its plan says.
final class SimulatedHost {
  var connection: TCPConnection
  let pool: TestPool
  /// The send queue.
  private(set) var queue: [UInt8] = []
  /// Bytes of the queue's front that were dropped but not removed.
  private var queueHead = 0
  /// Bytes that the application has not written yet.
  var toWrite: Int
  var written = 0
  /// Bytes of the queue at most.
  var sendBuffer = 256 * 1024
  /// The receive buffer, in which data waits if the application reads slowly.
  let receiveBuffer: Int
  var unread = 0
  var received = 0
  var wrong = 0
  /// The application reads this many bytes at each step; nil: everything at once.
  var readStep: Int?
  /// Close when everything is written, or when the peer has closed as well.
  var closesFirst = true
  var sawEnd = false
  /// When the application saw the end of the stream.
  private(set) var sawEndAt: Instant?
  var isShut = false
  var effects = TCPEffects()
  /// The right edge of what the peer ever offered, as far as it arrived.
  private var offeredEdge: SequenceNumber?

  init(_ connection: consuming TCPConnection, receiveBuffer: Int, toWrite: Int, pool: TestPool) {
    self.connection = connection
    self.receiveBuffer = receiveBuffer
    self.toWrite = toWrite
    self.pool = pool
  }

  typealias Emit = (SimulatedHost, TCPOutgoing, [UInt8]) -> Void

  /// Runs a call, checks what must hold, and puts what was sent on the link.
  func run(_ emit: Emit, _ call: (SimulatedHost, inout Recorder) -> TCPEffects) {
    var recorder = Recorder()
    let last = call(self, &recorder)
    wrong += strangers(in: recorder.delivered, from: received)
    received += recorder.delivered.count
    unread += recorder.delivered.count
    for segment in recorder.segments {
      var payload: [UInt8] = []
      if segment.payloadCount > 0 {
        // Beyond the peer's window goes nothing but the byte that probes it.
        #expect(
          segment.payloadCount == 1
            || offeredEdge.map { segment.sequence + segment.payloadCount <= $0 } ?? false)
        let start = queueHead + segment.payloadOffset
        precondition(segment.payloadOffset >= 0 && start + segment.payloadCount <= queue.count)
        payload = Array(queue[start..<start + segment.payloadCount])
      }
      emit(self, segment, payload)
    }
    queueHead += last.acknowledgedBytes
    precondition(queueHead <= queue.count, "more was acknowledged than was queued")
    if queueHead > 1 << 16 {
      queue.removeFirst(queueHead)
      queueHead = 0
    }
    precondition(queue.count - queueHead == connection.queuedBytes)
    effects.merge(last)
    if last.endOfStream { sawEnd = true }
  }

  /// A segment is about to be given to the engine: what it offers.
  func learn(_ segment: TCPSegment) {
    guard segment.flags.contains(.ack) else { return }
    let scale = segment.flags.contains(.syn) ? 0 : Int(connection.info.sendWindowScale)
    let edge = segment.acknowledgment + Int(segment.window) << scale
    offeredEdge = offeredEdge.map { SequenceNumber.later($0, edge) } ?? edge
  }

  /// The application's turn.
  func work(now: Instant, _ emit: Emit) {
    if sawEnd, sawEndAt == nil { sawEndAt = now }
    while toWrite > 0, connection.canEnqueue, connection.queuedBytes < sendBuffer {
      let count = min(toWrite, sendBuffer - connection.queuedBytes, 40_000)
      queue += stream(count, from: written)
      written += count
      toWrite -= count
      run(emit) { $0.connection.enqueue(count, now: now, sink: &$1) }
    }
    if unread > 0 {
      unread -= min(unread, readStep ?? unread)
      run(emit) { $0.connection.receiveSpace($0.receiveBuffer - $0.unread, now: now, sink: &$1) }
    }
    if toWrite == 0, !isShut, connection.state.isSynchronized, closesFirst || sawEnd {
      isShut = true
      run(emit) { $0.connection.shutdownSend(now: now, sink: &$1) }
    }
  }
}

/// Two hosts and a link between them, in virtual time, from one seed.
final class SimulatedNetwork {
  private struct Event {
    var time: Instant
    var order: Int
    var toServer: Bool
    var segment: TCPSegment
    var payload: [UInt8]
  }

  let pool = TestPool()
  let client: SimulatedHost
  private(set) var server: SimulatedHost?
  private(set) var now = Instant(milliseconds: 1000)
  var profile: LinkProfile
  private var random: SeededGenerator
  private var events: [Event] = []
  private var order = 0
  private var busyUntil: [Instant] = [.zero, .zero]
  private let serverConfiguration: TCPConfiguration
  private let serverWrites: Int
  private let serverISS: SequenceNumber
  var onServer: (SimulatedHost) -> Void = { _ in }
  /// Segments with sequence space or acknowledgments that the link lost.
  private(set) var losses = 0
  /// Segments that the link marked.
  private(set) var marked = 0
  /// Segments put on the link.
  private(set) var segments = 0
  /// Decides the fate of a segment before chance does: true loses it.
  var shouldDrop: ((_ toServer: Bool, TCPOutgoing) -> Bool)?
  /// Changes a segment on its way.
  var mutate: ((inout TCPSegment) -> Void)?
  /// Steps made.
  private(set) var steps = 0

  init(
    seed: UInt64, profile: LinkProfile, clientWrites: Int, serverWrites: Int,
    client clientConfiguration: TCPConfiguration = TCPConfiguration(),
    server serverConfiguration: TCPConfiguration = TCPConfiguration(),
    clientISS: UInt32? = nil, serverISS: UInt32? = nil
  ) {
    var random = SeededGenerator(seed: seed)
    self.profile = profile
    self.serverConfiguration = serverConfiguration
    self.serverWrites = serverWrites
    let first = SequenceNumber(clientISS ?? UInt32(truncatingIfNeeded: random.next()))
    self.serverISS = SequenceNumber(serverISS ?? UInt32(truncatingIfNeeded: random.next()))
    self.random = random
    client = SimulatedHost(
      .active(iss: first, timestampOffset: 77, configuration: clientConfiguration, now: now),
      receiveBuffer: Int(clientConfiguration.receiveBuffer), toWrite: clientWrites, pool: pool)
  }

  private func emit(_ host: SimulatedHost, _ segment: TCPOutgoing, _ payload: [UInt8]) {
    let toServer = host === client
    segments += 1
    if shouldDrop?(toServer, segment) ?? false {
      losses += 1
      return
    }
    if random.chance(profile.loss) {
      losses += 1
      return
    }
    var departure = now
    if profile.rate > 0 {
      let size = payload.count + 40 + segment.options.byteCount
      let direction = toServer ? 0 : 1
      let begin = max(now, busyUntil[direction])
      let waiting = Int((begin - now).count) * profile.rate / 1_000_000_000
      if waiting + size > profile.buffer {
        losses += 1
        return
      }
      busyUntil[direction] = begin.adding(nanoseconds: size * 1_000_000_000 / profile.rate)
      departure = busyUntil[direction]
    }
    var notification = segment.isCapable ? CongestionNotification.capable0 : .notCapable
    if segment.isCapable, random.chance(profile.marking) {
      notification = .experienced
      marked += 1
    }
    let copies = random.chance(profile.duplication) ? 2 : 1
    for _ in 0..<copies {
      let jitter = profile.jitter == .zero ? 0 : random.next() % UInt64(profile.jitter.count)
      order += 1
      var arriving = TCPSegment(
        sequence: segment.sequence, acknowledgment: segment.acknowledgment, flags: segment.flags,
        window: segment.window, options: segment.options, notification: notification)
      mutate?(&arriving)
      insert(
        Event(
          time: (departure + profile.delay).adding(nanoseconds: jitter), order: order,
          toServer: toServer, segment: arriving, payload: payload))
    }
  }

  /// A binary heap by time, then by order.
  private func insert(_ event: Event) {
    events.append(event)
    var index = events.count - 1
    while index > 0, isBefore(index, (index - 1) / 2) {
      events.swapAt(index, (index - 1) / 2)
      index = (index - 1) / 2
    }
  }
  private func isBefore(_ a: Int, _ b: Int) -> Bool {
    events[a].time != events[b].time ? events[a].time < events[b].time : events[a].order < events[b].order
  }
  private func popEvent() -> Event {
    events.swapAt(0, events.count - 1)
    let event = events.removeLast()
    var index = 0
    while true {
      var least = index
      for child in [2 * index + 1, 2 * index + 2] where child < events.count && isBefore(child, least) {
        least = child
      }
      if least == index { break }
      events.swapAt(index, least)
      index = least
    }
    return event
  }

  /// Runs until nothing is left to happen, or `limit` has passed.
  func run(limit: Nanoseconds = .seconds(3600)) {
    let end = now + limit
    client.run(emit) { host, sink in
      host.connection.start(now: now, sink: &sink)
      return TCPEffects()
    }
    client.work(now: now, emit)
    while now < end {
      steps += 1
      let arrival = events.first?.time
      let clientDeadline = client.connection.nextDeadline
      let serverDeadline = server?.connection.nextDeadline
      guard let next = [arrival, clientDeadline, serverDeadline].compactMap({ $0 }).min() else { break }
      now = max(now, next)
      if arrival == next {
        deliver(popEvent())
      } else if clientDeadline == next {
        client.run(emit) { $0.connection.timeout(now: now, sink: &$1) }
      } else if let server {
        server.run(emit) { $0.connection.timeout(now: now, sink: &$1) }
      }
      client.work(now: now, emit)
      server?.work(now: now, emit)
    }
  }

  private func deliver(_ event: Event) {
    var segment = event.segment
    segment.arrival = now
    if event.toServer {
      if let server, server.connection.state != .closed || server.effects.closed {
        receive(server, segment, event.payload)
      } else if server == nil, case .open = TCPListenRule.examine(segment) {
        let host = SimulatedHost(
          .passive(
            syn: segment, iss: serverISS, timestampOffset: 99, configuration: serverConfiguration, now: now),
          receiveBuffer: Int(serverConfiguration.receiveBuffer), toWrite: serverWrites, pool: pool)
        server = host
        onServer(host)
        host.run(emit) { host, sink in
          host.connection.start(now: now, sink: &sink)
          return TCPEffects()
        }
      }
    } else {
      receive(client, segment, event.payload)
    }
  }

  private func receive(_ host: SimulatedHost, _ segment: TCPSegment, _ payload: [UInt8]) {
    if host.connection.state == .closed {
      // A closed port; the reset finds the other side closing or closed.
      if let reply = TCPResetRule.reply(to: segment, payloadCount: payload.count) { emit(host, reply, []) }
      return
    }
    host.learn(segment)
    host.run(emit) { $0.connection.arrive(segment, pool.packet(payload), now: now, sink: &$1) }
  }
}
