// The command's end of the link, made from inside its namespaces.
#define _GNU_SOURCE
#include "launch_internal.h"
#include "CLinuxDevices.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_addr.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { loopback_index = 1, queue_length = 4096 };
static const char far_name[] = "sluice-far";

int sluice_write_file(const char *path, const char *text) {
  int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return -errno;
  ssize_t count = write(file, text, strlen(text));
  int result = count < 0 ? -errno : 0;
  close(file);
  return result;
}

static int fail(struct sluice_network *network, enum sluice_launch_stage stage, int error) {
  network->stage = stage;
  return error;
}

static void set_name(struct ifreq *request, const char *name) {
  memset(request, 0, sizeof *request);
  for (int i = 0; i < IFNAMSIZ - 1 && name[i] != 0; i++) request->ifr_name[i] = name[i];
}

/// The index of an interface in the namespace of `socket`, or a negative errno.
static int interface_index(int socket, const char *name) {
  struct ifreq request;
  set_name(&request, name);
  return ioctl(socket, SIOCGIFINDEX, &request) == 0 ? request.ifr_ifindex : -errno;
}

static int set_flags(struct sluice_netlink *netlink, int index, unsigned flags) {
  struct ifinfomsg link = {.ifi_index = index, .ifi_flags = flags, .ifi_change = flags};
  sluice_netlink_begin(netlink, RTM_NEWLINK, 0, &link, sizeof link);
  return sluice_netlink_talk(netlink);
}

int sluice_network_loopback(struct sluice_network *network) {
  struct sluice_netlink netlink;
  int result = sluice_netlink_open(&netlink);
  if (result == 0) {
    result = set_flags(&netlink, loopback_index, IFF_UP);
    sluice_netlink_close(&netlink);
  }
  if (network->request->ipv6_prefix == 0) return result == 0 ? 0 : fail(network, sluice_stage_loopback, result);
  // A host that switches IPv6 off by default does not mean this namespace, and an address that nobody
  // else can have is usable at once. A kernel without IPv6 has none of these files.
  sluice_write_file("/proc/sys/net/ipv6/conf/all/disable_ipv6", "0");
  sluice_write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "0");
  sluice_write_file("/proc/sys/net/ipv6/conf/default/accept_dad", "0");
  return result == 0 ? 0 : fail(network, sluice_stage_loopback, result);
}

static void close_descriptors(struct sluice_network *network) {
  while (network->count > 0) close(network->descriptors[--network->count]);
}

/// Without headers where the kernel does not have them.
static int attach_queue(struct sluice_network *network, int tun) {
  struct ifreq request;
  set_name(&request, network->request->interface);
  int headers = network->offloads & sluice_offload_headers ? IFF_VNET_HDR : 0;
  int queues = network->request->single_queue ? 0 : IFF_MULTI_QUEUE;
  request.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | queues | headers);
  if (ioctl(tun, TUNSETIFF, &request) != 0) {
    int error = -errno;
    // Who made an interface for several queues has it so.
    request.ifr_flags |= IFF_MULTI_QUEUE;
    if (!queues && error == -EINVAL && ioctl(tun, TUNSETIFF, &request) == 0) error = 0;
    if (error != 0) {
      if (!headers || network->count > 1 || error != -EINVAL) return error;
      network->offloads = 0;
      return attach_queue(network, tun);
    }
  }
  if (headers) network->offloads = sluice_offload_headers | sluice_tun_offload(tun);
  return 0;
}

int sluice_network_tap(struct sluice_network *network) {
  network->offloads = network->request->offload ? sluice_offload_headers : 0;
  for (int queue = 0; queue < network->request->queues; queue++) {
    int tun = open(network->request->tun_path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (tun < 0) {
      int error = -errno;
      close_descriptors(network);
      return fail(network, sluice_stage_tun_open, error);
    }
    network->descriptors[network->count++] = tun;
    int error = attach_queue(network, tun);
    if (error != 0) {
      close_descriptors(network);
      return fail(network, sluice_stage_tun_attach, error);
    }
  }
  network->link = sluice_link_tap;
  return 0;
}

/// Frames leave the interface no longer than its MTU and with true checksums.
static int switch_offloads_off(int socket, const char *name) {
  static const struct {
    uint32_t command;
    int required;
  } features[] = {
      {ETHTOOL_STSO, 0}, {ETHTOOL_SGSO, 0}, {ETHTOOL_SGRO, 0}, {ETHTOOL_SSG, 0}, {ETHTOOL_STXCSUM, 1},
  };
  for (size_t i = 0; i < sizeof features / sizeof features[0]; i++) {
    struct ethtool_value value = {.cmd = features[i].command, .data = 0};
    struct ifreq request;
    set_name(&request, name);
    request.ifr_data = (char *)&value;
    if (ioctl(socket, SIOCETHTOOL, &request) != 0 && features[i].required) return -errno;
  }
  return 0;
}

static int create_veth(struct sluice_netlink *netlink, const struct sluice_launch_request *request, int far) {
  struct ifinfomsg link = {0}, peer = {0};
  uint32_t mtu = (uint32_t)request->mtu, far_namespace = (uint32_t)far;
  sluice_netlink_begin(netlink, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link, sizeof link);
  sluice_netlink_put(netlink, IFLA_IFNAME, request->interface, strlen(request->interface) + 1);
  sluice_netlink_put(netlink, IFLA_MTU, &mtu, sizeof mtu);
  size_t info = sluice_netlink_nest(netlink, IFLA_LINKINFO);
  sluice_netlink_put(netlink, IFLA_INFO_KIND, "veth", 4);
  size_t data = sluice_netlink_nest(netlink, IFLA_INFO_DATA);
  size_t other = sluice_netlink_nest(netlink, VETH_INFO_PEER);
  sluice_netlink_append(netlink, &peer, sizeof peer);
  sluice_netlink_put(netlink, IFLA_IFNAME, far_name, sizeof far_name);
  sluice_netlink_put(netlink, IFLA_MTU, &mtu, sizeof mtu);
  sluice_netlink_put(netlink, IFLA_NET_NS_FD, &far_namespace, sizeof far_namespace);
  sluice_netlink_end(netlink, other);
  sluice_netlink_end(netlink, data);
  sluice_netlink_end(netlink, info);
  return sluice_netlink_talk(netlink);
}

/// The far end's packet sockets: they see all that the command sends, and nothing of what they send.
static int open_packet_sockets(struct sluice_network *network) {
  for (int queue = 0; queue < network->request->queues; queue++) {
    // Protocol 0: deaf until it is bound.
    int packet = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (packet < 0) return -errno;
    network->descriptors[network->count++] = packet;
  }
  return 0;
}

static int bind_packet_sockets(struct sluice_network *network, int index) {
  for (int queue = 0; queue < network->count; queue++) {
    int packet = network->descriptors[queue], one = 1;
    if (setsockopt(packet, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) != 0) return -errno;
    if (setsockopt(packet, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one) != 0) return -errno;
    struct packet_mreq promiscuous = {.mr_ifindex = index, .mr_type = PACKET_MR_PROMISC};
    if (setsockopt(packet, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous) != 0)
      return -errno;
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = index};
    if (bind(packet, (struct sockaddr *)&address, sizeof address) != 0) return -errno;
  }
  return 0;
}

/// The far end lives in a namespace of its own, which its sockets keep alive: the command sees one interface,
/// and no protocol but ours answers at the other end.
int sluice_network_veth(struct sluice_network *network) {
  network->offloads = 0;
  struct sluice_netlink near_link = {.socket = -1}, far_link = {.socket = -1};
  int far_control = -1, near_control = -1, far_namespace = -1, result;
  enum sluice_launch_stage stage = sluice_stage_network_namespace;

  int near_namespace = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  if (near_namespace < 0 || unshare(CLONE_NEWNET) != 0) {
    result = -errno;
    goto done;
  }
  far_namespace = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  far_control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (far_namespace < 0 || far_control < 0) {
    result = -errno;
    goto done;
  }
  sluice_write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
  if ((result = sluice_netlink_open(&far_link)) != 0) goto done;
  stage = sluice_stage_packet_socket;
  if ((result = open_packet_sockets(network)) != 0) goto done;

  stage = sluice_stage_network_namespace;
  if (setns(near_namespace, CLONE_NEWNET) != 0) {
    result = -errno;
    goto done;
  }
  stage = sluice_stage_veth;
  if ((result = sluice_netlink_open(&near_link)) != 0) goto done;
  if ((result = create_veth(&near_link, network->request, far_namespace)) != 0) goto done;
  int far_index = interface_index(far_control, far_name);
  if (far_index < 0) {
    result = far_index;
    goto done;
  }

  stage = sluice_stage_offloads;
  near_control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (near_control < 0) {
    result = -errno;
    goto done;
  }
  if ((result = switch_offloads_off(near_control, network->request->interface)) != 0) goto done;
  if ((result = switch_offloads_off(far_control, far_name)) != 0) goto done;

  // Up first: a packet socket that is bound to an interface that is down starts with an error.
  stage = sluice_stage_interface;
  if ((result = set_flags(&far_link, far_index, IFF_UP | IFF_NOARP)) != 0) goto done;
  stage = sluice_stage_packet_socket;
  result = bind_packet_sockets(network, far_index);

done:
  sluice_netlink_close(&near_link);
  sluice_netlink_close(&far_link);
  if (near_namespace >= 0) close(near_namespace);
  if (far_namespace >= 0) close(far_namespace);
  if (far_control >= 0) close(far_control);
  if (near_control >= 0) close(near_control);
  if (result != 0) {
    close_descriptors(network);
    return fail(network, stage, result);
  }
  network->link = sluice_link_veth;
  return 0;
}

static int add_address(struct sluice_netlink *netlink, int index, int family, const uint8_t *address, int prefix) {
  size_t size = family == AF_INET ? 4 : 16;
  struct ifaddrmsg body = {
      .ifa_family = (uint8_t)family,
      .ifa_prefixlen = (uint8_t)prefix,
      .ifa_flags = family == AF_INET6 ? IFA_F_NODAD : 0,
      .ifa_index = (uint32_t)index,
  };
  sluice_netlink_begin(netlink, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof body);
  sluice_netlink_put(netlink, IFA_LOCAL, address, size);
  sluice_netlink_put(netlink, IFA_ADDRESS, address, size);
  return sluice_netlink_talk(netlink);
}

static int add_default_route(struct sluice_netlink *netlink, int index, int family, const uint8_t *gateway) {
  size_t size = family == AF_INET ? 4 : 16;
  uint32_t output = (uint32_t)index;
  struct rtmsg body = {
      .rtm_family = (uint8_t)family,
      .rtm_table = RT_TABLE_MAIN,
      .rtm_protocol = RTPROT_STATIC,
      .rtm_scope = RT_SCOPE_UNIVERSE,
      .rtm_type = RTN_UNICAST,
  };
  sluice_netlink_begin(netlink, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof body);
  sluice_netlink_put(netlink, RTA_GATEWAY, gateway, size);
  sluice_netlink_put(netlink, RTA_OIF, &output, sizeof output);
  return sluice_netlink_talk(netlink);
}

static int configure(struct sluice_network *network, struct sluice_netlink *netlink) {
  const struct sluice_launch_request *request = network->request;
  int index = interface_index(netlink->socket, request->interface);
  if (index < 0) return fail(network, sluice_stage_interface, index);

  struct ifinfomsg link = {.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
  struct ifinfomsg settings = {.ifi_index = index};
  uint32_t mtu = (uint32_t)request->mtu, length = queue_length;
  sluice_netlink_begin(netlink, RTM_NEWLINK, 0, &settings, sizeof settings);
  sluice_netlink_put(netlink, IFLA_MTU, &mtu, sizeof mtu);
  sluice_netlink_put(netlink, IFLA_TXQLEN, &length, sizeof length);
  sluice_netlink_put(netlink, IFLA_ADDRESS, request->mac, sizeof request->mac);
  int result = sluice_netlink_talk(netlink);
  if (result != 0) return fail(network, sluice_stage_interface, result);
  sluice_netlink_begin(netlink, RTM_NEWLINK, 0, &link, sizeof link);
  result = sluice_netlink_talk(netlink);
  if (result != 0) return fail(network, sluice_stage_interface, result);

  result = add_address(netlink, index, AF_INET, request->ipv4, request->ipv4_prefix);
  if (result == 0) result = add_default_route(netlink, index, AF_INET, request->ipv4_gateway);
  if (result != 0) return fail(network, sluice_stage_ipv4, result);

  // IPv6 needs an MTU of 1280 (RFC 8200 section 5); a kernel may be without it altogether.
  if (request->mtu < 1280 || request->ipv6_prefix == 0) return 0;
  result = add_address(netlink, index, AF_INET6, request->ipv6, request->ipv6_prefix);
  if (result == -EAFNOSUPPORT || result == -EOPNOTSUPP) return 0;
  if (result == 0) result = add_default_route(netlink, index, AF_INET6, request->ipv6_gateway);
  if (result != 0) return fail(network, sluice_stage_ipv6, result);
  network->ipv6 = 1;
  return 0;
}

int sluice_network_configure(struct sluice_network *network) {
  struct sluice_netlink netlink;
  int result = sluice_netlink_open(&netlink);
  if (result != 0) return fail(network, sluice_stage_interface, result);
  result = configure(network, &netlink);
  sluice_netlink_close(&netlink);
  return result;
}
