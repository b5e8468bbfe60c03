import Chance
import Wire

extension SeededGenerator {
  /// Any value of an integer type.
  mutating func any<Value: FixedWidthInteger & UnsignedInteger>(_ type: Value.Type = Value.self) -> Value {
    Value(truncatingIfNeeded: next())
  }
  mutating func bool() -> Bool { next() & 1 == 1 }
  mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }
}

/// Bytes from hexadecimal text; spaces and line ends are ignored.
func hex(_ text: String) -> [UInt8] {
  let digits = text.filter { !$0.isWhitespace }.map { UInt8(String($0), radix: 16)! }
  return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

/// Runs `body` on the bytes of an array.
func reading<Result, Failure: Error>(
  _ bytes: [UInt8], _ body: (RawSpan) throws(Failure) -> Result
) throws(Failure) -> Result {
  // An array of bytes has no padding.
  try body(unsafe bytes.span.bytes)
}

/// Runs `body` on `count` bytes that start as 0xEE and returns them: what an emitter leaves out is seen.
func emitting(_ count: Int, _ body: (inout MutableRawSpan) -> Void) -> [UInt8] {
  var bytes = [UInt8](repeating: 0xEE, count: count)
  var elements = bytes.mutableSpan
  // An array of bytes has no padding.
  var span = unsafe elements.mutableBytes
  body(&span)
  return bytes
}
