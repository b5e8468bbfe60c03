internal import Sockets
import Wire

/// Takes the oldest datagram, in an array of its own.
struct ReceiveDatagram: Operation {
  let socket: DatagramSocket

  var point: WaitPoint { socket.readPoint }
  var attendance: Attendance? { socket.attendance }
  func isReady(need: UInt32) -> Bool { socket.isReadable }
  mutating func attempt() -> Attempt<Datagram> {
    guard socket.isReadable else { return .wouldBlock(need: 1, progressed: false) }
    var outcome = Result<ReceivedDatagram, SocketError>.failure(.wouldBlock)
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: max(1, socket.nextSize() ?? 1)) { memory, count in
      outcome = unsafe socket.tryReceive(into: UnsafeMutableRawBufferPointer(memory))
      if case .success(let received) = outcome { count = received.count }
    }
    switch outcome {
    case .success(let received):
      return .finished(
        .success(Datagram(bytes: bytes, source: received.source, destination: received.destination)))
    case .failure(.wouldBlock): return .wouldBlock(need: 1, progressed: false)
    case .failure(let error): return .finished(.failure(error))
    }
  }
}

/// Hands one datagram, or a row of them, to a context.
struct SendDatagram<Bytes: ReadableBytes>: Operation {
  let socket: DatagramSocket
  let bytes: Bytes
  let destination: SocketAddress?
  let source: IPAddress?
  let segmentSize: Int?

  var point: WaitPoint { socket.writePoint }
  func isReady(need: UInt32) -> Bool { socket.isWritable }
  mutating func attempt() -> Attempt<Void> {
    let outcome = unsafe bytes.withBytes(from: 0) {
      unsafe socket.trySend($0, to: destination, from: source, segmentSize: segmentSize)
    }
    switch outcome {
    case .success: return .finished(.success(()))
    case .failure(.wouldBlock): return .wouldBlock(need: 1, progressed: false)
    case .failure(let error): return .finished(.failure(error))
    }
  }
}
