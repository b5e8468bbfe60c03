public import Exclusion

/// What passed one queue of a device. Receive counters are written by the queue's context, transmit
/// counters by the owner of the queue's gate; anyone may read.
public final class DeviceCounters: Sendable {
  /// Frames taken from the link.
  public let framesReceived = Counter()
  /// Bytes of those frames.
  public let bytesReceived = Counter()
  /// Frames that were lost or refused on receipt: oversize, truncated by the link, ring overflow.
  public let receiveDrops = Counter()
  /// Of the drops, frames for which the packet pool had no packet.
  public let receiveOutOfBuffers = Counter()
  /// Of the drops, frames whose header of offloads did not fit them.
  public let receiveHeaderErrors = Counter()
  /// Frames given to the link.
  public let framesSent = Counter()
  /// Bytes of those frames.
  public let bytesSent = Counter()
  /// Frames that the link refused for good.
  public let transmitDrops = Counter()
  /// System calls made to receive.
  public let receiveCalls = Counter()
  /// System calls made to send.
  public let transmitCalls = Counter()

  /// All zero.
  public init() {}
}
