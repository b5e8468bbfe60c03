import ArgumentParser
import LinuxDevices
import Wire

/// `sluice gateway`.
struct GatewayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gateway",
    abstract: "Serve a network that is there already: a container's namespace, virtual machines.",
    usage: """
      sluice gateway [options] --pid PID | --netns PATH
      sluice gateway [options] --qemu SOCKET …
      sluice gateway [options] --vhost-user SOCKET
      sluice gateway [options] PID|PATH TAPNAME
      """,
    discussion: """
      Makes an interface in a network namespace and serves it as `sluice run` serves its command's: what is sent to other \
      addresses is carried on by sockets of this host, as the user who runs sluice. No privilege is needed over a \
      namespace whose user namespace is your own: it is entered first.

      With --pid or --netns the interface is sluice0, has the addresses 10.0.2.100/24 and fd00:2::100/64 and is up; the \
      gateway, 10.0.2.2 and fd00:2::2, has its services and its status page. It ends by INT or TERM, at the end of \
      --exit-fd, and for --pid when the process ends.

      --qemu waits for virtual machines at a socket; several are on one switch, with the gateway and with one another. \
      They have the same network to choose addresses from.

      --vhost-user waits for one virtual machine, whose frames pass in its own memory without a system call each; another \
      may come when it has gone. QEMU must share that memory as below.

      The last form is slirp4netns' own, with its options and its defaults: the interface is left alone without \
      --configure, there is IPv6 with --enable-ipv6 alone (fd00::/64), 10.0.2.2 leads to this host's 127.0.0.1 but for \
      --disable-host-loopback, and the gateway has no services. A `slirp4netns` that is a link to sluice is this.

      Inside, names are asked of 10.0.2.3: put `nameserver 10.0.2.3` into its /etc/resolv.conf.

      Examples:
        unshare --user --map-root-user --net --mount sh -c 'echo $$ >/tmp/pid; exec bash'
        sluice gateway --pid $(cat /tmp/pid)
        sluice gateway --netns /run/user/1000/netns/web -p 8080:80 -p 5353:53/udp
        sluice gateway --qemu /tmp/q.sock
        qemu-system-x86_64 … -netdev stream,id=n,server=off,addr.type=unix,addr.path=/tmp/q.sock -device virtio-net,netdev=n
        sluice gateway --qemu tcp:127.0.0.1:7000 --qemu dgram:/tmp/d.sock
        sluice gateway --vhost-user /tmp/v.sock
        qemu-system-x86_64 … -object memory-backend-memfd,id=m,size=1G,share=on -machine memory-backend=m -m 1G \
          -chardev socket,id=c,path=/tmp/v.sock -netdev vhost-user,id=n,chardev=c -device virtio-net-pci,netdev=n
        sluice gateway --configure --mtu=65520 --disable-host-loopback $(cat /tmp/pid) tap0
        sluice gateway -c -r 3 -e 4 --api-socket /tmp/s.sock --netns-type=path /proc/1234/ns/net tap0
        sluice forward list --control /tmp/s.sock

      Documentation/Gateway.md tells how each option differs from slirp4netns' own.
      """)

  @Option(help: ArgumentHelp("The network namespace of a process.", valueName: "pid"))
  var pid: Int32?

  @Option(help: ArgumentHelp("A network namespace by its path.", valueName: "path"))
  var netns: String?

  @Option(
    help: ArgumentHelp(
      "Serve virtual machines that plug in here: a Unix stream socket, or tcp:ADDR:PORT, dgram:PATH, udp:ADDR:PORT; may be repeated.",
      valueName: "socket"))
  var qemu: [String] = []

  @Option(
    help: ArgumentHelp(
      "Serve a virtual machine that plugs in here by the vhost-user protocol: a Unix socket that is made.",
      valueName: "socket"))
  var vhostUser: String?

  @Option(help: ArgumentHelp("Name of the interface that is made; sluice0.", valueName: "name"))
  var interface: String?

  @Flag(
    name: [.customShort("c"), .customLong("configure")], inversion: .prefixedNo,
    help: "Give the interface its addresses, routes and MTU, and set it and lo up.")
  var configure: Bool?

  @Option(
    name: [.customShort("e", allowingJoined: true), .customLong("exit-fd")],
    help: ArgumentHelp("End when the other side of this descriptor is closed.", valueName: "fd"))
  var exitDescriptor: Int32?

  @Option(
    name: [.customShort("r", allowingJoined: true), .customLong("ready-fd")],
    help: ArgumentHelp("Write \"1\" to this descriptor when all is there, and close it.", valueName: "fd"))
  var readyDescriptor: Int32?

  @Option(
    name: [.customShort("m", allowingJoined: true), .customLong("mtu")],
    help: ArgumentHelp("Largest packet of the link, in bytes.", valueName: "bytes"))
  var mtu = 1500

  @Flag(
    name: [.customShort("6"), .customLong("enable-ipv6")],
    help: "In slirp4netns' form, serve IPv6 too; the other forms do.")
  var enableIPv6 = false

  @Option(
    name: [.customShort("a", allowingJoined: true), .customLong("api-socket")],
    help: ArgumentHelp("The same as --control.", valueName: "path"))
  var apiSocket: String?

  @Option(
    help: ArgumentHelp(
      "The network: the gateway is its address 2, the name server 3, the guest 100.", valueName: "net/p"))
  var cidr: String?

  @Flag(help: "10.0.2.2 does not lead to this host's 127.0.0.1. Only slirp4netns' form needs to be told.")
  var disableHostLoopback = false

  @Option(help: ArgumentHelp("What the first argument is: pid or path.", valueName: "type"))
  var netnsType = NamespaceKind.pid

  @Option(
    help: ArgumentHelp(
      "A user namespace to enter first, by its path; the one that the network's belongs to.",
      valueName: "path"
    ))
  var usernsPath: String?

  @Option(
    help: ArgumentHelp(
      "Bind IPv4 sockets for the outside to this address, or to that of an interface.",
      valueName: "addr|interface"))
  var outboundAddr: String?

  @Option(
    name: .customLong("outbound-addr6"),
    help: ArgumentHelp("The same for IPv6.", valueName: "addr|interface"))
  var outboundAddr6: String?

  @Flag(help: "What slirp4netns does when it is told so: this process is confined in any case.")
  var enableSandbox = false

  @Flag(help: "The same.")
  var enableSeccomp = false

  @Flag(help: "Do not answer for names at 10.0.2.3.")
  var disableDns = false

  @Option(help: ArgumentHelp("Station address of the interface that is made.", valueName: "mac"))
  var macaddress: String?

  @Option(help: ArgumentHelp("netns, the only one that is served.", valueName: "type"))
  var targetType = "netns"

  @Option(
    help: ArgumentHelp(
      "A TAP device (needs a /dev/net/tun that you may open), a veth pair, or auto: the TAP where it can be had."
    ))
  var link = RunCommand.Link.auto

  @Flag(
    inversion: .prefixedNo,
    help: ArgumentHelp(
      "Leave checksums and segments to the kernel: 64 KiB pass as one. Off with --pcap, unless asked for."
    ))
  var offload: Bool?

  @OptionGroup var serving: ServingOptions

  @Flag(name: .shortAndLong, help: "Say nothing but errors.")
  var quiet = false

  @Flag(name: [.customShort("v"), .customLong("version")], help: "Show the version.")
  var version = false

  @Argument(help: ArgumentHelp("A process, or with --netns-type=path a namespace.", valueName: "PID|PATH"))
  var target: String?

  @Argument(help: ArgumentHelp("Name of the interface.", valueName: "TAPNAME"))
  var tapName: String?

  /// What slirp4netns' first argument is.
  enum NamespaceKind: String, ExpressibleByArgument, CaseIterable { case pid, path }

  /// The command line is slirp4netns'.
  var isCompatible: Bool { target != nil }

  /// What is to be served.
  enum Place: Equatable {
    case namespace(NamespaceTarget)
    case guests([SwitchEndpoint])
    case vhostUser(path: String)
  }

  mutating func validate() throws {
    guard !version else { return }
    guard targetType == "netns" else {
      throw ValidationError("--target-type \(targetType) is not served; netns is.")
    }
    _ = try place()
    _ = try network()
    for (name, descriptor) in [("--exit-fd", exitDescriptor), ("--ready-fd", readyDescriptor)] {
      if let descriptor, descriptor < 0 {
        throw ValidationError("\(name) is a descriptor, not \(descriptor).")
      }
    }
    if apiSocket != nil, serving.control != nil {
      throw ValidationError("--api-socket and --control are the same: say one.")
    }
  }

  func run() throws {
    if version { return print("sluice gateway version \(Version.text)") }
    try Gateway(self).run()
  }
}
