// lwIP without an operating system and with TCP alone, its buffers as large as those that Sluice's pairs have, its memory
// from pools, its checksums taken where it copies.
#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_STATS 0
#define LWIP_ARP 0
#define LWIP_ETHERNET 0
#define LWIP_UDP 0
#define LWIP_RAW 0
#define LWIP_ICMP 0
#define LWIP_IPV6 0
#define IP_REASSEMBLY 0
#define IP_FRAG 0
#define LWIP_NOASSERT
#define MEM_ALIGNMENT 8
#define MEM_SIZE (8 << 20)
#define MEMP_NUM_PBUF 4096
#define MEMP_NUM_TCP_SEG 4096
#define MEMP_NUM_TCP_PCB 4096
#define PBUF_POOL_SIZE 4096
#define PBUF_POOL_BUFSIZE 1536
#define TCP_MSS 1460
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 3
#define TCP_WND (256 << 10)
#define TCP_SND_BUF (256 << 10)
#define TCP_SND_QUEUELEN 1024
#define TCP_SNDLOWAT (32 << 10)
#define TCP_QUEUE_OOSEQ 1
#define LWIP_CHECKSUM_ON_COPY 1
#define LWIP_TIMEVAL_PRIVATE 0
