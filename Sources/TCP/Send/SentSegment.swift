import Timing
import Wire

/// A segment of text, with the FIN where that follows it, which has been sent and is not acknowledged.
struct SentSegment {
  /// What is known of its fate.
  struct Marks: OptionSet {
    let rawValue: UInt8
    /// The peer holds it, beyond a hole (RFC 2018).
    static var sacked: Marks { Marks(rawValue: 1) }
    /// It counts as lost, and has to be sent again.
    static var lost: Marks { Marks(rawValue: 2) }
    /// A repetition of it is on its way.
    static var repeating: Marks { Marks(rawValue: 4) }
    /// It was sent more than once.
    static var repeated: Marks { Marks(rawValue: 8) }
    /// The next one left in the same burst, and nothing has come between them since.
    static var joined: Marks { Marks(rawValue: 16) }
    /// It is lost, and nothing is on its way instead.
    var wantsRepetition: Bool { contains(.lost) && isDisjoint(with: [.repeating, .sacked]) }
  }

  /// Its first sequence number.
  var start: SequenceNumber
  /// One past its last.
  var end: SequenceNumber
  /// When it was sent last.
  var sent: Instant
  /// Segments that had been delivered when it was sent last.
  var delivered: UInt32
  var marks: Marks = []

  /// Bytes of sequence space.
  var length: Int { end - start }
}
