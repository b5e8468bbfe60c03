public import TCP

extension StreamSocket {
  /// What the engine says of itself. Only for who steps the contexts by hand, between two steps: then nobody is inside
  /// the connection.
  public var informationAtRest: TCPInfo { connection.withOwnedAtRest(layer) { $0.engine.info } }
}
