public import Exclusion
import SoftInterrupts
import TCP

/// What the socket layer of one context counted. Written by the context, read by anyone.
public struct SocketCounters: ~Copyable, Sendable {
  /// TCP segments that arrived.
  public let segmentsReceived = Counter()
  /// TCP segments sent.
  public let segmentsSent = Counter()
  /// Of these, segments that repeat something.
  public let segmentsRetransmitted = Counter()
  /// Resets sent because nobody had the segment's connection.
  public let resetsSent = Counter()
  /// Segments and datagrams with a wrong checksum.
  public let checksumErrors = Counter()
  /// Segments whose header made no sense, or that came by broadcast.
  public let segmentsMalformed = Counter()
  /// Segments for which there was no connection and no listener.
  public let segmentsWithoutSocket = Counter()
  /// Segments that arrived in UDP (``TCPEncapsulation``).
  public let encapsulatedReceived = Counter()
  /// Segments sent in UDP.
  public let encapsulatedSent = Counter()
  /// Segments that came in UDP from no port, or were to go in UDP when there was no encapsulation any more.
  public let encapsulatedDropped = Counter()
  /// Segments with the 4-tuple of a connection, or of a half-open one, that came otherwise than its segments do: in UDP from
  /// another port, in UDP and not, or the other way round.
  public let encapsulationMismatches = Counter()
  /// Probes of how large a packet the path takes that were sent (RFC 4821).
  public let pathProbes = Counter()
  /// Of these, those that arrived (Linux's TCPMTUPSuccess).
  public let pathProbesDelivered = Counter()
  /// Of these, those that were lost (Linux's TCPMTUPFail).
  public let pathProbesLost = Counter()
  /// Times that a connection's segments became smaller because none of their size arrived.
  public let pathBlackHoles = Counter()
  /// Segments that could not be sent because the pool was empty.
  public let segmentsWithoutBuffer = Counter()
  /// Segments that could not be sent: no route, or too large for it.
  public let segmentsUnroutable = Counter()
  /// Times that a connection stopped sending because it had enough below IP.
  public let outputHeld = Counter()
  /// Segments dropped because too many waited at a connection's gate.
  public let gateQueueFull = Counter()
  /// Segments dropped because too many waited on their way to another context.
  public let steeringQueueFull = Counter()
  /// Segments whose text was dropped, unacknowledged, because the socket's unread ones occupy too much.
  public let receiveQueueFull = Counter()
  /// Segments whose text was dropped, unacknowledged, because the stack's memory is exhausted.
  public let segmentsWithoutMemory = Counter()
  /// Packets that came free because their bytes went into those before them.
  public let slotsCollapsed = Counter()
  /// Packets ahead of a hole that were thrown away because memory was short.
  public let slotsPruned = Counter()
  /// Connections refused because the stack's memory is exhausted.
  public let connectionsWithoutMemory = Counter()
  /// Times that a connection came to rest.
  public let rests = Counter()
  /// Times that one was taken up again.
  public let restsEnded = Counter()
  /// Times that one with nothing to do did not become small enough to rest.
  public let restsRefused = Counter()
  /// Errors about datagrams that gave way to newer ones, or that there was no memory for.
  public let datagramErrorsLost = Counter()
  /// Datagrams dropped on arrival because the stack's memory is exhausted.
  public let datagramsWithoutMemory = Counter()
  /// Bytes that arrived after nobody would read them.
  public let bytesDiscarded = Counter()
  /// SYNs dropped because a listener's queues were full.
  public let listenOverflows = Counter()
  /// SYNs that became half-open connections.
  public let synsKept = Counter()
  /// Half-open connections now.
  public let halfOpen = Gauge()
  /// SYNs that found no place in the table of half-open connections.
  public let synCacheFull = Counter()
  /// Half-open connections that gave their place to a newer one.
  public let synCacheEvictions = Counter()
  /// SYNs answered with a cookie.
  public let cookiesSent = Counter()
  /// Connections that a cookie completed.
  public let cookiesAccepted = Counter()
  /// ACKs that carried no valid cookie where one could have been.
  public let cookiesRefused = Counter()
  /// ICMP errors that were not believed: what they quote is not out (RFC 5927 section 4.1).
  public let errorsOutOfWindow = Counter()
  /// Segments whose text begins beyond the window, or reaches beyond it and is not taken for that (Linux: BeyondWindow).
  public let segmentsBeyondWindow = Counter()
  /// Segments with text at a closed window (Linux: TCPZeroWindowDrop).
  public let segmentsAtClosedWindow = Counter()
  /// Segments dropped because they lack the signature that they must have (RFC 2385).
  public let signaturesMissing = Counter()
  /// Segments dropped because they are signed, and no secret is known.
  public let signaturesUnexpected = Counter()
  /// Segments dropped because their signature is wrong.
  public let signaturesWrong = Counter()
  /// Segments with the right code of a key (RFC 5925).
  public let authenticationGood = Counter()
  /// Segments dropped because the code is wrong, or has another length than the key's.
  public let authenticationBad = Counter()
  /// Segments dropped because no key has their KeyID.
  public let authenticationKeyNotFound = Counter()
  /// Segments dropped because they have no code, and there are keys for the peer, or the socket wants some.
  public let authenticationRequired = Counter()
  /// Segments with a code from whom no key covers; they are taken or dropped as the socket is set.
  public let authenticationUnknown = Counter()
  /// ICMP errors that connections with keys did not believe (section 7.8).
  public let authenticationErrorsIgnored = Counter()
  /// Fast Open cookies given to clients.
  public let fastOpenCookiesSent = Counter()
  /// SYNs with a Fast Open cookie that was not the client's.
  public let fastOpenCookiesRefused = Counter()
  /// SYNs with a Fast Open cookie under the key before.
  public let fastOpenOldCookies = Counter()
  /// Connections that a SYN opened before its handshake was complete.
  public let fastOpenPassive = Counter()
  /// SYNs that could have, but for the listener's limit.
  public let fastOpenOverflows = Counter()
  /// Connections made whose peer took text from the SYN.
  public let fastOpenActive = Counter()
  /// Connections made whose peer did not.
  public let fastOpenActiveFailed = Counter()
  /// Handshakes completed.
  public let handshakesCompleted = Counter()
  /// Half-open connections whose peer gave up, or began anew.
  public let handshakesReset = Counter()
  /// ACKs that acknowledged what was never sent.
  public let handshakesRefused = Counter()
  /// Half-open connections whose peer did not answer in time, or whose listener went.
  public let handshakesTimedOut = Counter()
  /// Final ACKs without data that left their connection half open, as the listener wants (TCP_DEFER_ACCEPT).
  public let handshakesDeferred = Counter()
  /// Final ACKs dropped because the accept queue was full.
  public let acceptQueueFull = Counter()
  /// Children whose 4-tuple somebody else had taken meanwhile, and dropped.
  public let duplicateSyns = Counter()
  /// Connections made, active and passive.
  public let connectionsMade = Counter()
  /// Connections that the limit refused.
  public let connectionsRefused = Counter()
  /// SYNs for others that began to wait for a verdict.
  public let transparentRequests = Counter()
  /// Of these, those whose connection began.
  public let transparentAccepted = Counter()
  /// Verdicts that came when their SYN was given up.
  public let transparentGone = Counter()
  /// Segments, SYNs above all, of flows whose SYN waits.
  public let transparentRepeated = Counter()
  /// SYNs for others that found no place to wait.
  public let transparentOverflows = Counter()
  /// Packets for others from a source that is no neighbour's, or to another neighbour.
  public let transparentForged = Counter()
  /// Echo requests for others that were heard.
  public let transparentEchoes = Counter()
  /// ICMP messages for others, or of kinds without a use, that were dropped.
  public let transparentEchoesIgnored = Counter()
  /// Packets for others whose hop limit was used up here.
  public let transparentHopsExceeded = Counter()
  /// UDP datagrams that arrived.
  public let datagramsReceived = Counter()
  /// UDP datagrams sent.
  public let datagramsSent = Counter()
  /// Datagrams whose header made no sense.
  public let datagramsMalformed = Counter()
  /// Datagrams for a port that nobody has.
  public let datagramsWithoutSocket = Counter()
  /// Datagrams dropped because the socket's queue was full.
  public let datagramQueueFull = Counter()
  /// Datagrams not sent: no route.
  public let datagramsUnroutable = Counter()

  init() {}

  /// Every counter with the name that users see.
  public var all: [(name: String, value: UInt64)] {
    [
      ("segments_received", segmentsReceived.value), ("segments_sent", segmentsSent.value),
      ("segments_retransmitted", segmentsRetransmitted.value), ("resets_sent", resetsSent.value),
      ("checksum_errors", checksumErrors.value), ("segments_malformed", segmentsMalformed.value),
      ("segments_without_socket", segmentsWithoutSocket.value),
      ("encapsulated_received", encapsulatedReceived.value), ("encapsulated_sent", encapsulatedSent.value),
      ("encapsulated_dropped", encapsulatedDropped.value),
      ("encapsulation_mismatches", encapsulationMismatches.value),
      ("path_probes", pathProbes.value), ("path_probes_delivered", pathProbesDelivered.value),
      ("path_probes_lost", pathProbesLost.value), ("path_black_holes", pathBlackHoles.value),
      ("segments_without_buffer", segmentsWithoutBuffer.value),
      ("segments_unroutable", segmentsUnroutable.value),
      ("output_held", outputHeld.value), ("gate_queue_full", gateQueueFull.value),
      ("steering_queue_full", steeringQueueFull.value),
      ("syns_kept", synsKept.value), ("half_open", halfOpen.value), ("syn_cache_full", synCacheFull.value),
      ("syn_cache_evictions", synCacheEvictions.value), ("cookies_sent", cookiesSent.value),
      ("cookies_accepted", cookiesAccepted.value), ("cookies_refused", cookiesRefused.value),
      ("errors_out_of_window", errorsOutOfWindow.value),
      ("segments_beyond_window", segmentsBeyondWindow.value),
      ("segments_at_closed_window", segmentsAtClosedWindow.value),
      ("signatures_missing", signaturesMissing.value), ("signatures_unexpected", signaturesUnexpected.value),
      ("signatures_wrong", signaturesWrong.value), ("authentication_good", authenticationGood.value),
      ("authentication_bad", authenticationBad.value),
      ("authentication_key_not_found", authenticationKeyNotFound.value),
      ("authentication_required", authenticationRequired.value),
      ("authentication_unknown", authenticationUnknown.value),
      ("authentication_errors_ignored", authenticationErrorsIgnored.value),
      ("fast_open_cookies_sent", fastOpenCookiesSent.value),
      ("fast_open_cookies_refused", fastOpenCookiesRefused.value),
      ("fast_open_old_cookies", fastOpenOldCookies.value), ("fast_open_passive", fastOpenPassive.value),
      ("fast_open_overflows", fastOpenOverflows.value), ("fast_open_active", fastOpenActive.value),
      ("fast_open_active_failed", fastOpenActiveFailed.value),
      ("handshakes_completed", handshakesCompleted.value), ("handshakes_reset", handshakesReset.value),
      ("handshakes_refused", handshakesRefused.value), ("handshakes_timed_out", handshakesTimedOut.value),
      ("handshakes_deferred", handshakesDeferred.value),
      ("receive_queue_full", receiveQueueFull.value), ("bytes_discarded", bytesDiscarded.value),
      ("segments_without_memory", segmentsWithoutMemory.value),
      ("slots_collapsed", slotsCollapsed.value), ("slots_pruned", slotsPruned.value),
      ("connections_without_memory", connectionsWithoutMemory.value),
      ("datagrams_without_memory", datagramsWithoutMemory.value),
      ("rests", rests.value), ("rests_ended", restsEnded.value), ("rests_refused", restsRefused.value),
      ("datagram_errors_lost", datagramErrorsLost.value),
      ("listen_overflows", listenOverflows.value), ("accept_queue_full", acceptQueueFull.value),
      ("transparent_requests", transparentRequests.value),
      ("transparent_accepted", transparentAccepted.value), ("transparent_gone", transparentGone.value),
      ("transparent_repeated", transparentRepeated.value),
      ("transparent_overflows", transparentOverflows.value),
      ("transparent_forged", transparentForged.value),
      ("transparent_echoes", transparentEchoes.value),
      ("transparent_echoes_ignored", transparentEchoesIgnored.value),
      ("transparent_hops_exceeded", transparentHopsExceeded.value),
      ("duplicate_syns", duplicateSyns.value), ("connections_made", connectionsMade.value),
      ("connections_refused", connectionsRefused.value), ("datagrams_received", datagramsReceived.value),
      ("datagrams_sent", datagramsSent.value), ("datagrams_malformed", datagramsMalformed.value),
      ("datagrams_without_socket", datagramsWithoutSocket.value),
      ("datagram_queue_full", datagramQueueFull.value), ("datagrams_unroutable", datagramsUnroutable.value),
    ]
  }
}

extension SocketContextRef {
  /// What a connection has found out of its path.
  func count(_ news: TCPPathNews) {
    if news.isEmpty { return }
    if news.contains(.probe) { counters.pathProbes.increment() }
    if news.contains(.probeDelivered) { counters.pathProbesDelivered.increment() }
    if news.contains(.probeLost) { counters.pathProbesLost.increment() }
    if news.contains(.blackHole) { counters.pathBlackHoles.increment() }
  }
}
