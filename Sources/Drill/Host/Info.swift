// What TCP_INFO tells, in Linux's units and by Linux's names.

import Sockets
import TCP
import Timing

extension DrillHost {
  /// What TCP_INFO tells of a socket; nil: it is none of TCP. What the stack does not keep is not there.
  public func info(_ descriptor: Int32) -> ConnectionInfo? {
    guard case .stream(let endpoint) = descriptors[descriptor] else { return nil }
    return info(endpoint)
  }

  /// As the kernel numbers states.
  func number(_ state: TCPState) -> Int { isLinux ? state.linuxNumber : state.bsdNumber }

  func info(_ endpoint: Endpoint) -> ConnectionInfo {
    var info = ConnectionInfo()
    info.values["tcpi_state"] = Int64(number(endpoint.state))
    if isLinux {
      info.values["SK_MEMINFO_RCVBUF"] = Int64(receiveBuffer(endpoint))
      info.values["SK_MEMINFO_SNDBUF"] = Int64(sendBuffer(endpoint))
    }
    if let listener = endpoint.listener {
      info.values["tcpi_unacked"] = Int64(listener.waiting)
      info.values["tcpi_sacked"] = Int64(endpoint.backlog)
      return info
    }
    if endpoint.stream == nil {
      // Nothing was ever sent.
      for name in ["options", "unacked", "sacked", "lost", "retrans", "ca_state", "backoff", "probes"] {
        info.values["tcpi_\(name)"] = 0
      }
    }
    guard let stream = endpoint.stream, let told = wait(stream.info()), let told else { return info }
    settle()
    info.add(told, headers: stream.remoteAddress.address.isIPv4 ? 40 : 60)
    if !isLinux { info.countBytes(segment: told.tcp.sendSegment) }
    return info
  }
}

extension ConnectionInfo {
  fileprivate mutating func add(_ info: StreamInfo, headers: Int) {
    let tcp = info.tcp
    func microseconds(_ span: Nanoseconds) -> Int64 { span.count / 1000 }
    values["tcpi_retransmits"] = Int64(tcp.backoff)
    values["tcpi_backoff"] = Int64(tcp.backoff)
    values["tcpi_options"] =
      (tcp.timestamps ? 1 : 0) | (tcp.selectiveAcknowledgments ? 2 : 0)
      | (tcp.congestionFeedback == .none ? 0 : 8) | (tcp.accurateFeedback.wasCapable ? 16 : 0)
      | (tcp.synData ? 32 : 0)
      | (tcp.receiveWindowScale > 0 || tcp.sendWindowScale > 0 ? 4 : 0)
    values["tcpi_snd_wscale"] = Int64(tcp.sendWindowScale)
    values["tcpi_rcv_wscale"] = Int64(tcp.receiveWindowScale)
    values["tcpi_rto"] = microseconds(tcp.retransmissionTimeout)
    values["tcpi_rtt"] = microseconds(tcp.smoothedRoundTrip)
    values["tcpi_rttvar"] = microseconds(tcp.roundTripVariation)
    values["tcpi_min_rtt"] = microseconds(tcp.minimumRoundTrip)
    values["tcpi_snd_mss"] = Int64(tcp.sendSegment)
    values["tcpi_advmss"] = Int64(tcp.receiveSegment)
    values["tcpi_pmtu"] = Int64(tcp.pathSegment + headers)
    values["tcpi_probes"] = Int64(tcp.windowProbes)
    values["tcpi_unacked"] = Int64(tcp.unacknowledgedSegments)
    values["tcpi_sacked"] = Int64(tcp.sackedSegments)
    values["tcpi_lost"] = Int64(tcp.lostSegments)
    values["tcpi_retrans"] = Int64(tcp.repeatingSegments)
    values["tcpi_reordering"] = Int64(tcp.reordering)
    values["tcpi_delivered"] = Int64(tcp.deliveredSegments)
    values["tcpi_snd_cwnd"] = Int64(tcp.congestionWindow)
    values["tcpi_snd_ssthresh"] =
      tcp.slowStartThreshold == .max ? 0x7FFF_FFFF : Int64(tcp.slowStartThreshold)
    values["tcpi_ca_state"] = Int64(tcp.phase.rawValue)
    values["tcpi_reord_seen"] = Int64(tcp.counters.reorderings)
    values["tcpi_dsack_dups"] = Int64(tcp.counters.duplicateReports)
    values["tcpi_snd_wnd"] = Int64(tcp.sendWindow)
    values["tcpi_total_retrans"] = Int64(tcp.counters.retransmissions)
    values["tcpi_bytes_acked"] = Int64(clamping: tcp.counters.bytesAcknowledged)
    values["tcpi_bytes_received"] = Int64(clamping: tcp.counters.bytesReceived)
    values["tcpi_bytes_sent"] = Int64(clamping: tcp.counters.bytesSent)
    values["tcpi_segs_out"] = Int64(tcp.counters.segmentsSent)
    values["tcpi_segs_in"] = Int64(tcp.counters.segmentsReceived)
    add(tcp.accurateFeedback)
    values["tcpi_ecn_mode"] = Int64(tcp.congestionFeedback.rawValue)
    values["tcpi_delivered_ce"] = Int64(tcp.markedSegments)
    values["tcpi_notsent_bytes"] = Int64(info.unsentBytes)
    values["tcpi_busy_time"] = microseconds(tcp.busyTime)
    values["tcpi_rwnd_limited"] = microseconds(tcp.windowLimitedTime)
    values["tcpi_sndbuf_limited"] = microseconds(tcp.bufferLimitedTime)
    values["tcpi_last_data_sent"] = microseconds(tcp.sinceTextSent) / 1000
    values["tcpi_last_data_recv"] = microseconds(tcp.sinceTextReceived) / 1000
    values["tcpi_last_ack_recv"] = microseconds(tcp.sinceAcknowledgment) / 1000
    values["tcpi_last_ack_sent"] = 0
    values["tcpi_rcv_mss"] = Int64(tcp.peerSegment)
    values["tcpi_ato"] = microseconds(tcp.acknowledgmentTimeout)
    values["tcpi_rcv_rtt"] = microseconds(tcp.receiveRoundTrip)
    values["tcpi_rcv_wnd"] = Int64(tcp.receiveWindow)
    values["tcpi_rcv_ooopack"] = Int64(tcp.outOfOrderSegments)
    values["tcpi_bytes_retrans"] = Int64(clamping: tcp.counters.bytesRetransmitted)
    values["tcpi_fackets"] = 0
    values["tcpi_pacing_rate"] = tcp.pacingRate.map { Int64($0) } ?? -1
    if let rate = tcp.deliveryRate { values["tcpi_delivery_rate"] = Int64(rate) }
    values["tcpi_delivery_rate_app_limited"] = tcp.isDeliveryApplicationLimited ? 1 : 0
    if let bandwidth = tcp.bandwidth { add(bandwidth) }
  }
}

extension ConnectionInfo {
  /// BSD tells in bytes what Linux tells in segments.
  fileprivate mutating func countBytes(segment: Int) {
    for name in ["tcpi_snd_cwnd", "tcpi_snd_ssthresh"] {
      guard let count = values[name], count != 0x7FFF_FFFF else { continue }
      values[name] = count * Int64(segment)
    }
  }

  /// Gains in 1/256.
  private mutating func add(_ bandwidth: TCPBandwidthInfo) {
    values["bbr_bw_lo"] = Int64(bandwidth.bandwidth & 0xFFFF_FFFF)
    values["bbr_bw_hi"] = Int64(bandwidth.bandwidth >> 32)
    values["bbr_min_rtt"] = bandwidth.minimumRoundTrip.count / 1000
    values["bbr_pacing_gain"] = Int64(bandwidth.pacingGain * 256)
    values["bbr_cwnd_gain"] = Int64(bandwidth.windowGain * 256)
  }
}

extension ConnectionInfo {
  fileprivate mutating func add(_ feedback: TCPAccurateInfo) {
    values["tcpi_received_ce"] = Int64(feedback.receivedPackets)
    for (name, bytes) in [("received", feedback.receivedBytes), ("delivered", feedback.deliveredBytes)] {
      values["tcpi_\(name)_e1_bytes"] = Int64(bytes.capable1)
      values["tcpi_\(name)_e0_bytes"] = Int64(bytes.capable0)
      values["tcpi_\(name)_ce_bytes"] = Int64(bytes.experienced)
    }
    values["tcpi_accecn_opt_seen"] = Int64(feedback.optionSight.rawValue)
    values["tcpi_accecn_fail_mode"] = Int64(feedback.failures.rawValue)
  }
}

extension TCPState {
  /// As Linux numbers states.
  var linuxNumber: Int {
    switch self {
    case .established: 1
    case .synSent: 2
    case .synReceived: 3
    case .finWait1: 4
    case .finWait2: 5
    case .timeWait: 6
    case .closed: 7
    case .closeWait: 8
    case .lastAck: 9
    case .listen: 10
    case .closing: 11
    }
  }

  /// As BSD numbers states.
  var bsdNumber: Int {
    switch self {
    case .closed: 0
    case .listen: 1
    case .synSent: 2
    case .synReceived: 3
    case .established: 4
    case .closeWait: 5
    case .finWait1: 6
    case .closing: 7
    case .lastAck: 8
    case .finWait2: 9
    case .timeWait: 10
    }
  }
}
