/// An ARP message for IPv4 over Ethernet in place (RFC 826).
@frozen public struct ARPView: ~Escapable {
  /// The 28 bytes of the message.
  public let bytes: RawSpan

  /// Checks length, hardware and protocol; `.unsupported` for another pair of networks. Padding after the
  /// message is left out.
  @inlinable
  @_lifetime(copy message)
  public init(_ message: RawSpan) throws(WireError) {
    try message.require(ARPMessage.byteCount)
    guard message.uint32(at: 0) == 0x0001_0800, message.uint16(at: 4) == 0x0604 else { throw .unsupported }
    bytes = message.extracting(0..<ARPMessage.byteCount)
  }

  /// What the message wants.
  @inlinable public var operation: ARPMessage.Operation { .init(rawValue: bytes.uint16(at: 6)) }
  /// Link-layer address of who sends.
  @inlinable public var senderHardware: MACAddress { MACAddress(bytes, at: 8) }
  /// IPv4 address of who sends; 0.0.0.0 in a probe (RFC 5227).
  @inlinable public var sender: IPv4Address { IPv4Address(bytes.uint32(at: 14)) }
  /// Link-layer address of who is meant; without meaning in a request.
  @inlinable public var targetHardware: MACAddress { MACAddress(bytes, at: 18) }
  /// IPv4 address of who is meant.
  @inlinable public var target: IPv4Address { IPv4Address(bytes.uint32(at: 24)) }
}

/// An ARP message for IPv4 over Ethernet (RFC 826).
@frozen public struct ARPMessage: Hashable, Sendable {
  /// What a message wants.
  @frozen public struct Operation: RawRepresentable, Hashable, Sendable {
    /// The number on the wire.
    public var rawValue: UInt16
    /// Any number is an operation.
    @inlinable
    public init(rawValue: UInt16) { self.rawValue = rawValue }
    /// Who has the target's address?
    @inlinable public static var request: Self { .init(rawValue: 1) }
    /// The sender has.
    @inlinable public static var reply: Self { .init(rawValue: 2) }
  }

  /// Length of every message.
  @inlinable public static var byteCount: Int { 28 }

  /// What the message wants.
  public var operation: Operation
  /// Link-layer address of who sends.
  public var senderHardware: MACAddress
  /// IPv4 address of who sends.
  public var sender: IPv4Address
  /// Link-layer address of who is meant.
  public var targetHardware: MACAddress
  /// IPv4 address of who is meant.
  public var target: IPv4Address

  /// All fields.
  @inlinable
  public init(
    operation: Operation, senderHardware: MACAddress, sender: IPv4Address, targetHardware: MACAddress,
    target: IPv4Address
  ) {
    self.operation = operation
    self.senderHardware = senderHardware
    self.sender = sender
    self.targetHardware = targetHardware
    self.target = target
  }

  /// Parses the message at the start of `bytes`; what follows it is padding.
  public static func parse(_ bytes: RawSpan) throws(WireError) -> ARPMessage {
    let view = try ARPView(bytes)
    return ARPMessage(
      operation: view.operation, senderHardware: view.senderHardware, sender: view.sender,
      targetHardware: view.targetHardware, target: view.target)
  }

  /// Bytes that `emit` writes.
  @inlinable public var byteCount: Int { Self.byteCount }

  /// Writes the message to the start of `span`.
  public func emit(into span: inout MutableRawSpan) {
    span.set(0x0001_0800_0604 << 16 as UInt64 | UInt64(operation.rawValue), at: 0)
    senderHardware.emit(into: &span, at: 8)
    span.set(sender.rawValue, at: 14)
    targetHardware.emit(into: &span, at: 18)
    span.set(target.rawValue, at: 24)
  }
}
