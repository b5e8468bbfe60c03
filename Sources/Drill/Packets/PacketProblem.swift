/// Why a packet of a script cannot be built, or one of the stack cannot be read.
enum PacketProblem: Error, Equatable {
  /// Something that this tool does not build.
  case unsupported(String)
  /// The script echoes a time stamp that the stack never sent.
  case unknownEcho(UInt32)
  /// What the stack sent is no packet: what is wrong with it.
  case malformed(String)
}

extension PacketProblem: CustomStringConvertible {
  var description: String {
    switch self {
    case .unsupported(let what): what
    case .unknownEcho(let value): "ecr \(value) echoes no time stamp that was sent"
    case .malformed(let what): what
    }
  }
}
