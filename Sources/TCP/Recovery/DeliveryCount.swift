/// How many segments have arrived, and how many were lost, since the connection began. Wrapping.
struct DeliveryCount {
  /// Segments delivered, in order or not; the SYN is one.
  var delivered: UInt32 = 0
  /// Segments found lost.
  var lost: UInt32 = 0
}
