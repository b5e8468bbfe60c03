public import Exclusion

/// The waiter of one direction of a socket, and the turn that lets one in at a time (PROTOCOLS 2 and 3).
public struct WaitPair: ~Copyable, Sendable {
  /// Who waits.
  public let waiter = Waiter()
  /// Whose turn it is.
  public let turn = Turn()

  package init() {}
}

/// Where a blocked thread and a suspended task wait alike. The socket must live as long as anyone waits.
@safe
public struct WaitPoint: @unchecked Sendable {  // the words behind it are atomic
  private let pair: UnsafePointer<WaitPair>
  /// Wake-ups of the stack, for the waiting side to count.
  public let account: WakeAccount

  package init(_ pair: UnsafePointer<WaitPair>, _ account: WakeAccount) {
    unsafe self.pair = pair
    self.account = account
  }

  /// The direction's waiter.
  public var waiter: Waiter { _read { yield unsafe pair.pointee.waiter } }
  /// The direction's turn.
  public var turn: Turn { _read { yield unsafe pair.pointee.turn } }
}
