// The limits of a stream's buffers, at run time, and what it occupies.

import Exclusion

/// What one socket occupies, in bytes of whole slots and chunks.
public struct SocketMemory: Hashable, Sendable {
  /// What was received in order, or as datagrams, and not read.
  public var receive: Int
  /// What waits behind holes.
  public var reassembly: Int
  /// What was written and not acknowledged.
  public var send: Int
  /// All of it.
  public var total: Int { receive + reassembly + send }
}

extension StreamSocket {
  /// What the socket may buffer, as far as its limits have grown.
  public var limits: BufferLimits {
    let shared = unsafe connection.shared
    return unsafe BufferLimits(
      send: Int(shared.pointee.sendLimit.load()), receive: Int(shared.pointee.receiveLimit.load()))
  }

  /// SO_SNDBUF: how many bytes may be submitted and not acknowledged. More room is space for a writer that waits,
  /// which is woken (W10); less takes nothing back, but a writer waits until what is out fits. (A writer that
  /// was woken for room that this takes away again finds none: such a wake-up is counted as wasted.)
  ///
  /// - Parameter bytes: 4 KiB...16 MiB; what lies outside counts as the nearest.
  public func setSendLimit(_ bytes: Int) {
    unsafe connection.shared.pointee.options.formOr(ConnectionOptions.sendLimitSet.rawValue)
    deliverWakeups { connection.setSendLimit(bytes, $0) }
  }

  /// SO_RCVBUF: how many bytes may be received and not read, the largest window that is offered. What was offered stays,
  /// and the limit grows no more by itself. A window beyond what the scale of the handshake can say is not offered (RFC
  /// 7323 section 2.3).
  ///
  /// - Parameter bytes: 4 KiB...16 MiB; what lies outside counts as the nearest.
  public func setReceiveLimit(_ bytes: Int) {
    unsafe connection.shared.pointee.options.formOr(ConnectionOptions.receiveLimitSet.rawValue)
    unsafe connection.shared.pointee.receiveLimit.store(UInt64(BufferLimits.clamp(bytes)))
    connection.tellOptions()
  }

  /// What the socket occupies now.
  public var memory: SocketMemory { connection.memory }
}

extension ConnectionRef {
  /// Another send limit; `deliver` gets whom that lets go on. The caller is inside a grace section, unless nobody can
  /// wait or watch yet.
  func setSendLimit(_ bytes: Int, _ deliver: (WakeTarget) -> Void) {
    let shared = unsafe shared
    let new = BufferLimits.clamp(bytes)
    // By difference, so that two who set it at once leave the credit right.
    let old = Int(unsafe shared.pointee.sendLimit.exchange(UInt64(new)))
    #if Explore
      if Mutation.grownBufferNotTold.isOn {
        unsafe shared.pointee.sendCredit.add(UInt64(bitPattern: Int64(new - old)))
        return
      }
    #endif
    if new != old { freeSpace(new - old, [], deliver) }
  }

  /// What the connection occupies. Any thread; exact while nothing happens to it.
  var memory: SocketMemory {
    let shared = unsafe shared
    return unsafe SocketMemory(
      receive: shared.pointee.received.occupied, reassembly: Int(shared.pointee.reassemblyOccupied.load()),
      send: Int(shared.pointee.sendOccupied.load()))
  }
}
