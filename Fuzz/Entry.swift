import Glibc
import Wire

/// The exercise that the environment variable FUZZ_TARGET names. libFuzzer owns `main` and its arguments.
let exercise: Exercise = {
  let name = unsafe getenv("FUZZ_TARGET").map { unsafe String(cString: $0) } ?? ""
  guard let exercise = Exercise.all.first(where: { $0.name == name }) else {
    fatalError("FUZZ_TARGET must be one of \(Exercise.all.map(\.name).joined(separator: " "))")
  }
  return exercise
}()

/// Called by libFuzzer with bytes of its choice; they lie in a block of exactly that size, so that the
/// address sanitizer sees any read beyond them.
@c(LLVMFuzzerTestOneInput)
public func fuzzOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  let outcome = exercise.read(unsafe RawSpan(_unsafeStart: start, count: count))
  if case .wrong(let what) = outcome { fatalError("\(exercise): \(what)") }
  return 0
}
