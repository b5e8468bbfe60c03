/// How a command ended.
public enum CommandStatus: Hashable, Sendable {
  /// It exited, with a code from 0 to 255.
  case exited(Int32)
  /// A signal ended it.
  case signaled(Int32)

  /// What a shell would report: the code, or 128 and the signal's number.
  public var code: Int32 {
    switch self {
    case .exited(let code): code
    case .signaled(let signal): 128 + signal
    }
  }

  /// Decodes what wait(2) yields.
  init(waitStatus: Int32) {
    let signal = waitStatus & 0x7f
    self = signal == 0 ? .exited(waitStatus >> 8 & 0xff) : .signaled(signal)
  }
}
