/// Called by libFuzzer with bytes of its choice: what a guest may have written into its memory.
@c(LLVMFuzzerTestOneInput)
public func fuzzOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
  if let wrong = RingWalk.run(bytes).wrong { fatalError(wrong) }
  return 0
}
