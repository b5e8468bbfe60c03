import Buffers
import Exclusion
import SoftInterrupts
import TCP
import Testing
import Wire

@testable import Sockets

/// Segments that come in a row enter their connection once. What that saves, and what it must not change.
@Suite struct SegmentRunTests {
  /// Fourteen segments of a write come in a few batches: one of every second is not acknowledged, and the gate is entered
  /// for a fraction of them.
  @Test func aBatchIsAcknowledgedAsOne() throws {
    let network = try Network()
    do {
      let (listener, client, server) = try network.connect()
      for _ in 0..<10 { try network.exchange(client, server, 20_000) }
      let before = (network.link.left.counters(queue: 0).framesSent.value, acknowledgments(network))
      for _ in 0..<40 { try network.exchange(client, server, 20_000) }
      let segments = network.link.left.counters(queue: 0).framesSent.value - before.0
      #expect(segments >= 40 * 14)
      #expect((acknowledgments(network) - before.1) * 3 < segments)
      withExtendedLifetime(listener) {}
      close([client, server])
      listener.close()
    }
    network.expectNothingLeft()
  }
  private func acknowledgments(_ network: Network) -> UInt64 {
    network.link.right.counters(queue: 0).framesSent.value
  }

  /// A run ends where a segment of another connection comes: each gets its own, whole and in order.
  @Test(arguments: [1, 3]) func RX_ORDER_connectionsTakeTurnsInABatch(contexts: Int) throws {
    let network = try Network(contexts: contexts, steering: contexts > 1 ? .home : .none)
    do {
      let (listener, first, peer) = try network.connect()
      var pairs = [(first, peer)]
      for _ in 0..<3 {
        let client = try network.wait(
          network.left.sockets.connect(to: network.address(of: network.right, 7, isIPv4: true)))
        pairs.append((client, try network.accept(listener)))
      }
      for round in 0..<30 {
        // Little pieces of all of them, in one batch.
        for piece in 0..<4 {
          for (number, pair) in pairs.enumerated() {
            #expect(pair.0.writeAll(text(number, round * 4 + piece)) == .bytes(1000))
          }
        }
        network.scheduler.settle()
        for (number, pair) in pairs.enumerated() {
          var received: [UInt8] = []
          while received.count < 4000 {
            try #require(network.scheduler.run { pair.1.isReadable(need: 1) })
            received += pair.1.readSome().1
          }
          #expect(received == (0..<4).flatMap { text(number, round * 4 + $0) })
        }
      }
      close(pairs.flatMap { [$0.0, $0.1] })
      listener.close()
    }
    network.expectNothingLeft()
  }
  private func text(_ number: Int, _ piece: Int) -> [UInt8] {
    (0..<1000).map { UInt8(truncatingIfNeeded: $0 * 7 + number * 31 + piece * 11) }
  }

  /// What ends a connection in the middle of a run ends it there: the segments behind it meet what they would have met.
  @Test func aResetEndsTheRun() throws {
    let network = try Network()
    do {
      let (listener, client, server) = try network.connect()
      try network.exchange(client, server, 20_000)
      #expect(client.writeAll([UInt8](repeating: 1, count: 5000)) == .bytes(5000))
      client.abort()
      #expect(network.scheduler.run { server.failure != nil })
      #expect(server.failure == .connectionReset)
      close([client, server])
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// A segment that a row of twelve has in its middle, which is not as the others are.
  enum Odd: CaseIterable {
    case none, shorter, longer, pushed, empty, missing, again
    case otherWindow, otherAcknowledgment, laterStamp, olderStamp, marked, urgent, reserved
  }
  private struct Piece {
    var at: Int
    var count = 1000
    var flags = TCPFlags.ack
    var window: UInt16 = 60_000
    var stamp: UInt32 = 2000
    var acknowledges = 0
    var isMarked = false
    var hasReserved = false
  }
  private func row(_ odd: Odd) -> [Piece] {
    var pieces: [Piece] = []
    var at = 0
    for number in 0..<12 {
      var piece = Piece(at: at)
      let isOdd = number == 5
      if isOdd {
        switch odd {
        case .none, .missing, .otherWindow: break
        case .shorter: piece.count = 600
        case .longer: piece.count = 1200
        case .pushed: piece.flags.insert(.psh)
        case .otherAcknowledgment: piece.acknowledges = 1
        case .laterStamp: piece.stamp = 2001
        case .olderStamp: piece.stamp = 900
        case .again: piece.at -= 1000
        case .marked: piece.isMarked = true
        case .urgent: piece.flags.insert(.urg)
        case .reserved: piece.hasReserved = true
        case .empty: piece.count = 0
        }
      }
      // It stays so: what the last one says would else hide it.
      if odd == .otherWindow, number >= 5 { piece.window = 50_000 }
      if odd != .missing || !isOdd { pieces.append(piece) }
      at = max(at, piece.at + piece.count)
      if isOdd, odd == .missing { at = piece.at + 1000 }
    }
    return pieces
  }

  /// Segments that are like those before them are taken by comparing their bytes. It makes no difference to what a connection
  /// knows, and to what is read, whether they come in a row or one by one, whatever is among them.
  @Test(arguments: Odd.allCases) func aRowIsWhatItsSegmentsAre(odd: Odd) throws {
    let pieces = row(odd)
    let (together, alone) = (try take(pieces, inRow: true), try take(pieces, inRow: false))
    #expect(together.read == alone.read && !together.read.isEmpty)
    #expect(together.read == Network.pattern(20_000)[..<together.read.count].map { $0 })
    #expect(together.info.sendWindow == alone.info.sendWindow)
    let (a, b) = (together.info.counters, alone.info.counters)
    #expect(a.bytesReceived == b.bytesReceived && a.segmentsReceived == b.segmentsReceived)
    #expect(a.outOfOrder == b.outOfOrder && a.duplicatesReported == b.duplicatesReported)
    #expect(a.rejected == b.rejected && a.urgentSegments == b.urgentSegments && a.refused == b.refused)
    #expect(together.whole == alone.whole)
  }

  private func take(_ pieces: [Piece], inRow: Bool) throws -> (read: [UInt8], info: TCPInfo, whole: [UInt8]) {
    let network = try Network()
    let text = Network.pattern(20_000)
    var outcome: (read: [UInt8], info: TCPInfo, whole: [UInt8])?
    do {
      let address = network.address(of: network.right, 80, isIPv4: true)
      let listener = try network.wait(network.right.sockets.listen(on: address))
      var peer = Stranger("192.0.2.7")
      peer.offers = true
      network.syn(peer, to: 80)
      let iss = try #require(network.synAckSequence(peer, 80))
      var options = TCPOptions()
      options.timestamps = TCPTimestamps(value: 1001, echo: 0)
      network.inject(peer, to: 80, .ack, sequence: peer.irs + 1, ack: iss + 1, options: options)
      let server = try network.accept(listener)
      let key = network.key(peer, 80)
      func arrive(_ pieces: [Piece]) {
        let segments = pieces.map { segment($0, text, peer, key, iss) }
        network.right.contexts.perform(on: 0) { cx in
          for (bytes, trafficClass) in segments {
            guard var packet = cx.pool.allocate() else { return }
            packet.append(bytes.count)
            unsafe packet.withUnsafeMutableBytes { unsafe $0.copyBytes(from: bytes) }
            packet.metadata.source = key.remoteAddress
            packet.metadata.destination = key.localAddress
            packet.metadata.arrival = cx.now
            packet.metadata.interface = 2
            packet.metadata.trafficClass = trafficClass
            SocketInput.collect(packet, encapsulation: 0, &cx)
          }
          SocketInput.finishRun(&cx)
        }
        network.scheduler.settle()
      }
      // What was acknowledged is acknowledged again: one of the row may not be.
      arrive([Piece(at: 0, count: 500, stamp: 1999)])
      _ = server.readSome()
      let moved = pieces.map { piece in
        var piece = piece
        piece.at += 500
        return piece
      }
      if inRow { arrive(moved) } else { for piece in moved { arrive([piece]) } }
      var read = Array(text[..<500])
      while case (.bytes, let bytes) = server.readSome() { read += bytes }
      let info = server.informationAtRest
      // What is missing comes in the end.
      for number in 0..<13 { arrive([Piece(at: 500 + number * 1000, stamp: 3000)]) }
      var whole = read
      while case (.bytes, let bytes) = server.readSome() { whole += bytes }
      outcome = (read, info, whole)
      server.abort()
      listener.close()
    }
    network.expectNothingLeft()
    return try #require(outcome)
  }

  /// Its bytes, and the traffic class of its IP header.
  private func segment(
    _ piece: Piece, _ text: [UInt8], _ peer: Stranger, _ key: FlowKey, _ iss: UInt32
  ) -> ([UInt8], UInt8) {
    var options = TCPOptions()
    options.timestamps = TCPTimestamps(value: piece.stamp, echo: 0)
    let header = TCPHeader(
      sourcePort: key.remotePort, destinationPort: key.localPort,
      sequence: SequenceNumber(peer.irs + 1 + UInt32(piece.at)),
      acknowledgment: SequenceNumber(iss + 1 - UInt32(piece.acknowledges)), flags: piece.flags,
      window: piece.window, urgentPointer: piece.flags.contains(.urg) ? 10 : 0, options: options)
    var bytes = [UInt8](repeating: 0, count: header.byteCount) + text[piece.at..<piece.at + piece.count]
    var span = bytes.mutableSpan
    var raw = unsafe span.mutableBytes
    header.emit(into: &raw)
    if piece.hasReserved { raw.set(raw.bytes.uint16(at: 12) | 0x0400, at: 12) }
    InternetChecksum.seal(
      &raw, at: TCPHeader.checksumOffset, source: key.remoteAddress, destination: key.localAddress,
      protocol: .tcp)
    return (bytes, piece.isMarked ? 3 : 0)
  }

  private func close(_ streams: [StreamSocket]) { for stream in streams { stream.close() } }
}
