import Timing
import Wire

/// The user timeout option, RFC 5482: each side tells how long it would wait for an acknowledgment, and may wait as
/// long as the other is willing to.
@frozen public struct TCPUserTimeoutUse: Hashable, Sendable {
  /// ENABLED: the option is sent, and taken.
  public var isEnabled = false
  /// ADV_UTO: what is told; zero: `TCPConfiguration.userTimeout`, and nothing while that is zero. 1 s...32767 min.
  public var advertised = Nanoseconds.zero
  /// CHANGEABLE: what the peer tells may change our own user timeout. Applications that set one switch this off.
  public var isChangeable = true
  /// L_LIMIT: the peer's wish makes our timeout no shorter than this. Section 4.1: at least 100 s.
  public var least = Nanoseconds.seconds(100)
  /// U_LIMIT: nor longer than this: a peer could hold our memory with it (section 6).
  public var most = Nanoseconds.seconds(3600)

  /// Off.
  public init() {}
}

extension TCPUserTimeout {
  /// The option that says `timeout`: in seconds if they find room in 15 bits, else in minutes; nil if it says nothing,
  /// since zero must not be sent (section 3.1).
  init?(_ timeout: Nanoseconds) {
    let seconds = timeout.count / 1_000_000_000
    guard seconds > 0 else { return nil }
    if seconds <= 0x7FFF {
      self.init(rawValue: UInt16(seconds))
    } else {
      self.init(rawValue: 0x8000 | UInt16(min(seconds / 60, 0x7FFF)))
    }
  }
}

extension TCPConnection {
  /// What is told, if anything is.
  var toldUserTimeout: TCPUserTimeout? {
    let use = configuration.userTimeoutOption
    guard use.isEnabled else { return nil }
    return TCPUserTimeout(use.advertised > .zero ? use.advertised : configuration.userTimeout)
  }

  /// Adds the option to a segment that leaves, if it has room: to the first one after the SYN, which the peer may have
  /// answered without keeping anything, and after a change (section 3.1).
  mutating func addUserTimeout(to options: inout TCPOptions, besides text: Int) {
    guard isUserTimeoutUntold, let told = toldUserTimeout else { return }
    guard options.byteCount + 4 <= 40, text + 4 <= fullTextSegment else { return }
    options.userTimeout = told
    isUserTimeoutUntold = false
  }

  /// The peer has told its timeout: USER_TIMEOUT = min(U_LIMIT, max(ADV_UTO, REMOTE_UTO, L_LIMIT)), section 3.1.
  mutating func takeUserTimeout(_ options: TCPOptions, now: Instant) {
    let use = configuration.userTimeoutOption
    guard use.isEnabled, use.isChangeable, let remote = options.userTimeout, remote.seconds > 0 else {
      return
    }
    let own = use.advertised > .zero ? use.advertised : configuration.userTimeout
    // L_LIMIT is larger than the retransmission timeout, or nothing would be tried again (section 3.1).
    let least = max(use.least, roundTrip.timeout(configuration) + .seconds(1))
    let wanted = min(use.most, max(own, .seconds(Int64(remote.seconds)), least))
    counters.userTimeoutsTaken &+= 1
    guard wanted != configuration.userTimeout else { return }
    // An own timeout that was told as such stays told as it was.
    if use.advertised == .zero { configuration.userTimeoutOption.advertised = configuration.userTimeout }
    let waited = deadlines.user.isArmed ? configuration.userTimeout - (deadlines.user.instant - now) : .zero
    if deadlines.user.isArmed { deadlines.user.arm(now + max(wanted - waited, .zero)) }
    configuration.userTimeout = wanted
  }

  /// Unacknowledged data is given up by the user timeout alone, however often it was sent: a longer one than the attempts
  /// allow would else be worth nothing (RFC 5482 section 1; Linux's TCP_USER_TIMEOUT).
  var waitsForUser: Bool { configuration.userTimeout > .zero && state.isSynchronized }

  /// Whether an idle peer that does not answer probes is given up, after so much silence: by their number, or where
  /// there is a user timeout by that (Linux's TCP_USER_TIMEOUT).
  func isKeepaliveOver(quiet: Nanoseconds) -> Bool {
    configuration.userTimeout > .zero
      ? keepaliveProbes > 0 && quiet >= configuration.userTimeout
      : keepaliveProbes >= configuration.keepaliveProbes
  }
}
