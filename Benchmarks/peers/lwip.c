// lwIP, as Debian's liblwip is built, on a TAP: echo at 7007, sink at 7009, source at 7019, by callbacks, its fastest
// interface, in the thread that reads the TAP. (The library's own TAP driver fills buffers that are smaller than a frame.)
//
//   lwip TAP ADDRESS NETMASK GATEWAY
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <lwip/etharp.h>
#include <lwip/netif.h>
#include <lwip/tcp.h>
#include <lwip/tcpip.h>
#include <netif/ethernet.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

static struct netif tap;
static int descriptor;
static sem_t is_ready;
static char constant[1 << 16];

/// What an echo has taken and could not write yet hangs at its connection.
static err_t flush(struct tcp_pcb *pcb, struct pbuf *held) {
  while (held != NULL) {
    if (tcp_sndbuf(pcb) < held->len) break;
    err_t result = tcp_write(pcb, held->payload, held->len, TCP_WRITE_FLAG_COPY);
    if (result != ERR_OK) break;
    struct pbuf *rest = held->next;
    tcp_recved(pcb, held->len);
    if (rest != NULL) pbuf_ref(rest);
    pbuf_free(held);
    held = rest;
  }
  tcp_arg(pcb, held);
  return tcp_output(pcb);
}

static err_t finish(struct tcp_pcb *pcb) {
  tcp_recv(pcb, NULL);
  tcp_sent(pcb, NULL);
  if (tcp_close(pcb) == ERR_OK) return ERR_OK;
  tcp_abort(pcb);
  return ERR_ABRT;
}

static err_t echo_received(void *held, struct tcp_pcb *pcb, struct pbuf *text, err_t error) {
  (void)error;
  if (text == NULL) return finish(pcb);
  if (held != NULL) pbuf_cat(held, text);
  return flush(pcb, held != NULL ? held : text);
}
static err_t echo_sent(void *held, struct tcp_pcb *pcb, u16_t count) {
  (void)count;
  return held == NULL ? ERR_OK : flush(pcb, held);
}

static err_t sink_received(void *unused, struct tcp_pcb *pcb, struct pbuf *text, err_t error) {
  (void)unused, (void)error;
  if (text == NULL) return finish(pcb);
  tcp_recved(pcb, text->tot_len);
  pbuf_free(text);
  return ERR_OK;
}

static err_t fill(void *unused, struct tcp_pcb *pcb, u16_t count) {
  (void)unused, (void)count;
  while (tcp_sndbuf(pcb) > 0) {
    u16_t piece = (u16_t)(tcp_sndbuf(pcb) < 0x4000 ? tcp_sndbuf(pcb) : 0x4000);
    if (tcp_write(pcb, constant, piece, 0) != ERR_OK) break;
  }
  return tcp_output(pcb);
}

static err_t accepted(void *kind, struct tcp_pcb *pcb, err_t error) {
  if (pcb == NULL || error != ERR_OK) return ERR_VAL;
  tcp_nagle_disable(pcb);
  tcp_arg(pcb, NULL);
  switch ((long)kind) {
    case 0:
      tcp_recv(pcb, echo_received);
      tcp_sent(pcb, echo_sent);
      return ERR_OK;
    case 1: tcp_recv(pcb, sink_received); return ERR_OK;
    default:
      tcp_recv(pcb, sink_received);
      tcp_sent(pcb, fill);
      return fill(NULL, pcb, 0);
  }
}

static err_t put(struct netif *unused, struct pbuf *frame) {
  (void)unused;
  struct iovec pieces[32];
  int count = 0;
  for (; frame != NULL && count < 32; frame = frame->next)
    pieces[count++] = (struct iovec){frame->payload, frame->len};
  return writev(descriptor, pieces, count) < 0 ? ERR_IF : ERR_OK;
}

static err_t open_tap(struct netif *made) {
  static const u8_t station[6] = {2, 0, 0, 0, 0, 2};
  memcpy(made->hwaddr, station, sizeof station);
  made->hwaddr_len = sizeof station;
  made->name[0] = 't';
  made->name[1] = 'p';
  made->mtu = 1500;
  made->output = etharp_output;
  made->linkoutput = put;
  made->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_LINK_UP;
  return ERR_OK;
}

static void ready(void *words) {
  char **arguments = words;
  ip4_addr_t address, mask, gateway;
  ip4addr_aton(arguments[2], &address);
  ip4addr_aton(arguments[3], &mask);
  ip4addr_aton(arguments[4], &gateway);
  netif_add(&tap, &address, &mask, &gateway, NULL, open_tap, ethernet_input);
  netif_set_default(&tap);
  netif_set_up(&tap);
  static const u16_t ports[] = {7007, 7009, 7019};
  for (long kind = 0; kind < 3; kind++) {
    struct tcp_pcb *pcb = tcp_new();
    tcp_bind(pcb, IP_ADDR_ANY, ports[kind]);
    pcb = tcp_listen_with_backlog(pcb, 255);
    tcp_arg(pcb, (void *)kind);
    tcp_accept(pcb, accepted);
  }
  sem_post(&is_ready);
}

int main(int count, char **words) {
  if (count != 5) return 2;
  memset(constant, 'x', sizeof constant);
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
  strncpy(request.ifr_name, words[1], IFNAMSIZ - 1);
  descriptor = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  if (descriptor < 0 || ioctl(descriptor, TUNSETIFF, &request) != 0) {
    perror("TAP");
    return 1;
  }
  sem_init(&is_ready, 0, 0);
  tcpip_init(ready, words);
  sem_wait(&is_ready);
  while (1) {
    char frame[2048];
    ssize_t length = read(descriptor, frame, sizeof frame);
    if (length <= 0) continue;
    struct pbuf *text = pbuf_alloc(PBUF_RAW, (u16_t)length, PBUF_RAM);
    if (text == NULL) continue;
    pbuf_take(text, frame, (u16_t)length);
    LOCK_TCPIP_CORE();
    if (tap.input(text, &tap) != ERR_OK) pbuf_free(text);
    UNLOCK_TCPIP_CORE();
  }
}
