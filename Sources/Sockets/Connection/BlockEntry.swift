public import Exclusion
public import SoftInterrupts

/// When an application thread enters a control block itself, instead of posting what it has to the block's home
/// (DESIGN section 2). It runs its own item as a guest of the home context, and what others post meanwhile is home's.
public enum BlockEntry: Hashable, Sendable {
  /// Never: home batches.
  case post
  /// When home sleeps, and nobody is inside.
  case enterIdle
  /// Whenever nobody is inside.
  case enterFree
  /// When home sleeps, in its place: the thread drives the whole context, to send, to close, and as long as it waits. Of a
  /// stack that is stepped by hand a call does at once what it asks for, on the thread that steps it, which calls.
  case drive
}

extension SocketLayer {
  /// Gives `item` to the connection's block. A reference is held.
  @inline(__always) func submit(_ item: ItemRef, to connection: ConnectionRef) -> Outcome {
    configuration.entry == .post ? connection.gate.post(item) : enterOrPost(item, connection)
  }

  @inline(never) private func enterOrPost(_ item: ItemRef, _ connection: ConnectionRef) -> Outcome {
    if configuration.entry == .drive { return driveOrPost(item, connection) }
    let (gate, home) = (connection.gate, connection.home)
    guard configuration.entry == .enterFree || contexts.isIdle(home), gate.isFree else {
      return gate.post(item)
    }
    let port = contexts.port(home)
    return contexts.asGuest(of: home) { cx in gate.enter(item, at: port, &cx) } ?? gate.post(item)
  }

  /// Tells the connection's owner that the application ends it, or a side of it: at once, where that is how the thread
  /// sends. A reference is held. Application context, nothing held.
  func submit(events: GateEvents, to connection: ConnectionRef) {
    let gate = connection.gate
    let isRun =
      configuration.entry == .drive
      && contexts.asBorrower(of: connection.home) { cx in _ = gate.submit(events: events, &cx) }
    if !isRun { _ = gate.post(events: events) }
  }

  private func driveOrPost(_ item: ItemRef, _ connection: ConnectionRef) -> Outcome {
    let gate = connection.gate
    var outcome = Outcome.posted
    let isRun = drive(connection.home) { cx in outcome = gate.submit(item, isSegment: false, &cx) }
    return isRun ? outcome : gate.post(item)
  }

  /// Runs `body` in the place of context `home`, if that sleeps. No reference to the contexts is counted, as it would be by
  /// every write.
  @inline(__always) @discardableResult
  func drive(_ home: Int, _ body: (inout SoftInterrupt) -> Void) -> Bool {
    unsafe contextsInPlace._withUnsafeGuaranteedRef { $0.asBorrower(of: home, body) }
  }
}

/// A context that a thread may drive while it waits.
public struct Attendance {
  /// All contexts of the stack.
  public let contexts: ContextSet
  /// Which of them.
  public let index: Int
  /// Its port.
  public var port: ContextPortRef { contexts.port(index) }

  /// Waits for `parker`, made for ``port``, by driving the context, until `deadline` nanoseconds of the machine's clock
  /// (`.max`: for ever). Takes no token: park afterwards. Application context, nothing held.
  public func wait(_ parker: borrowing Parker, untilNanoseconds deadline: UInt64 = .max) {
    _ = contexts.attend(index, parker, untilNanoseconds: deadline)
  }
}

extension SocketLayer {
  /// The context that a thread may drive while it waits for something of context `home`, or of any (nil): then the only
  /// one that there is. Nil: it sleeps.
  public func attendance(near home: Int? = nil) -> Attendance? {
    guard configuration.entry == .drive, let index = home ?? (contexts.count == 1 ? 0 : nil) else {
      return nil
    }
    return Attendance(contexts: contexts, index: index % contexts.count)
  }
}
extension StreamSocket {
  /// The context that a thread which waits for this socket may drive meanwhile.
  public var attendance: Attendance? { layer.attendance(near: connection.home) }
}
extension ListeningSocket {
  /// The context that a thread which waits for a connection may drive meanwhile.
  public var attendance: Attendance? { layer.attendance() }
}
extension DatagramSocket {
  /// The context that a thread which waits for this socket may drive meanwhile.
  public var attendance: Attendance? { layer.attendance() }
}
extension SocketEventQueue {
  /// The context that a thread which waits for events of sockets at `home` (nil: anywhere) may drive meanwhile.
  public func attendance(near home: Int? = nil) -> Attendance? { layer.attendance(near: home) }
}
