import Simulation

/// Called by libFuzzer with bytes of its choice: which frames of a running connection are changed, and how.
@c(LLVMFuzzerTestOneInput)
public func fuzzOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  let before = allocatedBytes()
  if let failure = Simulation.attack(unsafe RawSpan(_unsafeStart: start, count: count)) {
    fatalError(failure)
  }
  unsafe memoryRecord.ran(holding: allocatedBytes() - before)
  return 0
}
