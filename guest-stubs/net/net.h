/* SPDX-License-Identifier: MIT */
/* The parts of the stub "net": a driver of a network device with full rings, the frames that the
 * two guests exchange, and what each of them does. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define RING        256u
#define FRAME_MAX   65550u
#define PACKET      1514u  /* 1,500 bytes and the Ethernet header */
#define SEGMENT     65226u /* of TCP over IPv4: 45 packets */
#define TYPE        0xb588 /* 88B5h, for experiments, as it lies in a frame */
#define HEADER_SIZE 12u

/* virtio 1.2, 5.1.6 */
struct net_header {
    uint8_t flags, gso_type;
    uint16_t header_size, gso_size, csum_start, csum_offset, buffers;
};

enum kind { HELLO, HERE, DATA, ACK, END, REPORT };

/* What begins each frame; behind it each byte is one more than that before. */
struct message {
    uint8_t to[6], from[6];
    uint16_t type;
    uint16_t kind;
    uint32_t number; /* of DATA: which; of ACK: how many there were */
    uint32_t every;  /* of DATA: an ACK is expected after so many; of REPORT: how many were wrong */
} __attribute__((packed));

/* Finds and starts the device; false: there is none. */
bool net_start(void);
extern uint8_t net_mac[6];
bool net_needs_reset(void);
/* The frame must stay until it is sent. */
void net_send(const struct net_header *header, const void *frame, uint32_t size);
/* The next frame, all of it in one place, with the header that came with it; waits for it. */
const struct message *net_receive(struct net_header *header, uint32_t *size);
extern uint64_t net_kicks; /* how often the device was notified */

extern const uint8_t everyone[6];
void message_fill(struct message *message, const uint8_t to[6], enum kind kind, uint32_t number,
                  uint32_t every);
/* A message of so many bytes to that address. */
void message_send(const uint8_t to[6], enum kind kind, uint32_t number, uint32_t every,
                  uint32_t size);

/* One of DATA that is a segment of 64 KiB. */
void message_send_segment(const uint8_t to[6], uint32_t every);

void run_receiver(void);
void run_sender(void);
void run_bench(void);
