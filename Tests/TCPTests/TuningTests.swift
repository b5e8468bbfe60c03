import TCP
import Testing
import Timing
import Wire

/// How buffers grow with what a round trip brings.
@Suite struct TuningTests {
  private func configuration(_ buffer: UInt32, _ maximum: UInt32) -> TCPConfiguration {
    var configuration = TCPConfiguration()
    configuration.maximumSegment = 1000
    configuration.receiveBuffer = buffer
    configuration.receiveBufferMaximum = maximum
    return configuration
  }
  private var options: TCPOptions {
    var options = TCPOptions()
    options.mss = 1000
    options.windowScale = 7
    return options
  }
  /// One round trip of full segments that are read at once.
  private func round(_ script: Script, _ count: Int, at position: inout Int) {
    for _ in 0..<count {
      script.inject(.ack, 1 + position, stream(1000, from: position), ack: 1)
      position += 1000
      script.space(script.info.receiveBuffer)
    }
    script.wait(milliseconds: 100)
  }

  /// What the application takes in a round trip doubles: so does the buffer, as far as it may.
  @Test(arguments: [false, true]) func theBufferGrowsWithWhatIsRead(stamped: Bool) {
    var options = options
    if stamped { options.timestamps = TCPTimestamps(value: 5000, echo: 0) }
    let script = Script.established(configuration(65_536, 1 << 20), syn: options)
    #expect(script.info.receiveBuffer == 65_536)
    var position = 0
    var sizes: [Int] = []
    for step in 0..<9 {
      round(script, 10 << min(step, 6), at: &position)
      sizes.append(script.info.receiveBuffer)
    }
    #expect(sizes == sizes.sorted() && sizes[0] == 65_536 && sizes.last == 1 << 20)
    // By the window it takes two rounds to measure one; by echoes every acknowledgment in a round is one.
    let trip = script.info.receiveRoundTrip
    #expect(stamped ? trip > .zero && trip < .milliseconds(100) : trip >= .milliseconds(100))
    #expect(trip < .milliseconds(220))
    // It is offered, by a scale that was chosen for it.
    script.inject(.ack, 1 + position, stream(1000, from: position), ack: 1)
    script.space(script.info.receiveBuffer)
    script.wait(milliseconds: 50)
    #expect(script.info.receiveWindow > 900_000)
  }

  @Test func anIdleReaderGetsNoLargerBuffer() {
    var stamped = options
    stamped.timestamps = TCPTimestamps(value: 5000, echo: 0)
    let script = Script.established(configuration(65_536, 1 << 20), syn: stamped)
    var position = 0
    for _ in 0..<20 { round(script, 5, at: &position) }
    #expect(script.info.receiveBuffer == 65_536)
    // Nor one that does not read.
    let slow = Script.established(configuration(65_536, 1 << 20), syn: options)
    for index in 0..<64 {
      slow.inject(.ack, 1 + index * 1000, stream(1000, from: index * 1000), ack: 1)
      slow.wait(milliseconds: 20)
    }
    #expect(slow.info.receiveBuffer == 65_536 && slow.info.receiveWindow < 2000)
  }

  @Test func aSizeThatWasSetStays() {
    for isSet in [false, true] {
      let script = Script.established(configuration(65_536, isSet ? 1 << 20 : 0), syn: options)
      if isSet { script.change { $0.setReceiveBuffer(70_000) } }
      var position = 0
      for step in 0..<6 { round(script, 10 << min(step, 5), at: &position) }
      #expect(script.info.receiveBuffer == (isSet ? 70_000 : 65_536))
    }
  }

  /// RFC 7323 section 2.3: the scale is that of the largest buffer.
  @Test func theScaleIsForTheLargestBuffer() {
    let script = Script(active: configuration(65_536, 15 << 20))
    #expect(script.take().first?.options.windowScale == 8)
  }

  @Test func twoWindowsAreOfUseToASender() {
    let script = Script.established()
    #expect(script.usefulSendBuffer == 2 * 1000 * script.info.congestionWindow)
    script.enqueue(20_000)
    script.inject(.ack, 1, ack: 5001)
    #expect(script.usefulSendBuffer == 2 * 1000 * script.info.congestionWindow)
    #expect(script.info.congestionWindow > 10)
  }
}
