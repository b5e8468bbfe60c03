import Timing

/// How an open connection stands after a step: what its environment looks at each time, told at once.
public struct TCPStanding {
  /// Memory of what waits behind holes, in bytes.
  public let reassemblyOccupied: Int
  /// The largest window to be offered, in bytes.
  public let receiveBuffer: Int
  /// Bytes of the send queue that were never sent.
  public let unsentBytes: Int
  /// When something is due; the distant future: nothing is.
  public let deadline: Instant
  /// An acknowledgment goes at once when the application has read everything.
  public let acknowledgesWhenRead: Bool
  /// It opens, or opened, with a Fast Open option.
  public let triesFastOpen: Bool
  /// There is something for ``TCPConnection/takePathNews()``.
  public let hasPathNews: Bool
}

extension TCPConnection {
  /// How it stands after a step. `isFull`: a writer waits for room, as ``bufferIsFull(_:now:)`` is told.
  public mutating func standing(isFull: Bool, now: Instant) -> TCPStanding {
    if isFull != limits.isBufferFull { bufferIsFull(isFull, now: now) }
    return TCPStanding(
      reassemblyOccupied: reassembly.occupied, receiveBuffer: Int(receive.buffer), unsentBytes: unsentBytes,
      deadline: deadlines.earliest, acknowledgesWhenRead: acknowledgesWhenRead,
      triesFastOpen: fastOpen != nil, hasPathNews: !pathNews.isEmpty)
  }
}
