import CLinux
import Glibc

/// What the kernel behind a TAP or TUN does with TCP segments that are written in a row, each with a call of its own, as
/// they are without offloads. It can join them before its TCP sees them (GRO, behind IFF_NAPI), as it does with what a
/// network card brings: one way through its stack and one acknowledgment for up to 64 KiB, instead of one for each or
/// every second. Where nothing comes in a row each frame costs a little more.
public enum FrameJoining: String, Hashable, Sendable, CaseIterable {
  /// Nothing: what is written is received when the write returns.
  case none
  /// A segment without PSH waits for the next one, ``longestHold`` at most. Everything else passes when the write returns,
  /// and what was held before it: what asks, and what answers, waits for nothing.
  case held
  /// A thread of the kernel's takes what is written, all that is there at once; nothing waits for what is to come. The
  /// writer is done when the frame is copied. It costs an exchange a switch of threads, and wants a processor to spare.
  case threaded

  /// Nanoseconds that a segment is held at most. Longer than a tick of the kernel's clock (4 ms, mostly), so that the
  /// hardware's timer is not set for each frame: that costs a virtual machine more than everything else about it.
  static var longestHold: Int { 5_000_000 }

  fileprivate var setting: (name: String, value: Int)? {
    switch self {
    case .none: nil
    case .held: ("gro_flush_timeout", Self.longestHold)
    case .threaded: ("threaded", 1)
    }
  }
}

/// A setting of an interface that is ours for a time.
final class InterfaceSetting: Sendable {
  private let file: Int32
  private let before: Int

  /// Nil: it may not be set.
  init?(_ joining: FrameJoining, of interface: String) {
    guard let setting = joining.setting else { return nil }
    let file = unsafe sluice_interface_setting_open(interface, setting.name)
    guard file >= 0 else { return nil }
    let before = sluice_interface_setting_get(file)
    guard before >= 0, sluice_interface_setting_put(file, setting.value) == 0 else {
      close(file)
      return nil
    }
    (self.file, self.before) = (file, before)
  }

  deinit { close(file) }

  /// Makes it what it was, before the queues go: without one that it is for an interface does not take it.
  func restore() { _ = sluice_interface_setting_put(file, before) }

  /// Whether interfaces of this namespace can be set so.
  static func isToBeHad(_ joining: FrameJoining) -> Bool {
    guard let setting = joining.setting else { return false }
    let file = unsafe sluice_interface_setting_open("lo", setting.name)
    if file >= 0 { close(file) }
    return file >= 0
  }
}
