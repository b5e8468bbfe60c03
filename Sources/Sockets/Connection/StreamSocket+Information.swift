public import TCP

extension StreamSocket {
  /// What the engine says of itself. Only for who steps the contexts by hand, between two steps: then nobody is inside
  /// the connection.
  public var informationAtRest: TCPInfo { unsafe connection.owned.pointee.engine.info }
}
