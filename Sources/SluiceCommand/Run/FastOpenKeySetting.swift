import Sluice
import Sockets
import TCP

/// The keys of Fast Open's cookies, if --sysctl names some: they are given to a stack that is there.
struct FastOpenKeySetting {
  var cookies: TCPFastOpenCookies?

  func give(to stack: Stack) {
    if let cookies { stack.layer.setFastOpenKeys(cookies) }
  }
}
