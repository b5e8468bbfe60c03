// Two lwIPs joined by a link in memory, both stepped by one thread, which is the program at either end as well. The
// library keeps its state in variables of its own: each end has a copy of the library's file, loaded beside the other.
//
//   lwip-pair COPY COPY bulk|exchange|connect|remember|idle seconds|count NUMBER
#define _GNU_SOURCE
#include <dlfcn.h>
#include <lwip/init.h>
#include <lwip/netif.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/tcp.h>
#include <lwip/timeouts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "pair.h"

#define CALLS(X)                                                                                              \
  X(lwip_init) X(sys_check_timeouts) X(netif_add) X(netif_set_default) X(netif_set_up) X(ip4_input)            \
  X(pbuf_alloc) X(pbuf_free) X(tcp_new) X(tcp_bind) X(tcp_listen_with_backlog) X(tcp_accept) X(tcp_arg)        \
  X(tcp_recv) X(tcp_write) X(tcp_output) X(tcp_recved) X(tcp_close) X(tcp_abort) X(tcp_connect)

enum { link_frames = 4096, is_at_end = -1 };
/// Debian's build has pools, but their buffers are smaller than a frame.
static const pbuf_type kind_of_frames = MEMP_MEM_MALLOC ? PBUF_RAM : PBUF_POOL;
enum work { bulk, exchange, connection, idle };

/// One of the two, and what it was sent.
struct end {
#define MEMBER(name) typeof(name) *name;
  CALLS(MEMBER)
  struct netif link;
  struct pbuf *frames[link_frames];
  unsigned first, last;
  struct tcp_pcb *pcb;
  /// The last byte that was read, or `is_at_end`.
  int byte;
};
static struct end near, far;
static enum work work;
static long has_read;
static int is_connected, compares_all;
static u32_t milliseconds;

/// Both libraries' clock.
u32_t sys_now(void) { return milliseconds; }

static struct end *other(struct end *end) { return end == &near ? &far : &near; }

/// What is sent is the sender's until it is acknowledged, and the other's memory is not ours: the link copies.
static err_t put(struct netif *link, struct pbuf *packet, const ip4_addr_t *address) {
  struct end *to = other(link->state);
  (void)address;
  struct pbuf *frame = to->pbuf_alloc(PBUF_RAW, packet->tot_len, kind_of_frames);
  if (frame == NULL || frame->next != NULL || to->last - to->first == link_frames) fail("the link is full");
  char *place = frame->payload;
  for (; packet != NULL; packet = packet->next) {
    memcpy(place, packet->payload, packet->len);
    place += packet->len;
  }
  to->frames[to->last++ % link_frames] = frame;
  return ERR_OK;
}

/// Until neither end has anything to do.
static void settle(void) {
  while (far.first != far.last || near.first != near.last) {
    struct end *end = far.first != far.last ? &far : &near;
    while (end->first != end->last) end->ip4_input(end->frames[end->first++ % link_frames], &end->link);
  }
}

static void pass(u32_t now) {
  milliseconds = now;
  near.sys_check_timeouts();
  far.sys_check_timeouts();
  settle();
}

static void write_byte(struct end *end, unsigned char byte) {
  if (end->tcp_write(end->pcb, &byte, 1, TCP_WRITE_FLAG_COPY) != ERR_OK) fail("a byte was not taken");
  end->tcp_output(end->pcb);
}

static err_t received(void *argument, struct tcp_pcb *pcb, struct pbuf *text, err_t error) {
  struct end *end = argument;
  (void)error;
  if (text == NULL) {
    end->byte = is_at_end;
    return ERR_OK;
  }
  for (struct pbuf *piece = text; work == bulk && piece != NULL; piece = piece->next) {
    expect_text(piece->payload, piece->len, has_read, compares_all);
    has_read += piece->len;
  }
  end->byte = *(unsigned char *)text->payload;
  end->tcp_recved(pcb, text->tot_len);
  end->pbuf_free(text);
  if (work == exchange && end == &far) write_byte(end, (unsigned char)~end->byte);
  return ERR_OK;
}

static err_t connected(void *argument, struct tcp_pcb *pcb, err_t error) {
  (void)argument, (void)pcb, (void)error;
  is_connected = 1;
  return ERR_OK;
}

static err_t accepted(void *argument, struct tcp_pcb *pcb, err_t error) {
  struct end *end = argument;
  if (error != ERR_OK) return ERR_VAL;
  tcp_nagle_disable(pcb);
  end->pcb = pcb;
  end->tcp_arg(pcb, end);
  end->tcp_recv(pcb, received);
  return ERR_OK;
}

static err_t join(struct netif *link) {
  link->name[0] = 'p', link->name[1] = 'r';
  link->mtu = 1500;
  link->output = put;
  link->flags = NETIF_FLAG_LINK_UP;
  return ERR_OK;
}

static void start(struct end *end, const char *library, unsigned own) {
  void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (handle == NULL) fail(dlerror());
#define FOUND(name) \
  if ((end->name = dlsym(handle, #name)) == NULL) fail(dlerror());
  CALLS(FOUND)
  ip4_addr_t address, mask;
  IP4_ADDR(&address, 10, 8, 0, own);
  IP4_ADDR(&mask, 255, 255, 255, 0);
  end->lwip_init();
  end->netif_add(&end->link, &address, &mask, NULL, end, join, end->ip4_input);
  end->netif_set_default(&end->link);
  end->netif_set_up(&end->link);
}

static void open_connection(void) {
  near.pcb = near.tcp_new();
  if (near.pcb == NULL) fail("there is no control block");
  tcp_nagle_disable(near.pcb);
  near.tcp_arg(near.pcb, &near);
  near.tcp_recv(near.pcb, received);
  is_connected = 0;
  far.pcb = NULL;
  if (near.tcp_connect(near.pcb, netif_ip_addr4(&far.link), 7, connected) != ERR_OK) fail("connect");
  settle();
  if (!is_connected || far.pcb == NULL) fail("a connection was not there");
}

/// Bytes, at most `limit`: what the buffers hold, and what it becomes.
static long transfer(long limit) {
  static long written;
  long before = has_read, end = has_read + limit;
  while (written < end && tcp_sndbuf(near.pcb) > 0) {
    long piece = end - written < 44 * 1460 ? end - written : 44 * 1460;
    if (piece > tcp_sndbuf(near.pcb)) piece = tcp_sndbuf(near.pcb);
    if (near.tcp_write(near.pcb, text_at(written), (u16_t)piece, TCP_WRITE_FLAG_COPY) != ERR_OK) break;
    written += piece;
  }
  near.tcp_output(near.pcb);
  settle();
  return has_read - before;
}

static long exchange_byte(long limit) {
  static unsigned char next;
  (void)limit;
  write_byte(&near, ++next);
  settle();
  if (near.byte != (unsigned char)~next) fail("a byte was not there");
  return 1;
}

/// The end that closes first is in TIME-WAIT then: it is left there, for lwIP's two minutes, or not.
static int remembers;
static long connect_and_close(long limit) {
  static unsigned char next;
  (void)limit;
  open_connection();
  write_byte(&near, ++next);
  settle();
  if (far.byte != next) fail("a byte was not there");
  if (near.tcp_close(near.pcb) != ERR_OK) fail("close");
  settle();
  if (far.byte != is_at_end) fail("the end was not there");
  if (far.tcp_close(far.pcb) != ERR_OK) fail("close");
  settle();
  if (near.pcb->state != TIME_WAIT) fail("no TIME-WAIT");
  if (!remembers) near.tcp_abort(near.pcb);
  pass(milliseconds + (remembers ? 2 * TCP_MSL / REMEMBERED : 20));
  return 1;
}

int main(int count, char **words) {
  if (count != 6) return 2;
  make_text();
  start(&near, words[1], 2);
  start(&far, words[2], 1);
  struct tcp_pcb *listener = far.tcp_new();
  far.tcp_bind(listener, &far.link.ip_addr, 7);
  listener = far.tcp_listen_with_backlog(listener, 255);
  far.tcp_arg(listener, &far);
  far.tcp_accept(listener, accepted);
  const char *mode = words[3];
  struct amount amount = {.is_count = words[4][0] == 'c', .number = atof(words[5])};
  if (strcmp(mode, "bulk") == 0) {
    work = bulk;
    open_connection();
    compares_all = 1;
    measured(transfer, 4 << 20, NULL, pass, 1);
    compares_all = 0;
    amount.number *= amount.is_count ? near.pcb->mss : 1;
    struct result result = measured(transfer, 0, &amount, pass, 1);
    compares_all = 1;
    measured(transfer, 1 << 20, NULL, pass, 1);
    print_result(result);
  } else if (strcmp(mode, "exchange") == 0) {
    work = exchange;
    open_connection();
    print_result(measured(exchange_byte, 1000, &amount, pass, 16));
  } else if (strcmp(mode, "idle") == 0) {
    work = idle;
    open_connection();
    long before = resident();
    for (long made = 0; made < (long)amount.number; made++) open_connection();
    // Where control blocks come from a pool that was made at the start, there is nothing to be seen.
    double each = MEMP_MEM_MALLOC ? (double)(resident() - before) / 2 / amount.number : sizeof(struct tcp_pcb);
    printf("{\"bytes\": %.1f}\n", each);
  } else {
    work = connection;
    remembers = strcmp(mode, "remember") == 0;
    print_result(measured(connect_and_close, remembers ? REMEMBERED + 200 : 1000, &amount, NULL, 1));
  }
  return 0;
}
