// What there is to know about a stream at one moment: for who reports, polls, or decides what a call returns.

import Exclusion
import SoftInterrupts
public import TCP

/// What a stream's two users see of it, without asking its owner. Each field is exact at some moment during the call;
/// all of them together if nothing happens meanwhile.
public struct StreamCondition: Sendable, Hashable {
  /// The protocol's state after its last event.
  public var state: TCPState
  /// The handshake was completed.
  public var isConnected: Bool
  /// The peer's FIN is in order: nothing follows what is ``available``.
  public var isAtEnd: Bool
  /// The application has shut its sending side down, or closed.
  public var isSendShutdown: Bool
  /// The application has shut its receiving side down.
  public var isReceiveShutdown: Bool
  /// Our FIN was acknowledged.
  public var isDelivered: Bool
  /// The connection is no more.
  public var hasEnded: Bool
  /// Why it failed, until ``StreamSocket/takeError()``.
  public var failure: SocketError?
  /// Bytes that can be read.
  public var available: Int
  /// Bytes that arrived in order since the beginning, modulo 2⁶⁴.
  public var received: UInt64
  /// Bytes that a write would take now.
  public var sendSpace: Int
  /// Bytes that were submitted and not acknowledged yet.
  public var unacknowledged: Int
  /// Of those, bytes that were not sent yet.
  public var unsent: Int
}

/// What the owner of a connection tells on request.
public struct StreamInfo: Sendable {
  /// The engine's snapshot.
  public var tcp: TCPInfo
  /// How it behaves.
  public var configuration: TCPConfiguration
  /// Bytes that were submitted and not sent yet.
  public var unsentBytes: Int
  /// What the network reported and did not end the connection.
  public var softError: SocketError?
}

extension StreamSocket {
  /// What is true of the stream now. Any thread.
  public var condition: StreamCondition {
    let (shared, status) = unsafe (connection.shared, connection.status)
    return unsafe StreamCondition(
      state: TCPState(rawValue: UInt8(truncatingIfNeeded: shared.pointee.publishedState.load())) ?? .closed,
      isConnected: status.contains(.connected), isAtEnd: status.contains(.endOfStream),
      isSendShutdown: status.contains(.sendShutdown), isReceiveShutdown: status.contains(.receiveShutdown),
      isDelivered: status.contains(.delivered), hasEnded: status.contains(.ended),
      failure: status.contains(.failed) ? connection.failure : nil, available: connection.available,
      received: shared.pointee.received.total, sendSpace: connection.sendSpace,
      unacknowledged: Int(shared.pointee.sendLimit.load()) - connection.sendRoom, unsent: connection.unsent)
  }

  /// Asks the owner. The answer is nil once nobody owns the connection any more. Any thread; does not wait.
  public func info() -> Answer<StreamInfo?> {
    let answer = Answer<StreamInfo?>(layer.wakeAccount)
    let isPosted = connection.call { connection, cx in
      let owned = unsafe connection.owned
      answer.complete(
        unsafe StreamInfo(
          tcp: owned.pointee.engine.info(now: cx.now), configuration: owned.pointee.engine.configuration,
          unsentBytes: owned.pointee.engine.unsentBytes,
          softError: owned.pointee.engine.softError.map { SocketError($0) }), &cx)
    }
    return isPosted ? answer : Answer(layer.wakeAccount, answered: nil)
  }

  /// What was written with `isPushed` false and waits for more to come goes now (TCP_CORK ends). Any thread.
  public func push() {
    connection.call { connection, cx in connection.push(&cx) }
  }
}

extension ConnectionRef {
  /// Bytes that were submitted and that the engine had not sent when it last ran.
  var unsent: Int {
    unsafe Int(truncatingIfNeeded: shared.pointee.submitted.load() &- shared.pointee.sent.load())
  }
  /// TCP_NOTSENT_LOWAT permits another byte.
  var mayQueueUnsent: Bool {
    let limit = unsafe shared.pointee.unsentLimit.loadRelaxed()
    return limit == 0 || unsent < Int(limit)
  }
  /// Owner, after the engine ran: what it has not sent. True: that ends a time in which it was too much for writers.
  @inline(__always) func publishUnsent() -> Bool {
    publishUnsent(unsafe owned.pointee.engine.unsentBytes)
  }
  /// The same, with the bytes that it has not sent.
  @inline(__always) func publishUnsent(_ rest: Int) -> Bool {
    let shared = unsafe shared
    let wasFull = !mayQueueUnsent
    unsafe shared.pointee.sent.store(owned.pointee.enqueued &- UInt64(rest))
    return wasFull && mayQueueUnsent
  }
}
