import TCP

extension Simulation {
  /// Runs `profile` with `seed`, and draws the transfer as SVG: sequence numbers with what was sent again, lost and
  /// acknowledged, window, round trip, and the queue. A transfer to the server unless the options say otherwise.
  public static func plot(
    _ profile: Profile, seed: UInt64, _ options: RunOptions = RunOptions()
  ) -> (result: RunResult, svg: String) {
    var options = options
    options.traceLimit = 4_000_000
    let isDownload = options.workload == .download
    if options.workload == nil { options.workload = .upload }
    let run = Run(profile, seed: seed, options)
    let network = run.assembly.network
    let began = network.clock.now().nanoseconds
    func seconds(_ time: UInt64) -> Double { Double(time - began) / 1e9 }
    var data = PlotData()
    network.pipes[run.assembly.narrow + (isDownload ? 1 : 0)].queueObserver = {
      data.queue.append((seconds($0), $1))
    }
    let session = run.traffic.sessions[0]
    run.observer = {
      guard let sender = session.endpoints.first(where: { $0.isClient != isDownload && $0.outcome == nil })
      else { return }
      let sample = PlotData.Sample(sender.informationNow, at: seconds(network.clock.now().nanoseconds))
      if data.samples.last?.hasSameNumbers(as: sample) != true { data.samples.append(sample) }
    }
    var result = run.run()
    let sender = network.hosts[isDownload ? session.plan.server : session.plan.client]
    data.read(result.trace, outgoing: sender.outgoing, isUpload: !isDownload, began: began)
    result.trace = Array(result.trace.suffix(60))
    return (result, TransferPlot.text(data, title: "\(profile.name), seed \(seed)", subtitle: result.caption))
  }
}

extension PlotData.Sample {
  init(_ information: TCPInfo, at time: Double) {
    self.time = time
    window = information.congestionWindow
    threshold = information.slowStartThreshold
    outstanding = information.outstandingBytes
    roundTrip = Double(information.smoothedRoundTrip.count) / 1e6
  }
  func hasSameNumbers(as other: Self) -> Bool {
    window == other.window && threshold == other.threshold && outstanding == other.outstanding
      && roundTrip == other.roundTrip
  }
}

extension RunResult {
  /// What a transfer came to, in a line.
  fileprivate var caption: String {
    var text = "\(workload.rawValue) of \(bytes / 1024) KiB in \(Fixed.text(Double(transferTime) / 1e9, 2)) s"
    if let goodput { text += ", \(Fixed.text(goodput / 1e6, 2)) Mbit/s" }
    if let goodput, let limit {
      text += ", \(Fixed.text(goodput / limit * 100, 0)) % of what the link allows"
    }
    text += "; \(retransmissions) segments sent again, \(timeouts) timeouts"
    if let failure { text += "; failed: \(failure)" }
    return text
  }
}
