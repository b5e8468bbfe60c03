// The keys of a connection while it lives: RFC 5925 section 7.1.

import Exclusion
import SoftInterrupts
public import TCP

extension StreamSocket {
  /// Changes the connection's keys, in order with what was written before. Any thread; does not wait. The answer is nil
  /// if it is done; else nothing has changed: `.notAuthenticated` if the connection began without keys, `.ended`, and
  /// what ``TCPAuthenticatedConnection/change(_:)`` throws.
  public func changeAuthentication(_ change: TCPAuthenticationChange) -> Answer<TCPAuthenticationError?> {
    let answer = Answer<TCPAuthenticationError?>(layer.wakeAccount)
    let isPosted = connection.call { connection, cx in
      var refusal: TCPAuthenticationError?
      if unsafe connection.owned.pointee.isDropped {
        refusal = .ended
      } else if case .keys(let authentication) = unsafe connection.owned.pointee.authentication {
        do throws(TCPAuthenticationError) { try authentication.change(change) } catch { refusal = error }
      } else {
        refusal = .notAuthenticated
      }
      answer.complete(refusal, &cx)
    }
    return isPosted ? answer : Answer(layer.wakeAccount, answered: .ended)
  }

  /// How the connection's authentication stands; nil: it has none, or has ended. Any thread; does not wait.
  public func authentication() -> Answer<TCPAuthenticationInfo?> {
    let answer = Answer<TCPAuthenticationInfo?>(layer.wakeAccount)
    let isPosted = connection.call { connection, cx in
      var info: TCPAuthenticationInfo?
      if case .keys(let authentication) = unsafe connection.owned.pointee.authentication {
        info = authentication.info
      }
      answer.complete(info, &cx)
    }
    return isPosted ? answer : Answer(layer.wakeAccount, answered: nil)
  }
}
