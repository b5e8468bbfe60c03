internal import CLinux

/// Below this many bytes the call into the AVX2 code costs more than it saves.
private let wideThreshold = 256

/// The ones'-complement sum of `bytes` taken as 16-bit words in network byte order, an odd last byte padded
/// with zero, folded to 16 bits (RFC 1071). 0 only for bytes that are all zero.
@inline(__always)
func onesComplementSum(_ bytes: RawSpan) -> UInt16 {
  let count = bytes.byteCount
  if count < shortLimit { return sumOfFew(bytes) }
  // As long as a full segment: nothing is between it and the loop.
  guard count >= wideThreshold, sumsWidely, let start = unsafe bytes.withUnsafeBytes({ $0.baseAddress })
  else { return onesComplementSum(bytes, widely: sumsWidely) }
  return UInt16(bigEndian: folded(unsafe sluice_checksum_wide(start, count)))
}
/// The same of fewer than ``shortLimit`` bytes.
@inline(__always)
private func sumOfFew(_ bytes: RawSpan) -> UInt16 {
  let count = bytes.byteCount
  // An empty span need not have an address.
  guard count > 0, let start = unsafe bytes.withUnsafeBytes({ $0.baseAddress }) else { return 0 }
  return UInt16(bigEndian: folded(unsafe sumOfShort(start, count)))
}

/// The same; `widely` false keeps to portable code, and the tests compare the two.
///
/// Never inlined: one copy of the loop, with the registers to itself.
@inline(never)
package func onesComplementSum(_ bytes: RawSpan, widely: Bool) -> UInt16 {
  let count = bytes.byteCount
  if count < shortLimit { return sumOfFew(bytes) }
  // Each load below stays within `count`.
  guard let start = unsafe bytes.withUnsafeBytes({ $0.baseAddress }) else { return 0 }
  let sum =
    widely && count >= wideThreshold
    ? unsafe sluice_checksum_wide(start, count) : unsafe sumOfWords(start, count)
  // The loads were in the machine's order; swapping the folded sum instead is RFC 1071 section 2 (B).
  return UInt16(bigEndian: folded(sum))
}

/// Below this many bytes, as requests and acknowledgments have them, no lane pays for itself.
private var shortLimit: Int { 64 }

/// Sums in the machine's byte order, a word after the other; the carries out of each are added back in.
@inline(__always)
private func sumOfShort(_ start: UnsafeRawPointer, _ count: Int) -> UInt64 {
  var sum: UInt64 = 0
  var at = 0
  while at &+ 8 <= count {
    let word = unsafe start.loadUnaligned(fromByteOffset: at, as: UInt64.self)
    sum &+= word
    sum &+= sum < word ? 1 : 0
    at &+= 8
  }
  var rest: UInt64 = 0
  if count & 4 != 0 {
    rest = UInt64(unsafe start.loadUnaligned(fromByteOffset: at, as: UInt32.self))
    at &+= 4
  }
  if count & 2 != 0 {
    rest &+= UInt64(unsafe start.loadUnaligned(fromByteOffset: at, as: UInt16.self))
    at &+= 2
  }
  if count & 1 != 0 {
    // The missing byte is zero and follows in memory, whatever the machine's order.
    rest &+= UInt64(UInt16(bigEndian: UInt16(unsafe start.load(fromByteOffset: at, as: UInt8.self)) &<< 8))
  }
  // Both halves, so that the rest has room.
  return (sum & 0xFFFF_FFFF) &+ (sum &>> 32) &+ rest
}

/// The same of `count` bytes from `start` on, which are copied to `target`, where none of them lies.
@inline(__always)
func onesComplementCopy(
  _ start: UnsafeRawPointer, to target: UnsafeMutableRawPointer, count: Int
) -> UInt16 {
  guard count >= wideThreshold, sumsWidely else {
    unsafe target.copyMemory(from: start, byteCount: count)
    return onesComplementSum(unsafe RawSpan(_unsafeStart: start, byteCount: count), widely: sumsWidely)
  }
  return UInt16(bigEndian: folded(unsafe sluice_checksum_copy_wide(target, start, count)))
}
/// Whether this processor sums widely.
@inline(__always) var sumsWidely: Bool { sluice_checksum_is_wide() }

/// Sums in the machine's byte order. Each half of a 64-bit word is added to a 64-bit lane, so that lanes
/// cannot overflow before 2³² iterations.
@inline(__always)
private func sumOfWords(_ start: UnsafeRawPointer, _ count: Int) -> UInt64 {
  var lowFirst = SIMD2<UInt64>.zero
  var highFirst = SIMD2<UInt64>.zero
  var lowSecond = SIMD2<UInt64>.zero
  var highSecond = SIMD2<UInt64>.zero
  let mask = SIMD2<UInt64>(repeating: 0xFFFF_FFFF)
  var at = 0
  while at &+ 32 <= count {
    let first = unsafe start.loadUnaligned(fromByteOffset: at, as: SIMD2<UInt64>.self)
    let second = unsafe start.loadUnaligned(fromByteOffset: at &+ 16, as: SIMD2<UInt64>.self)
    lowFirst &+= first & mask
    highFirst &+= first &>> 32
    lowSecond &+= second & mask
    highSecond &+= second &>> 32
    at &+= 32
  }
  let lanes = (lowFirst &+ highFirst) &+ (lowSecond &+ highSecond)
  var sum = lanes[0] &+ lanes[1]
  while at &+ 4 <= count {
    sum &+= UInt64(unsafe start.loadUnaligned(fromByteOffset: at, as: UInt32.self))
    at &+= 4
  }
  if at &+ 2 <= count {
    sum &+= UInt64(unsafe start.loadUnaligned(fromByteOffset: at, as: UInt16.self))
    at &+= 2
  }
  if at < count {
    // The missing byte is zero and follows in memory, whatever the machine's order.
    sum &+= UInt64(UInt16(bigEndian: UInt16(unsafe start.load(fromByteOffset: at, as: UInt8.self)) &<< 8))
  }
  return sum
}

/// Adds the carries back in until 16 bits are left.
@inlinable @inline(__always)
func folded(_ sum: UInt64) -> UInt16 {
  var sum = (sum & 0xFFFF_FFFF) &+ (sum &>> 32)
  sum = (sum & 0xFFFF) &+ (sum &>> 16 & 0xFFFF) &+ (sum &>> 32)
  sum = (sum & 0xFFFF) &+ (sum &>> 16)
  sum = (sum & 0xFFFF) &+ (sum &>> 16)
  return UInt16(truncatingIfNeeded: sum)
}
