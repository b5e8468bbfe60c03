import Exclusion
import SoftInterrupts

/// When an application thread enters a control block itself, instead of posting what it has to the block's home
/// (DESIGN section 2). It runs its own item as a guest of the home context, and what others post meanwhile is home's.
public enum BlockEntry: Hashable, Sendable {
  /// Never: home batches.
  case post
  /// When home sleeps, and nobody is inside.
  case enterIdle
  /// Whenever nobody is inside.
  case enterFree
}

extension SocketLayer {
  /// Gives `item` to the connection's block. A reference is held.
  @inline(__always) func submit(_ item: ItemRef, to connection: ConnectionRef) -> Outcome {
    configuration.entry == .post ? connection.gate.post(item) : enterOrPost(item, connection)
  }

  @inline(never) private func enterOrPost(_ item: ItemRef, _ connection: ConnectionRef) -> Outcome {
    let (gate, home) = (connection.gate, connection.home)
    guard configuration.entry == .enterFree || contexts.isIdle(home), gate.isFree else {
      return gate.post(item)
    }
    let port = contexts.port(home)
    return contexts.asGuest(of: home) { cx in gate.enter(item, at: port, &cx) } ?? gate.post(item)
  }
}
