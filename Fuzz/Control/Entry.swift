/// Called by libFuzzer with bytes of its choice: a request at the control socket, which has less than 4096.
@c(LLVMFuzzerTestOneInput)
public func fuzzOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
  if let wrong = ControlReading.run(bytes) { fatalError(wrong) }
  return 0
}
