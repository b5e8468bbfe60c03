/// Which link a command is to get.
public enum LinkChoice: String, Sendable, CaseIterable {
  /// A TAP where `/dev/net/tun` can be opened, else a veth pair.
  case automatic
  /// A TAP, or an error.
  case tap
  /// A veth pair with packet sockets on its far end, or an error.
  case veth
}

/// Which link it got.
public enum LinkKind: String, Sendable {
  /// A TAP interface.
  case tap
  /// A veth pair with packet sockets on its far end.
  case veth
}
