import Wire

extension Simulation {
  /// Runs a connection in virtual time while frames of both directions are changed as `input` says, and then a fresh
  /// connection, which must be served. For fuzzers: the same input does the same again.
  ///
  /// - Returns: what went wrong; nil if nothing did.
  public static func attack(_ input: RawSpan) -> String? {
    guard var profile = Profile.named("fuzz"), input.byteCount > 1 else { return nil }
    let workloads: [Workload] = [.upload, .download, .both, .exchange, .halfClose, .short, .abort]
    let first = input.uint8(at: 0)
    profile.bytes = 16 << 10
    var options = RunOptions()
    options.workload = workloads[Int(first >> 1) % workloads.count]
    options.comparesReference = false
    options.encapsulates = first & 1 != 0
    let run = Run(profile, seed: UInt64(first), options)
    let rest = (1..<input.byteCount).map { input.uint8(at: $0) }
    let half = rest.count / 2
    run.assembly.network.pipes[0].mutator = FrameMutator(script: Array(rest[..<half]))
    run.assembly.network.pipes[1].mutator = FrameMutator(script: Array(rest[half...]))
    return run.run().failure
  }
}
