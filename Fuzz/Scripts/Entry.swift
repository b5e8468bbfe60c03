import Glibc

/// Which of Drill's readers: the environment variable FUZZ_TARGET says. libFuzzer owns `main` and its arguments.
let readsCode: Bool = {
  switch unsafe getenv("FUZZ_TARGET").map({ unsafe String(cString: $0) }) {
  case "script": false
  case "code": true
  default: fatalError("FUZZ_TARGET must be script or code")
  }
}()

/// Called by libFuzzer with bytes of its choice.
@c(LLVMFuzzerTestOneInput)
public func fuzzOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
  let outcome =
    readsCode ? ScriptReading.run(String(decoding: bytes, as: UTF8.self)) : ScriptReading.read(bytes)
  if case .wrong(let what) = outcome { fatalError(what) }
  return 0
}
