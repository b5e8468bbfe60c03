import Wire

// AE, CWR and ECE before a connection is open: RFC 9768 section 3.1, Tables 2 to 4.

extension TCPFlags {
  /// AE, CWR and ECE.
  static let notification: TCPFlags = [.ae, .cwr, .ece]

  /// ACE: AE, CWR and ECE as a number of three bits (section 3.2.2).
  var marks: UInt8 { (contains(.ae) ? 4 : 0) | (contains(.cwr) ? 2 : 0) | (contains(.ece) ? 1 : 0) }

  /// AE, CWR and ECE that say ACE; only the low three bits of `marks` count.
  init(marks: UInt32) {
    self = []
    if marks & 4 != 0 { insert(.ae) }
    if marks & 2 != 0 { insert(.cwr) }
    if marks & 1 != 0 { insert(.ece) }
  }
}

extension CongestionFeedback {
  /// What a SYN gets that asks with these flags, where `most` is what we give at most. Any combination but none and
  /// RFC 3168's asks for accurate feedback (section 3.1.3); without it AE means nothing.
  init(askedBy syn: TCPFlags, most: CongestionFeedback) {
    switch most {
    case .none: self = .none
    case .classic: self = syn.isSuperset(of: [.cwr, .ece]) ? .classic : .none
    case .accurate:
      switch syn.marks {
      case 0b000: self = .none
      case 0b011: self = .classic
      default: self = .accurate
      }
    }
  }

  /// What a SYN-ACK agrees to with these flags, where `offered` is what our SYN asked for. One that only repeats ours
  /// knows nothing of it ("Broken"); the combination that is reserved counts as accurate (section 3.1.3).
  init(agreedBy synAck: TCPFlags, offered: CongestionFeedback) {
    switch (offered, synAck.marks) {
    case (.classic, 0b001), (.accurate, 0b001): self = .classic
    case (.accurate, 0b010...0b110): self = .accurate
    case (.none, _), (.classic, _), (.accurate, _): self = .none
    }
  }
}

extension CongestionNotification {
  /// How a SYN-ACK, and the ACK that answers it, say with what mark the packet before came: Tables 2 and 3.
  var reflection: TCPFlags {
    switch self {
    case .notCapable: .cwr
    case .capable1: [.cwr, .ece]
    case .capable0: .ae
    case .experienced: [.ae, .cwr]
    }
  }

  /// The mark that ACE reflects; nil: it reflects none.
  init?(reflectedBy marks: UInt8) {
    switch marks {
    case 0b010: self = .notCapable
    case 0b011: self = .capable1
    case 0b100: self = .capable0
    case 0b110: self = .experienced
    default: return nil
    }
  }
}
