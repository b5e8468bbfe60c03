/// How many segments have arrived, and how many were lost, since the connection began. Wrapping.
struct DeliveryCount {
  /// Segments delivered, in order or not; the SYN is one.
  var delivered: UInt32 = 0
  /// Segments found lost.
  var lost: UInt32 = 0
  /// Segments that arrived and had met congestion, as the peer's feedback says: with accurate feedback s.cep of RFC 9768
  /// less its first value, else all that was delivered by acknowledgments that echo congestion.
  var marked: UInt32 = 0
}
