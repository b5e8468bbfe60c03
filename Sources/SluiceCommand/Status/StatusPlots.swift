// What the page for browsers draws over time. The script takes events from /events; figures stand in elements of their own,
// each with the plain number as `data-value`, for whoever reads the page by a program.

enum StatusPlots {
  static let style = """
    .plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr)); gap: 1.25rem; margin: 1.5rem 0; }
    figure { margin: 0; }
    figcaption { display: flex; flex-wrap: wrap; gap: 0 1rem; font-variant-numeric: tabular-nums; }
    figcaption b { font-weight: 600; flex-basis: 100%; }
    figcaption span::before { content: ""; display: inline-block; width: .7em; height: .7em; margin-right: .35em; \
    border-radius: 2px; background: var(--colour); }
    svg { display: block; width: 100%; height: 8rem; border-bottom: 1px solid var(--line); }
    svg path { fill: none; stroke: var(--colour); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
    svg .top { stroke: var(--line); stroke-dasharray: 3 3; }
    figure small { float: right; color: var(--soft); }
    .c0 { --colour: #0a7ea4; } .c1 { --colour: #d9822b; } .c2 { --colour: #7a5af0; }
    """

  static let body = """
    <noscript><p>The plots need a script.</p></noscript>
    <p id="live" data-samples="0">Connections <output id="connections">–</output>, busiest context \
    <output id="load">–</output>, <span id="state">waiting for the stack</span>.</p>
    <div class="plots">
    <figure id="throughput"><figcaption><b>Throughput</b><span class="c0">in <output id="in">–</output></span>\
    <span class="c1">out <output id="out">–</output></span></figcaption><svg></svg></figure>
    <figure id="roundtrip"><figcaption><b>Round trip</b><span class="c0">median <output id="rtt">–</output></span>\
    <span class="c1">worst <output id="worst">–</output></span></figcaption><svg></svg></figure>
    <figure id="queues"><figcaption><b>Queues</b><span class="c0">link <output id="waiting">–</output></span>\
    <span class="c1">unacknowledged <output id="unacknowledged">–</output></span>\
    <span class="c2">unread <output id="unread">–</output></span></figcaption><svg></svg></figure>
    </div>

    """

  static let script = """
    <script>
    "use strict";
    // A sample: moment, bits in, bits out, round trip, worst, waiting, unacknowledged, unread, connections, load.
    const kept = \(History.length), samples = [];
    const scaled = (value, units, base) => {
      let unit = 0;
      while (value >= base && unit < units.length - 1) { value /= base; unit++; }
      return (value < 10 && unit ? value.toFixed(1) : Math.round(value)) + " " + units[unit];
    };
    const bits = v => scaled(v, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s"], 1000);
    const bytes = v => scaled(v, ["B", "KiB", "MiB", "GiB"], 1024);
    const time = v => scaled(v, ["µs", "ms", "s"], 1000);
    const plots = [
      ["throughput", bits, ["in", "out"], [1, 2]],
      ["roundtrip", time, ["rtt", "worst"], [3, 4]],
      ["queues", bytes, ["waiting", "unacknowledged", "unread"], [5, 6, 7]],
    ];
    const put = (id, value, text) => {
      const element = document.getElementById(id);
      element.textContent = value === null ? "–" : text(value);
      element.dataset.value = value === null ? "" : value;
    };
    const draw = () => {
      const last = samples[samples.length - 1];
      // As wide as what there is, but for the first moments.
      const span = Math.max(30, Math.ceil(last ? (last[0] - samples[0][0]) / 1000 : 0));
      for (const [id, text, names, places] of plots) {
        if (last) names.forEach((name, index) => put(name, last[places[index]], text));
        const top = Math.max(1, ...samples.flatMap(sample => places.map(place => sample[place] || 0)));
        let inner = '<path class="top" d="M0 4H' + span + '"/>';
        places.forEach((place, index) => {
          let path = "", previous = null;
          for (const sample of samples) {
            if (sample[place] === null) { previous = null; continue; }
            const x = span - (last[0] - sample[0]) / 1000, y = 100 - 96 * sample[place] / top;
            path += (previous && sample[0] - previous < 2500 ? "L" : "M") + x.toFixed(1) + " " + y.toFixed(1);
            previous = sample[0];
          }
          inner += `<path class="c${index}" d="${path}"/>`;
        });
        const plot = document.querySelector(`#${id} svg`);
        plot.setAttribute("viewBox", `0 0 ${span} 100`);
        plot.setAttribute("preserveAspectRatio", "none");
        plot.innerHTML = inner;
        let label = document.querySelector(`#${id} small`);
        if (!label) { label = document.createElement("small"); plot.before(label); }
        label.textContent = "to " + text(top) + ", " + span + " s";
      }
      if (last) {
        put("connections", last[8], String);
        put("load", last[9], value => value / 10 + " %");
      }
      document.getElementById("live").dataset.samples = samples.length;
    };
    const source = new EventSource("/events"), state = text => document.getElementById("state").textContent = text;
    source.addEventListener("history", event => {
      samples.splice(0, samples.length, ...JSON.parse(event.data));
      state("live");
      draw();
    });
    source.onmessage = event => {
      samples.push(JSON.parse(event.data));
      if (samples.length > kept) samples.shift();
      draw();
    };
    source.onerror = () => state("the stack does not answer");
    </script>

    """
}
