// When what was written left, and when it arrived: SO_TIMESTAMPING, as far as it is about sending.

import Timing

/// What a socket was asked to tell of its writes, and the writes that it has still to tell of.
struct TransmitStamps {
  /// Bits of SO_TIMESTAMPING.
  struct Flags: OptionSet {
    let rawValue: Int32
    static let receiveHardware = Flags(rawValue: 0x4)
    static let receiveSoftware = Flags(rawValue: 0x8)
    /// A write is told of when it leaves the host.
    static let sent = Flags(rawValue: 0x2)
    /// The host's times are told.
    static let software = Flags(rawValue: 0x10)
    /// Each is told with the number of the write's last byte.
    static let numbered = Flags(rawValue: 0x80)
    /// A write is told of when it is given to the queues of the device.
    static let scheduled = Flags(rawValue: 0x100)
    /// A write is told of when the peer has acknowledged its last byte.
    static let acknowledged = Flags(rawValue: 0x200)
    /// The packet does not come with it.
    static let alone = Flags(rawValue: 0x800)
    /// Writes are told of at all.
    static let any: Flags = [.sent, .scheduled, .acknowledged]
  }

  /// What a stamp is of, by Linux's numbers (SCM_TSTAMP_…).
  enum Kind: UInt32 { case sent = 0, scheduled = 1, acknowledged = 2 }

  private(set) var flags: Flags = []
  /// Where numbers are counted from, in bytes since the connection began.
  private var base: UInt64 = 0
  private var pending: [(end: UInt64, flags: Flags, hasLeft: Bool)] = []

  /// Sets what is told from here on. Numbers begin with the first byte that is not acknowledged.
  mutating func set(_ new: Flags, acknowledged: UInt64) {
    if new.contains(.numbered), !flags.contains(.numbered) { base = acknowledged }
    flags = new
  }

  /// A write ends at `end`, counted from the first byte of the connection.
  mutating func add(endingAt end: UInt64) {
    let wanted = flags.intersection(.any)
    if !wanted.isEmpty { pending.append((end, wanted, false)) }
  }

  /// What has happened now: so many bytes have been sent, and acknowledged. In the order in which Linux queues it.
  mutating func take(sent: UInt64, acknowledged: UInt64) -> [(kind: Kind, number: UInt32)] {
    var told: [(kind: Kind, number: UInt32)] = []
    for index in pending.indices where !pending[index].hasLeft && pending[index].end <= sent {
      pending[index].hasLeft = true
      let write = pending[index]
      if write.flags.contains(.scheduled) { told.append((.scheduled, number(write.end))) }
      if write.flags.contains(.sent) { told.append((.sent, number(write.end))) }
    }
    while let write = pending.first, write.end <= acknowledged {
      pending.removeFirst()
      if write.flags.contains(.acknowledged) { told.append((.acknowledged, number(write.end))) }
    }
    return told
  }

  private func number(_ end: UInt64) -> UInt32 {
    flags.contains(.numbered) ? UInt32(truncatingIfNeeded: end &- base &- 1) : 0
  }
}
