// What a sender needs to know of a neighbour, in one word, so that resolve-or-wait is one step (NB-PEND).
//
//   MAC 48 | pending 12 | USED | TELL | DEAD | USABLE
//
// A sender loads the word. USABLE with nothing pending: the address is in the word, send. Otherwise one
// CAS counts the packet as pending, and it goes to the cache's gate. The owner takes a packet off the
// count only after it has given it to the transmit queue that the sender itself would use. So no packet
// passes an earlier one of the same context: as long as one is under way, those behind it take the same
// way.

import Exclusion
import Wire

/// The bits of a neighbour's word.
struct NeighborWord {
  var rawValue: UInt64

  static var usable: UInt64 { 1 << 63 }
  /// The entry was taken out of the cache.
  static var dead: UInt64 { 1 << 62 }
  /// Stale: the next user tells the owner. Who clears it may post the entry's own item.
  static var tell: UInt64 { 1 << 61 }
  /// The entry's own item is posted.
  static var used: UInt64 { 1 << 60 }
  static var onePending: UInt64 { 1 << 48 }
  static var stationMask: UInt64 { 0xFFFF_FFFF_FFFF }
  /// Packets under way from senders to the owner; beyond it senders drop.
  static var pendingLimit: Int { 256 }

  var isUsable: Bool { rawValue & Self.usable != 0 }
  var isDead: Bool { rawValue & Self.dead != 0 }
  var asksToTell: Bool { rawValue & Self.tell != 0 }
  var isUseNoticePosted: Bool { rawValue & Self.used != 0 }
  var pending: Int { Int(rawValue >> 48 & 0xFFF) }
  var station: MACAddress { MACAddress(rawValue & Self.stationMask) }
}

/// RFC 4861 section 7.3.2; ARP entries go through the same states.
enum NeighborState: UInt8, CaseIterable {
  /// Being asked for the first time; packets wait.
  case incomplete
  /// Known to have answered lately.
  case reachable
  /// Known, but not lately; nobody has used it since.
  case stale
  /// Used while stale; the upper layer has a moment to confirm it.
  case delay
  /// Being asked whether it is still there.
  case probe
  /// Did not answer. The next packet asks again.
  case failed

  /// Packets may be sent to the known station.
  var isUsable: Bool {
    switch self {
    case .reachable, .stale, .delay, .probe: true
    case .incomplete, .failed: false
    }
  }

  /// Which entries give way first when the cache is full: higher first.
  var evictionRank: Int {
    switch self {
    case .failed: 3
    case .stale: 2
    case .incomplete: 1
    case .reachable, .delay, .probe: 0
    }
  }
}
